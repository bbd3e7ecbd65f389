"""The patterns: what granulefs may spend on each, and what it should cost."""

from dataclasses import dataclass
from typing import Callable, Optional

import cog
import pattern_reads
from pattern_files import LARGE, MB
from pattern_reads import KIB


@dataclass(frozen=True)
class Pattern:
    """`run` and `prepare` take the mountpoint. A bar fails when missed, `should` never does."""

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


PATTERNS = [
    Pattern(
        "points",
        "one value from each of 24 granules of 39 MB, h5py",
        pattern_reads.points,
        files=("granules",),
        fetched=140 * MB,
        should=(60, 60 * MB),
    ),
    Pattern(
        "zips",
        "`ZipFile.namelist()` of 12 zips of 50 MB, in order",
        pattern_reads.zip_names(False),
        files=("zips",),
        fetched_of=("zips-shuffled", 1, 5 * MB),
    ),
    Pattern(
        "zips-shuffled",
        "the same, shuffled",
        pattern_reads.zip_names(True),
        files=("zips",),
        should=(24, MB),
    ),
    Pattern(
        "ends",
        "4 KiB at the head and near the tail of 60 files of 60 MiB, in order",
        pattern_reads.heads_and_tails(False),
        fetched_of=("ends-shuffled", 2, 0),
    ),
    Pattern(
        "ends-shuffled",
        "the same, shuffled",
        pattern_reads.heads_and_tails(True),
        should=(120, 24 * MB),
    ),
    # A first block of 256 KiB each, and a quarter more.
    Pattern(
        "heads",
        "`head -c 8` of 60 files of 60 MiB",
        pattern_reads.heads,
        fetched=LARGE * 320 * KIB,
        should=(60, 16 * MB),
    ),
    Pattern(
        "stride-1048576",
        "64 KiB every 1,048,576 bytes, 200 times",
        pattern_reads.strided(1_048_576),
        wall=0.8,
        amplification=1.3,
    ),
    Pattern(
        "stride-1100000",
        "64 KiB every 1,100,000 bytes, 200 times",
        pattern_reads.strided(1_100_000),
        wall=0.8,
        amplification=1.3,
    ),
    Pattern(
        "stride-3300000",
        "64 KiB every 3,300,000 bytes, 200 times",
        pattern_reads.strided(3_300_000),
        wall=0.8,
        amplification=1.3,
    ),
    Pattern(
        "grid",
        "h5py `d[:,300,200]` of a contiguous float grid (240,720,1440)",
        pattern_reads.grid(slice(None), 300, 200),
        files=("grid",),
        wall=0.9,
    ),
    Pattern(
        "walk",
        "every attribute of every object of a NISAR-like file, h5py",
        pattern_reads.walk(0),
        files=("swaths",),
        wall=1.2,
    ),
    Pattern(
        "walk-others",
        "the same of two more of that product, then",
        pattern_reads.walk_others,
        prepare=pattern_reads.walk(0),
        files=("swaths",),
        wall=2.0,
    ),
    Pattern(
        "ncdump",
        "`ncdump -h` of that file",
        pattern_reads.ncdump_swath,
        files=("swaths",),
        wall=1.0,
    ),
    Pattern(
        "atl03",
        "14,233 reads of a published trace, in 7.75 GB",
        pattern_reads.trace,
        wall=2.9,
        amplification=1.1,
        gets=450,
    ),
    Pattern(
        "stride-700001",
        "64 KiB every 700,001 bytes, 200 times",
        pattern_reads.strided(700_001),
        should=(10, 14 * MB),
    ),
    Pattern(
        "stride-12345678",
        "64 KiB every 12,345,678 bytes, 200 times",
        pattern_reads.strided(12_345_678),
        should=(10, 14 * MB),
    ),
    Pattern(
        "stride-backwards",
        "64 KiB every 1,100,000 bytes, 200 times, backwards",
        pattern_reads.strided(-1_100_000, start=300_000_000),
        should=(10, 14 * MB),
    ),
    Pattern("rows", "16 KiB in 32 rows of 16 planes", pattern_reads.rows, should=(20, 9 * MB)),
    Pattern(
        "cube",
        "h5py `d[100:140,300:340,200:260]` of the grid",
        pattern_reads.grid(slice(100, 140), slice(300, 340), slice(200, 260)),
        files=("grid",),
        should=(15, 11 * MB),
    ),
    Pattern(
        "blocks",
        "a third of the blocks of 64 KiB of a file of 60 MiB, in order",
        pattern_reads.blocks(False),
        should=(10, 60 * MB),
    ),
    Pattern(
        "blocks-shuffled", "the same, shuffled", pattern_reads.blocks(True), should=(10, 60 * MB)
    ),
    Pattern(
        "first-300k",
        "the first 300 kB of 60 files of 60 MiB",
        pattern_reads.first_bytes(300_000),
        should=(60, 24 * MB),
    ),
    Pattern(
        "first-half",
        "the first 30 MB of 12 files of 60 MiB",
        pattern_reads.first_bytes(30 * MB, 12),
        should=(24, 360 * MB),
    ),
    Pattern(
        "records-times",
        "`ncdump -v time` of a netCDF-3 file of 200 records, 1 GB",
        pattern_reads.ncdump_times,
        files=("records",),
        should=(12, 3 * MB),
    ),
    Pattern(
        "records-field",
        "one variable in every other record of it",
        pattern_reads.record_field,
        files=("records",),
        should=(10, 100 * MB),
    ),
    Pattern(
        "messages",
        "16 bytes of each of 100 GRIB-like messages in 100 MB, by their lengths",
        pattern_reads.messages,
        should=(10, 100 * MB),
    ),
    Pattern(
        "overview",
        "an overview of a COG of 89 MB, rasterio",
        pattern_reads.overview,
        # The import is not timed.
        prepare=lambda root: cog.rasterio(),
        files=("cogs",),
        should=(4, 2 * MB),
    ),
    Pattern(
        "chunks",
        "400 of 2,000 files of 50 kB of a zarr array, in the order of its chunks",
        pattern_reads.chunks(False, 400),
        files=("zarr",),
        should=(80, 20 * MB),
    ),
    Pattern(
        "chunks-shuffled",
        "the same, shuffled",
        pattern_reads.chunks(True, 400),
        files=("zarr",),
        should=(400, 20 * MB),
    ),
    Pattern(
        "eight",
        "eight of these habits at once",
        pattern_reads.eight,
        files=("noise", "granules", "zips", "swaths", "zarr"),
        should=(80, 300 * MB),
    ),
]
BY_NAME = {pattern.name: pattern for pattern in PATTERNS}
