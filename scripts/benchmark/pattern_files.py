"""The files that the patterns are read from.

Most of their bytes are holes, so that they cost little memory.
"""

import itertools
import random
import struct
import subprocess
import zipfile
import zlib

import h5py
import numpy

import atl03
import cog

MB, MIB, GIB = 1_000_000, 1 << 20, 1 << 30

# Files of 60 MiB.
LARGE = 60

# Objects that the fake DAAC makes up: they cost no memory.
SYNTHETIC = {
    f"large/{{{LARGE}}}.bin": 60 * MIB,
    "big/4gib.bin": 4 * GIB,
    "messages/100mb.grib": 100_000_000,
    "atl03/granule.h5": atl03.SIZE,
}

GRANULES, ZIPS, SWATHS, NOISES = 24, 12, 3, 3

# Of the granules.
FIELDS, SHAPE, CHUNK = 6, (1, 1800, 1800), (1, 300, 300)

# Of the contiguous grid.
GRID = (240, 720, 1440)

# Of the netCDF-3 file: records, fields, and the bytes of one field in a record.
RECORDS, RECORD_FIELDS, SLAB = 200, 5, 1_000_000
RECORD_SIZE = 8 + RECORD_FIELDS * SLAB

# Of the zarr array: chunks along each dimension.
ZARR = (20, 10, 10)


def make(folder, names):
    """Makes the sets of files of these names that are not in `folder` yet."""
    for name in sorted(names):
        done, partial = folder / name, folder / f"{name}.part"
        if done.exists():
            continue
        subprocess.run(["rm", "-rf", partial], check=True)
        partial.mkdir(parents=True)
        MAKERS[name](partial)
        for path in partial.iterdir():
            if path.stat().st_size > MIB:
                subprocess.run(["fallocate", "--dig-holes", path], check=True)
        partial.rename(done)


def _granules(folder):
    """Gridded netCDF-4 files of 39 MB: descriptions at the head, then the data in chunks."""
    for number in range(GRANULES):
        # netCDF-4 writes in this version of the format, and keeps the order of creation.
        versions = {"libver": ("v108", "v108"), "track_order": True}
        with h5py.File(folder / f"granule-{number:02}.nc", "w", **versions) as file:
            texts = {
                f"global_{line:02}": "what a producer says of this granule" for line in range(60)
            }
            _describe(file, texts)
            for name, length in zip(("time", "lat", "lon"), SHAPE):
                file.create_dataset(name, data=numpy.arange(length, dtype="f4")).make_scale(name)
            for field in [_field(file, f"field_{field}") for field in range(FIELDS)]:
                _fill(field, number)


def _field(file, name):
    field = file.create_dataset(name, SHAPE, "i2", chunks=CHUNK, compression="gzip", fillvalue=-1)
    for dimension, axis in enumerate(("time", "lat", "lon")):
        field.dims[dimension].attach_scale(file[axis])
    _describe(field, {"long_name": f"{name} of the made-up product", "units": "kelvin"})
    return field


