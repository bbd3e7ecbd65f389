"""Where cargo puts what it builds, and what is kept between runs."""

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def release(program):
    return TARGET / "release" / program
