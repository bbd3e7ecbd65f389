"""The ways of reading that are measured: what each reads, and how fast granulefs must be."""

import os
import random
import subprocess
import threading
from dataclasses import dataclass
from typing import Callable, Optional

import granules

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

GRANULES = 3
CURSORS = 8

# Where each object set lies below the mountpoint; see --synthetic of the fake DAAC.
SYNTHETIC = {
    "stream/2gib.bin": 2 * GIB,
    "streams/{4}.bin": 512 * MIB,
    "big/4gib.bin": 4 * GIB,
    "small/{100}.bin": 300_000,
    "files/{10}.bin": 64 * MIB,
}
STREAM = "stream/2gib.bin"
BIG = "big/4gib.bin"


@dataclass(frozen=True)
class Workload:
    """`run` and `prepare` take the mountpoint. The bars are limits for granulefs, absolute or relative to s3fs."""

    name: str
    title: str
    run: Callable
    prepare: Callable = lambda root: None
    paced: bool = True
    # Seconds, and times as fast as s3fs.
    wall: Optional[float] = None
    ratio: Optional[float] = None
    # CPU seconds of the mount's process per GiB read.
    cpu_per_gib: Optional[float] = None
    # Resident at the most.
    peak_mib: Optional[int] = None
    requests: Optional[int] = None
    # The part of another workload's rate.
    rate_of: Optional[tuple] = None
    # Only granulefs is measured: rclone would take minutes.
    alone: bool = False


def _dd(*paths):
    readers = [subprocess.Popen(["dd", f"if={path}", "of=/dev/null", "bs=1M", "status=none"]) for path in paths]
    if any([reader.wait() for reader in readers]):
        raise SystemExit("dd failed")


def _warm(path):
    """Reads a file into the page cache, and once more what the kernel of this machine (DAMON) has paged out at once."""
    for _ in range(5):
        _dd(path)
        size, kept = path.stat().st_size, _kept(path)
        # A program that does not let the kernel keep its pages won't do so next time either.
        if kept == size or kept < size * 0.9:
            return


def _kept(path):
    """Bytes of a file in the page cache."""
    found = subprocess.run(["fincore", "--bytes", "--noheadings", "--output=RES", path], stdout=subprocess.PIPE, check=True, text=True)
    return int(found.stdout)


def _cat(folder):
    with open(os.devnull, "wb") as null:
        subprocess.run(["cat", *sorted(folder.iterdir())], stdout=null, check=True)


def _ncdump(root):
    for number in range(GRANULES):
        subprocess.run(["ncdump", "-h", root / f"granules/granule-{number}.nc"], stdout=subprocess.DEVNULL, check=True)


def _h5py(root):
    for number in range(GRANULES):
        granules.read_chunks(root / f"granules/granule-{number}.nc", count=15, seed=number)


def _head(path):
    with open(path, "rb", buffering=0) as file:
        assert len(file.read(4 * KIB)) == 4 * KIB


def _scattered(path, size, count):
    """Reads at places that are aligned to pages."""
    places = random.Random(count)
    with open(path, "rb", buffering=0) as file:
        pages = (os.fstat(file.fileno()).st_size - size) // (4 * KIB)
        for _ in range(count):
            assert len(os.pread(file.fileno(), size, places.randrange(pages) * 4 * KIB)) == size


def _interleaved(path):
    """Reads one file through one handle at eight places that move on side by side."""
    with open(path, "rb", buffering=0) as file:
        part = os.fstat(file.fileno()).st_size // CURSORS
        complete = []

        def read(start):
            buffer = bytearray(MIB)
            complete.append(all(os.preadv(file.fileno(), [buffer], at) == MIB for at in range(start, start + part, MIB)))

        cursors = [threading.Thread(target=read, args=(number * part,)) for number in range(CURSORS)]
        for cursor in cursors:
            cursor.start()
        for cursor in cursors:
            cursor.join()
    assert complete == [True] * CURSORS


WORKLOADS = [
    Workload("stream", "one stream, 2 GiB", lambda root: _dd(root / STREAM), wall=2.2, ratio=1.8, peak_mib=400),
    Workload(
        "unpaced",
        "one stream, 2 GiB, no latency injected",
        lambda root: _dd(root / STREAM),
        paced=False,
        wall=1.9,
        ratio=2.0,
        cpu_per_gib=0.8,
        peak_mib=400,
    ),
    Workload("streams", "4 streams x 512 MiB", lambda root: _dd(*(root / f"streams/{n}.bin" for n in range(4))), wall=2.2, ratio=1.9, peak_mib=400),
    Workload(
        "again",
        "the same 2 GiB again, page cache warm, reopened",
        lambda root: _dd(root / STREAM),
        prepare=lambda root: _warm(root / STREAM),
        wall=0.6,
        requests=0,
    ),
    Workload("first", "first 4 KiB of a cold file", lambda root: _head(root / BIG), wall=0.12),
    Workload("random-4k", "100 random 4 KiB reads in 4 GiB, one thread", lambda root: _scattered(root / BIG, 4 * KIB, 100), wall=3.3),
    Workload("random-1m", "60 random 1 MiB reads", lambda root: _scattered(root / BIG, MIB, 60), wall=2.6),
    Workload("small", "100 files of 300 kB, `cat *`", lambda root: _cat(root / "small"), wall=1.0),
    Workload("files", "10 files of 64 MiB, `cat` one after the other", lambda root: _cat(root / "files"), wall=1.2),
    Workload("ncdump", "`ncdump -h` on 3 netCDF-4 granules of 49 MB", _ncdump, wall=0.4),
    Workload("h5py", "45 scattered chunk reads by h5py in 3 such granules", _h5py, wall=0.9),
    Workload(
        "interleaved",
        "8 interleaved sequential readers on one file handle, 2 GiB",
        lambda root: _interleaved(root / STREAM),
        rate_of=("stream", 0.8),
        alone=True,
    ),
]


def warm_tools(originals):
    """Brings the reading programs back into the page cache: how long a disk takes to load them is not what is measured."""
    for tool in ("cat", "dd"):
        subprocess.run([tool, "--version"], stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["ncdump", "-h", originals[0]], stdout=subprocess.DEVNULL, check=True)
