"""The patterns: what each reads, what granulefs may spend on it, and what it should cost.

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
from dataclasses import dataclass
from typing import Callable, Optional

import atl03
import cog
import pattern_files
from pattern_files import GRANULES, MIB, NOISES, RECORDS, RECORD_SIZE, SLAB, SWATHS, ZARR, ZIPS

KIB = 1 << 10
MB = 1_000_000
LARGE = 60
BIG = "big/4gib.bin"


@dataclass(frozen=True)
class Pattern:
    """`run` and `prepare` take the mountpoint. Bars that are missed fail; `should` is only printed."""

    name: str
    title: str
    run: Callable
    prepare: Callable = lambda root: None
    # Sets of files that pattern_files makes.
    files: tuple = ()
    # Seconds, bytes that S3 sends, and those over the bytes that are asked.
    wall: Optional[float] = None
    fetched: Optional[int] = None
    amplification: Optional[float] = None
    gets: Optional[int] = None
    # Another pattern, and how many times its bytes, and bytes on top of them, may be fetched.
    fetched_of: Optional[tuple] = None
    # Round trips that cannot be saved, and bytes: what a reader costs whose habit is known.
    should: Optional[tuple] = None
    # Needs rasterio.
    needs_rasterio: bool = False


def _preads(path, reads):
    """Reads ranges one after the other."""
    descriptor = os.open(path, os.O_RDONLY)
    seen = []
    for offset, length in reads:
        data = os.pread(descriptor, length, offset)
        assert len(data) == length
        seen.append(data)
    os.close(descriptor)
    return seen


def _strided(distance, count=200, length=64 * KIB, start=0):
    reads = [(start + number * distance, length) for number in range(count)]

    def run(root):
        _preads(root / BIG, reads)

    return run


def _shuffled(sequence):
    return random.Random(1).sample(sequence, len(sequence))


def _large(root):
    return [root / f"large/{number:02}.bin" for number in range(LARGE)]


def _order(sequence, shuffled):
    return _shuffled(sequence) if shuffled else sequence


def _points(root):
    import h5py

    seen = []
    for number in range(GRANULES):
        with h5py.File(root / f"granules/granule-{number:02}.nc") as file:
            seen.append(int(file["field_2"][0, 750, 1050]))
    return seen


def _zip_names(shuffled):
    def run(root):
        seen = []
        for number in _order(range(ZIPS), shuffled):
            with zipfile.ZipFile(root / f"zips/scene-{number:02}.zip") as archive:
                seen.append(archive.namelist())
        return seen

    return run


def _heads_and_tails(shuffled):
    def run(root):
        for path in _order(_large(root), shuffled):
            _preads(path, [(0, 4 * KIB), (59 * MIB, 4 * KIB)])

    return run


def _heads(root):
    for path in _large(root):
        subprocess.run(["head", "-c", "8", path], stdout=subprocess.DEVNULL, check=True)


def _first_bytes(length, count=LARGE):
    def run(root):
        for path in _large(root)[:count]:
            with open(path, "rb", buffering=0) as file:
                left = length
                while left > 0:
                    left -= len(file.read(min(left, 100_000)))

    return run


def _grid(*places):
    def run(root):
        import h5py

        with h5py.File(root / "grid/grid.h5") as file:
            return file["d"][places].tolist()

    return run


def _walk(number):
    def run(root):
        import h5py

        seen = []
        with h5py.File(root / f"swaths/swath-{number}.h5") as file:
            file.visititems(lambda name, node: seen.append((name, sorted(map(repr, node.attrs.items())))))
        return seen

    return run


def _walk_others(root):
    return [_walk(number)(root) for number in range(1, SWATHS)]


def _printed(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def _ncdump_swath(root):
    return _printed("ncdump", "-h", root / "swaths/swath-0.h5")


def _ncdump_times(root):
    return _printed("ncdump", "-v", "time", root / "records/records.nc")


def _record_field(root):
    """Field 2 in every other record, in pieces as the netCDF library reads them."""
    path = root / "records/records.nc"
    first = path.stat().st_size - RECORDS * RECORD_SIZE + 8 + 2 * SLAB
    pieces = [(at, min(128 * KIB, SLAB - at)) for at in range(0, SLAB, 128 * KIB)]
    _preads(path, [(first + record * RECORD_SIZE + at, length) for record in range(0, RECORDS, 2) for at, length in pieces])


def _atl03(root):
    descriptor = os.open(root / "atl03/granule.h5", os.O_RDONLY)
    for offset, length in atl03.reads():
        assert len(os.pread(descriptor, length, offset)) == length


def _rows(root):
    """Rows of a plane, planes of a cube."""
    rows = [(plane * 90_000_000 + row * 1_234_567, 16 * KIB) for plane in range(16) for row in range(32)]
    _preads(root / BIG, rows)


def _blocks(shuffled):
    """A third of the blocks of 64 MiB, none of them twice."""
    blocks = sorted(random.Random(2).sample(range(1024), 340))
    reads = [(block * 64 * KIB, 64 * KIB) for block in _order(blocks, shuffled)]

    def run(root):
        _preads(_large(root)[7], reads)

    return run


def _messages(root):
    """Reads a header, skips what its length says, and reads the next one."""
    dice, at = random.Random(3), 0
    reads = []
    while at < 99 * MB:
        reads.append((at, 16))
        at += dice.randrange(200_000, 1_800_000)
    _preads(root / "messages/100mb.grib", reads)


def _overview(root):
    return cog.read_overview(root / "cogs/picture.tif").hex()


def _chunks(shuffled, count=None):
    names = [f"{time}.{row}.{column}" for time in range(ZARR[0]) for row in range(ZARR[1]) for column in range(ZARR[2])]

    def run(root):
        seen = []
        for name in _order(names[:count], shuffled):
            with open(root / "zarr" / name, "rb") as file:
                seen.append(file.read().rstrip(b"\0").decode())
        return seen

    return run


def _noise(number, reads):
    def run(root):
        return [zlib.crc32(data) for data in _preads(root / f"noise/{number}.bin", reads)]

    return run


# What eight readers do at once in one mount.
HABITS = {
    "stream": _noise(0, [(at, MIB) for at in range(0, 64 * MIB, MIB)]),
    "stride": _noise(1, [(at, 32 * KIB) for at in range(0, 60 * MIB, 1_100_000)]),
    "random": _noise(1, [(random.Random(at).randrange(64 * MIB - 4 * KIB), 4 * KIB) for at in range(60)]),
    "backwards": _noise(2, [(at, 128 * KIB) for at in range(62 * MIB, 0, -700_001)]),
    "points": _points,
    "zips": _zip_names(False),
    "walk": _walk(0),
    "chunks": _chunks(False, 300),
}


def _habit(work):
    name, root = work
    start = time.monotonic()
    seen = HABITS[name](root)
    return seen, round(time.monotonic() - start, 2)


def _eight(root):
    with multiprocessing.get_context("fork").Pool(len(HABITS)) as pool:
        found = pool.map(_habit, [(name, root) for name in HABITS], chunksize=1)
        pool.close()
        pool.join()
    _eight.note = ", ".join(f"{name} {wall} s" for name, (_, wall) in zip(HABITS, found))
    return [seen for seen, _ in found]


PATTERNS = [
    Pattern(
        "points",
        "one value from each of 24 granules of 39 MB, h5py",
        _points,
        files=("granules",),
        fetched=140 * MB,
        should=(60, 60 * MB),
    ),
    Pattern(
        "zips",
        "`ZipFile.namelist()` of 12 zips of 50 MB, in order",
        _zip_names(False),
        files=("zips",),
        fetched_of=("zips-shuffled", 1, 5 * MB),
    ),
    Pattern("zips-shuffled", "the same, shuffled", _zip_names(True), files=("zips",), should=(24, MB)),
    Pattern(
        "ends",
        "4 KiB at the head and near the tail of 60 files of 60 MiB, in order",
        _heads_and_tails(False),
        fetched_of=("ends-shuffled", 2, 0),
    ),
    Pattern("ends-shuffled", "the same, shuffled", _heads_and_tails(True), should=(120, 24 * MB)),
    # A first block of 256 KiB each, and a quarter more.
    Pattern("heads", "`head -c 8` of 60 files of 60 MiB", _heads, fetched=LARGE * 320 * KIB, should=(60, 16 * MB)),
    Pattern("stride-1048576", "64 KiB every 1,048,576 bytes, 200 times", _strided(1_048_576), wall=0.8, amplification=1.3),
    Pattern("stride-1100000", "64 KiB every 1,100,000 bytes, 200 times", _strided(1_100_000), wall=0.8, amplification=1.3),
    Pattern("stride-3300000", "64 KiB every 3,300,000 bytes, 200 times", _strided(3_300_000), wall=0.8, amplification=1.3),
    Pattern("grid", "h5py `d[:,300,200]` of a contiguous float grid (240,720,1440)", _grid(slice(None), 300, 200), files=("grid",), wall=0.9),
    Pattern("walk", "every attribute of every object of a NISAR-like file, h5py", _walk(0), files=("swaths",), wall=1.2),
    Pattern(
        "walk-others",
        "the same of two more of that product, then",
        _walk_others,
        prepare=_walk(0),
        files=("swaths",),
        wall=2.0,
    ),
    Pattern("ncdump", "`ncdump -h` of that file", _ncdump_swath, files=("swaths",), wall=1.0),
    Pattern("atl03", "14,233 reads of a published trace, in 7.75 GB", _atl03, wall=2.9, amplification=1.1, gets=450),
    Pattern("stride-700001", "64 KiB every 700,001 bytes, 200 times", _strided(700_001), should=(10, 14 * MB)),
    Pattern("stride-12345678", "64 KiB every 12,345,678 bytes, 200 times", _strided(12_345_678), should=(10, 14 * MB)),
    Pattern(
        "stride-backwards",
        "64 KiB every 1,100,000 bytes, 200 times, backwards",
        _strided(-1_100_000, start=300_000_000),
        should=(10, 14 * MB),
    ),
    Pattern("rows", "16 KiB in 32 rows of 16 planes", _rows, should=(20, 9 * MB)),
    Pattern(
        "cube",
        "h5py `d[100:140,300:340,200:260]` of the grid",
        _grid(slice(100, 140), slice(300, 340), slice(200, 260)),
        files=("grid",),
        should=(15, 11 * MB),
    ),
    Pattern("blocks", "a third of the blocks of 64 KiB of a file of 60 MiB, in order", _blocks(False), should=(10, 60 * MB)),
    Pattern("blocks-shuffled", "the same, shuffled", _blocks(True), should=(10, 60 * MB)),
    Pattern("first-300k", "the first 300 kB of 60 files of 60 MiB", _first_bytes(300_000), should=(60, 24 * MB)),
    Pattern("first-half", "the first half of 12 files of 60 MiB", _first_bytes(30 * MIB, 12), should=(24, 450 * MB)),
    Pattern("records-times", "`ncdump -v time` of a netCDF-3 file of 200 records, 1 GB", _ncdump_times, files=("records",), should=(12, 3 * MB)),
    Pattern("records-field", "one variable in every other record of it", _record_field, files=("records",), should=(10, 100 * MB)),
    Pattern("messages", "16 bytes of each of 100 GRIB-like messages in 100 MB, by their lengths", _messages, should=(10, 100 * MB)),
    Pattern("overview", "an overview of a COG of 89 MB, rasterio", _overview, files=("cogs",), needs_rasterio=True, should=(4, 2 * MB)),
    Pattern("chunks", "2,000 files of 50 kB of a zarr array, in the order of its chunks", _chunks(False), files=("zarr",), should=(80, 100 * MB)),
    Pattern("chunks-shuffled", "the same, shuffled", _chunks(True), files=("zarr",), should=(2000, 100 * MB)),
    Pattern(
        "eight",
        "eight of these habits at once",
        _eight,
        files=("noise", "granules", "zips", "swaths", "zarr"),
        should=(80, 300 * MB),
    ),
]
BY_NAME = {pattern.name: pattern for pattern in PATTERNS}
