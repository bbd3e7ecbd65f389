"""What the patterns read.

A function that reads takes the mountpoint and returns what it saw, which has to be what the files
themselves hold. Those that read made-up bytes return nothing.
"""

import multiprocessing
import os
import random
import subprocess
import time
import zipfile
import zlib

import h5py
import numpy

import atl03
import cog
from pattern_files import LARGE, MB, MIB, RECORD_SIZE, RECORDS, SLAB, SWATHS, ZARR

KIB = 1 << 10
BIG = "big/4gib.bin"


def _preads(path, reads):
    """Reads ranges one after the other, and returns a checksum of each."""
    descriptor = os.open(path, os.O_RDONLY)
    seen = []
    for offset, length in reads:
        data = os.pread(descriptor, length, offset)
        assert len(data) == length
        seen.append(zlib.crc32(data))
    os.close(descriptor)
    return seen


def strided(distance, count=200, length=64 * KIB, start=0):
    reads = [(start + number * distance, length) for number in range(count)]

    def run(root):
        _preads(root / BIG, reads)

    return run


def _listed(folder, shuffled=False):
    """The files of a folder, which is listed, in the order of their names or shuffled."""
    paths = sorted(folder.iterdir())
    return random.Random(1).sample(paths, len(paths)) if shuffled else paths


def points(root):
    seen = []
    for path in _listed(root / "granules"):
        with h5py.File(path) as file:
            seen.append(int(file["field_2"][0, 750, 1050]))
    return seen


def zip_names(shuffled):
    def run(root):
        seen = []
        for path in _listed(root / "zips", shuffled):
            with zipfile.ZipFile(path) as archive:
                seen.append(archive.namelist())
        return seen

    return run


def heads_and_tails(shuffled):
    def run(root):
        for path in _listed(root / "large", shuffled):
            _preads(path, [(0, 4 * KIB), (59 * MIB, 4 * KIB)])

    return run


def heads(root):
    for path in _listed(root / "large"):
        subprocess.run(["head", "-c", "8", path], stdout=subprocess.DEVNULL, check=True)


def first_bytes(length, count=LARGE):
    def run(root):
        for path in _listed(root / "large")[:count]:
            _preads(path, [(at, 100_000) for at in range(0, length, 100_000)])

    return run


def grid(*places):
    def run(root):
        with h5py.File(root / "grid/grid.h5") as file:
            return file["d"][places].tolist()

    return run


def walk(number):
    def run(root):
        seen = []
        with h5py.File(root / f"swaths/swath-{number}.h5") as file:
            note = lambda name, node: seen.append((name, sorted(map(repr, node.attrs.items()))))
            file.visititems(note)
        return seen

    return run


def walk_others(root):
    return [walk(number)(root) for number in range(1, SWATHS)]


def _printed(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def ncdump_swath(root):
    return _printed("ncdump", "-h", root / "swaths/swath-0.h5")


def ncdump_times(root):
    return _printed("ncdump", "-v", "time", root / "records/records.nc")


def record_field(root):
    """Field 2 in every other record, in pieces as the netCDF library reads them."""
    path = root / "records/records.nc"
    first = path.stat().st_size - RECORDS * RECORD_SIZE + 8 + 2 * SLAB
    pieces = [(at, min(128 * KIB, SLAB - at)) for at in range(0, SLAB, 128 * KIB)]
    starts = range(first, first + RECORDS * RECORD_SIZE, 2 * RECORD_SIZE)
    _preads(path, [(start + at, length) for start in starts for at, length in pieces])


def trace(root):
    _preads(root / "atl03/granule.h5", atl03.reads())


def rows(root):
    """Rows of a plane, planes of a cube."""
    places = [plane * 90_000_000 + row * 1_234_567 for plane in range(16) for row in range(32)]
    _preads(root / BIG, [(place, 16 * KIB) for place in places])


def blocks(shuffled):
    blocks = random.Random(2).sample(range(960), 320)
    reads = [(block * 64 * KIB, 64 * KIB) for block in (blocks if shuffled else sorted(blocks))]

    def run(root):
        _preads(root / "large/07.bin", reads)

    return run


def messages(root):
    """Reads a header, skips what its length says, and reads the next one."""
    dice, at = random.Random(3), 0
    reads = []
    while at < 99 * MB:
        reads.append((at, 16))
        at += dice.randrange(200_000, 1_800_000)
    _preads(root / "messages/100mb.grib", reads)


def overview(root):
    return cog.read_overview(root / "cogs/picture.tif").hex()


def chunks(shuffled, count):
    names = [".".join(map(str, chunk)) for chunk in numpy.ndindex(ZARR)][:count]

    def run(root):
        paths = [root / "zarr" / name for name in names]
        if shuffled:
            paths = _listed(root / "zarr", shuffled)[:count]
        return [path.read_bytes().rstrip(b"\0").decode() for path in paths]

    return run


def _noise(number, reads):
    def run(root):
        return _preads(root / f"noise/{number}.bin", reads)

    return run


# What eight readers do at once in one mount.
HABITS = {
    "stream": _noise(0, [(at, MIB) for at in range(0, 64 * MIB, MIB)]),
    "stride": _noise(1, [(at, 32 * KIB) for at in range(0, 60 * MIB, 1_100_000)]),
    "random": _noise(
        1, [(random.Random(at).randrange(64 * MIB - 4 * KIB), 4 * KIB) for at in range(60)]
    ),
    "backwards": _noise(2, [(at, 128 * KIB) for at in range(62 * MIB, 0, -700_001)]),
    "points": points,
    "zips": zip_names(False),
    "walk": walk(0),
    "chunks": chunks(False, 60),
}


def _habit(work):
    name, root = work
    start = time.monotonic()
    seen = HABITS[name](root)
    return seen, round(time.monotonic() - start, 2)


def eight(root):
    with multiprocessing.get_context("fork").Pool(len(HABITS)) as pool:
        found = pool.map(_habit, [(name, root) for name in HABITS], chunksize=1)
        pool.close()
        pool.join()
    eight.note = ", ".join(f"{name} {wall} s" for name, (_, wall) in zip(HABITS, found))
    return [seen for seen, _ in found]
