"""Real netCDF-4 granules of some 49 MB: seven packed variables, chunked and compressed, as NASA's gridded products are."""

import random

import h5py
import numpy

SHAPE = (1, 1800, 3600)
CHUNK = (1, 300, 600)
VARIABLES = 7
# Sets how well the chunks compress, and so the size of a granule.
NOISE_STEPS = 16


def write(folder, count):
    """Writes the granules, and returns their paths."""
    folder.mkdir(parents=True)
    paths = [folder / f"granule-{number}.nc" for number in range(count)]
    for seed, path in enumerate(paths):
        _write(path, numpy.random.default_rng(seed))
    return paths


def read_chunks(path, count, seed):
    """Reads this many chunks, at places that differ from seed to seed, as an analysis of a small region in many granules does."""
    grid = [(variable, row, column) for variable in range(VARIABLES) for row in range(0, SHAPE[1], CHUNK[1]) for column in range(0, SHAPE[2], CHUNK[2])]
    with h5py.File(path) as file:
        for variable, row, column in random.Random(seed).sample(grid, count):
            values = file[f"field_{variable}"][0, row : row + CHUNK[1], column : column + CHUNK[2]]
            assert values.shape == CHUNK[1:] and values.any()


def _write(path, noise):
    # netCDF-4 writes in this version of the format, keeps the order of creation, and has text of fixed length.
    with h5py.File(path, "w", libver=("v108", "v108"), track_order=True) as file:
        _describe(file, {f"global_attribute_{number:02}": f"what a producer says of this granule, line {number}" for number in range(60)})
        for name, length in zip(("time", "lat", "lon"), SHAPE):
            axis = file.create_dataset(name, data=numpy.arange(length, dtype="f4"))
            axis.make_scale(name)
            _describe(axis, {"units": "degrees"})
        # All that describes the file comes first, the data after it.
        for field in [_field(file, f"field_{number}") for number in range(VARIABLES)]:
            field[:] = _values(noise)


def _field(file, name):
    field = file.create_dataset(name, SHAPE, "i2", chunks=CHUNK, compression="gzip", compression_opts=1, shuffle=True, fillvalue=-32768)
    for dimension, axis in enumerate(("time", "lat", "lon")):
        field.dims[dimension].attach_scale(file[axis])
    _describe(field, {"long_name": f"{name} of the made-up product", "units": "kelvin", "coordinates": "lon lat"})
    field.attrs.update(add_offset=298.15, scale_factor=0.001)
    return field


def _describe(node, texts):
    for name, text in texts.items():
        node.attrs[name] = numpy.bytes_(text)


def _values(noise):
    rows, columns = numpy.meshgrid(numpy.linspace(0, 9, SHAPE[1]), numpy.linspace(0, 17, SHAPE[2]), indexing="ij")
    smooth = 9000 * numpy.sin(rows) * numpy.cos(columns)
    return (smooth + noise.integers(0, NOISE_STEPS, SHAPE)).astype("i2")