def _fill(field, number):
    """Writes chunks that compression does not make smaller, and that differ in a value."""
    for row in range(0, SHAPE[1], CHUNK[1]):
        for column in range(0, SHAPE[2], CHUNK[2]):
            values = numpy.zeros(CHUNK, "i2")
            values[0, CHUNK[1] // 2, CHUNK[2] // 2] = 1000 + 37 * number + row // 100 + column // 50
            field.id.write_direct_chunk((0, row, column), zlib.compress(values.tobytes(), 0))


def _zips(folder):
    """Archives of 50 MB with 40 members each."""
    for number in range(ZIPS):
        with zipfile.ZipFile(folder / f"scene-{number:02}.zip", "w") as archive:
            for member in range(40):
                archive.writestr(f"scene-{number:02}/B{member:02}.tif", bytes(1_250_000))


def _grid(folder):
    """One contiguous dataset of 1 GB."""
    with h5py.File(folder / "grid.h5", "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.CONTIGUOUS)
        # The bytes are allocated and never written.
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple(GRID)
        h5py.h5d.create(file.id, b"d", h5py.h5t.IEEE_F32LE, space, layout)
        file["d"][:, 300, 200] = numpy.arange(GRID[0])


def _swaths(folder):
    """NISAR-like files of 383 MB: small objects lie between the chunks of large datasets."""
    for number in range(SWATHS):
        with h5py.File(folder / f"swath-{number}.h5", "w") as file:
            _write_swath(file, random.Random(number))


def _write_swath(file, dice):
    frequencies = [f"science/LSAR/GCOV/grids/frequency{letter}" for letter in "AB"]
    large = [
        file.create_dataset(
            f"{frequency}/{term}", (8192, 16384), "f4", chunks=(512, 1024), compression="gzip"
        )
        for frequency in frequencies
        for term in ("HHHH", "HVHV", "VVVV")
    ]
    chunks = itertools.product(range(0, 8192, 512), range(0, 16384, 1024), large)
    # The order of names is not that of creation, and is the same in each file of the product.
    names = _small_objects(frequencies)
    random.Random(0).shuffle(names)
    for place, (name, (row, column, field)) in enumerate(zip(names, chunks)):
        described = file.create_dataset(name, data=numpy.float64(place))
        _describe(
            described,
            {"description": f"what {name} means, as its producer says it. " * 8, "units": "1"},
        )
        group = described.parent
        if not group.attrs:
            _describe(group, {"description": f"what {group.name} holds"})
        # Chunks are never read: only their sizes count, which vary as compressed ones do.
        field.id.write_direct_chunk((row, column), bytes(dice.randrange(960_000, 1_510_000)))


def _small_objects(frequencies):
    groups = [
        *frequencies,
        "science/LSAR/identification",
        "science/LSAR/GCOV/metadata/attitude",
        "science/LSAR/GCOV/metadata/orbit",
        "science/LSAR/GCOV/metadata/radarGrid",
        "science/LSAR/GCOV/metadata/sourceData/swaths/frequencyA",
        "science/LSAR/GCOV/metadata/processingInformation/algorithms",
        "science/LSAR/GCOV/metadata/processingInformation/inputs",
        "science/LSAR/GCOV/metadata/processingInformation/parameters/frequencyA",
        "science/LSAR/GCOV/metadata/calibrationInformation/frequencyA/HH",
        "science/LSAR/GCOV/metadata/calibrationInformation/frequencyA/HV",
    ]
    return [f"{group}/item{number:02}" for group in groups for number in range(26)]


def _records(folder):
    """A netCDF-3 file of 1 GB whose variables lie side by side in each record."""
    fields = [f"float field_{number}(time, lat, lon);" for number in range(RECORD_FIELDS)]
    variables = " ".join(["double time(time);", *fields])
    dimensions = "time = UNLIMITED; lat = 500; lon = 500;"
    text = f"netcdf records {{ dimensions: {dimensions} variables: {variables} }}"
    path = folder / "records.nc"
    subprocess.run(["ncgen", "-k", "classic", "-o", path], input=text, text=True, check=True)
    first = path.stat().st_size
    with open(path, "r+b") as file:
        # The number of records follows the four magic bytes.
        file.seek(4)
        file.write(struct.pack(">i", RECORDS))
        for record in range(RECORDS):
            file.seek(first + record * RECORD_SIZE)
            file.write(struct.pack(">d", record))
        file.truncate(first + RECORDS * RECORD_SIZE)


def _zarr(folder):
    """2,000 chunks of 50 kB, a file each, named as zarr of version 2 does."""
    for chunk in numpy.ndindex(ZARR):
        with open(folder / ".".join(map(str, chunk)), "wb") as file:
            file.write(repr(chunk).encode())
            file.truncate(50_000)


def _noise(folder):
    """Files of 64 MiB that have no two equal blocks."""
    for number in range(NOISES):
        (folder / f"{number}.bin").write_bytes(random.Random(number).randbytes(64 * MIB))


def _cogs(folder):
    cog.write(folder / "picture.tif")


def _describe(node, texts):
    for name, text in texts.items():
        node.attrs[name] = numpy.bytes_(text)


MAKERS = {
    "granules": _granules,
    "zips": _zips,
    "grid": _grid,
    "swaths": _swaths,
    "records": _records,
    "zarr": _zarr,
    "noise": _noise,
    "cogs": _cogs,
}
