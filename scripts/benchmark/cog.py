"""A cloud-optimized GeoTIFF of some 90 MB, written and read by rasterio, which runs in processes of its own."""

import os
import subprocess
import sys

from target import TARGET

VERSION = "1.4.4"
SIZE, BLOCK = 8192, 512
# How many times smaller the overview is that is read.
FACTOR = 16


def environment():
    """Variables with which Python finds rasterio; downloads it once."""
    kept = TARGET / "bench" / f"rasterio-{VERSION}"
    if not kept.exists():
        partial = kept.with_suffix(".part")
        wanted = ["--only-binary=:all:", f"rasterio=={VERSION}"]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--target", partial, *wanted]
        subprocess.run(command, check=True)
        partial.rename(kept)
    return {**os.environ, "PYTHONPATH": str(kept)}


def write(path):
    """Writes the file."""
    subprocess.run([sys.executable, "-B", __file__, path], env=environment(), check=True)


def read_overview(path):
    """Reads the whole picture in a coarse resolution."""
    import rasterio

    with rasterio.open(path) as file:
        return file.read(1, out_shape=(SIZE // FACTOR, SIZE // FACTOR)).tobytes()


def _write(path):
    import numpy
    import rasterio

    picture = numpy.zeros((SIZE, SIZE), "u1")
    # So that each block of each overview differs from the others.
    marks = numpy.random.default_rng(0).integers(1, 255, (SIZE // BLOCK, SIZE // BLOCK), "u1")
    picture.reshape(SIZE // BLOCK, BLOCK, SIZE // BLOCK, BLOCK)[:, :64, :, :64] = marks[:, None, :, None]
    profile = {"driver": "COG", "width": SIZE, "height": SIZE, "count": 1, "dtype": "uint8"}
    transform = rasterio.transform.from_origin(0, 0, 30, 30)
    options = {"blocksize": BLOCK, "compress": "NONE", "crs": "EPSG:32611", "transform": transform}
    with rasterio.open(path, "w", **profile, **options) as file:
        file.write(picture, 1)


if __name__ == "__main__":
    _write(sys.argv[1])
