"""A cloud-optimized GeoTIFF of 89 MB, written and read by rasterio."""

import importlib
import subprocess
import sys

import numpy

from target import TARGET

VERSION = "1.4.4"
SIZE, BLOCK = 8192, 512
# How many times smaller the overview is that is read.
FACTOR = 16


def rasterio():
    """The module; downloads it once."""
    kept = TARGET / "bench" / f"rasterio-{VERSION}"
    if not kept.exists():
        partial = kept.with_suffix(".part")
        options = [
            "--quiet",
            "--root-user-action=ignore",
            "--only-binary=:all:",
            "--target",
            partial,
        ]
        command = [sys.executable, "-m", "pip", "install", *options, f"rasterio=={VERSION}"]
        subprocess.run(command, check=True)
        partial.rename(kept)
    # Last, so that the numpy that comes with it does not replace the one that h5py was built for.
    if str(kept) not in sys.path:
        sys.path.append(str(kept))
    return importlib.import_module("rasterio")


def write(path):
    """Writes the file."""
    picture = numpy.zeros((SIZE, SIZE), "u1")
    # So that each block of each overview differs from the others.
    marks = numpy.random.default_rng(0).integers(1, 255, (SIZE // BLOCK, SIZE // BLOCK), "u1")
    blocks = picture.reshape(SIZE // BLOCK, BLOCK, SIZE // BLOCK, BLOCK)
    blocks[:, :64, :, :64] = marks[:, None, :, None]
    profile = {"driver": "COG", "width": SIZE, "height": SIZE, "count": 1, "dtype": "uint8"}
    transform = rasterio().transform.from_origin(0, 0, 30, 30)
    options = {"blocksize": BLOCK, "compress": "NONE", "crs": "EPSG:32611", "transform": transform}
    with rasterio().open(path, "w", **profile, **options) as file:
        file.write(picture, 1)


def read_overview(path):
    """Reads the whole picture in a coarse resolution."""
    with rasterio().open(path) as file:
        return file.read(1, out_shape=(SIZE // FACTOR, SIZE // FACTOR)).tobytes()
