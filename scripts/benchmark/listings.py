"""`scripts/bench listings`: names and attributes, with the delays of S3."""

import dataclasses
import statistics
import struct
import subprocess
import time
from dataclasses import dataclass
from typing import Optional

import document
from fake_daac import FakeDaac
from bars import Bar
from mount import drop_caches, mounted
from process import peak_mib, resident_mib
from programs import PROGRAMS

LATENCY = {"list_latency": 0.06, "first_byte_latency": 0.03}
# Names of 60 bytes, as granules have them.
GRANULES = "granules/{3000:date}090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-{1000:06}.nc"
SYNTHETIC = [
    "flat/granule-{200000:08}.nc",
    "wide/{1000:04}/{10}.nc",
    "deep/{27:02}/{27:02}/{27:02}/f.nc",
    "deeper/{59:02}/{59:02}/{59:02}/f.nc",
    "giant/{3000:date}-{1000:03}.nc",
    "eight/{8000:date}-{1000:03}.nc",
    "twenty/{20000:05}-{1000:03}.nc",
    "scenes/scene-{300000:08}.tif",
    GRANULES,
]
SCENE = "scenes/scene-00150000.tif"
# So that what is remembered is given up while somebody waits for it.
SHORT_TTL = ["--metadata-ttl=40s"]


@dataclass(frozen=True)
class Listing:
    title: str
    command: str
    # The bars.
    wall: Optional[float] = None
    requests: Optional[int] = None
    # Resident at the most, 10^6 bytes.
    peak_mb: Optional[int] = None
    # More resident at the end than at the start, at the most, 10^6 bytes.
    left_mb: Optional[int] = None
    # Further options of the mount.
    options: tuple = ()


# What stands in one line runs on one mount.
MOUNTS = [
    [Listing("`ls -f` of 200,000 names, the first one", "ls -f flat | sed 1q", 0.5)],
    [
        Listing("`ls -f` of 200,000 names", "ls -f flat", 3),
        Listing("`ls -l` of the same names", "ls -l flat", 3, 0),
    ],
    [Listing("`ls -l` of 200,000 names", "ls -l flat", 4)],
    [
        Listing("`find` over 1,000 directories of 10 files", "find wide", 2, 40),
        Listing("the same again", "find wide", 0.5, 0),
    ],
    [Listing("`find` over 20,000 directories of 1 file, three levels deep", "find deep", 6)],
    [Listing("`stat` of one name among 3 million", "stat giant/20040101-500.nc", 0.15, 2)],
    # One request is for its data.
    [Listing("`gdalinfo` on one of 300,000 files in a directory", f"gdalinfo {SCENE}", requests=9)],
    [Listing("`ls -f` of 3 million names of 60 bytes, to the end", "ls -f granules | wc -l | grep -qx 3000002", 12, 3300, 200)],
    [Listing("5,000 of 8 million names, then a pause of 30 s", "exec 3< <(exec ls -f eight); head -5000 <&3 | sed -n 5000p; sleep 30", requests=100, left_mb=42)],
    [
        Listing(
            "`ls -f` of 20 million names in order with 128 MiB",
            "ls -f twenty | LC_ALL=C awk 'NR > 2 && $0 \"\" <= last { bad = 1 } NR > 2 { last = $0 \"\" } END { exit bad || NR != 20000002 }'",
            requests=22_000,
            peak_mb=315,
            options=("--metadata-memory=128MiB",),
        )
    ],
    [
        Listing("`find` over 200,000 directories of 1 file, three levels deep", "find deeper | wc -l | grep -qx 414299", 25, 500, 210, options=tuple(SHORT_TTL)),
        Listing("60 s later, with the kernel's names dropped", "sleep 60; echo 2 > /proc/sys/vm/drop_caches; sleep 5", left_mb=52),
    ],
]


def _tiff():
    """A TIFF file of one byte, at its end."""
    tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 122), (277, 1), (278, 1), (279, 1)]
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + fields + bytes(4) + b"\1"


def run(work, options):
    """Measures, prints and writes the section. Says whether the bars held."""
    found = {listing: [] for listings in MOUNTS for listing in listings}
    with FakeDaac(work, *(f"--synthetic={pattern}=1000" for pattern in SYNTHETIC), **LATENCY) as fake_daac:
        fake_daac.put(SCENE, _tiff())
        for _ in range(options.rounds):
            for listings in MOUNTS:
                drop_caches()
                with mounted(_with_options(listings[0].options), fake_daac, work) as server:
                    start = resident_mib(server)
                    for listing in listings:
                        found[listing].append(_measure(listing, fake_daac, work / "mnt", server, start))
    judged = {listing: _judge(listing, rounds) for listing, rounds in found.items()}
    text = document.table(["", "wall", "requests", "peak memory", "at the end", "bar"], (row for row, _ in judged.values()))
    document.replace("Listings", _section(text, options.rounds))
    return all(held for _, held in judged.values())


def _with_options(options):
    """granulefs with further options."""
    program = PROGRAMS["granulefs"]

    def command(*where):
        words, variables = program.command(*where)
        return [*words, *options], variables

    return dataclasses.replace(program, command=command)


def _measure(listing, fake_daac, root, server, resident):
    before, _ = fake_daac.counts()
    start = time.monotonic()
    subprocess.run(["bash", "-c", listing.command], cwd=root, stdout=subprocess.DEVNULL, check=True)
    wall = time.monotonic() - start
    requests = fake_daac.counts()[0] - before
    peak, left = peak_mib(server) * 2**20 / 1e6, (resident_mib(server) - resident) * 2**20 / 1e6
    print(f"{listing.title:60} {wall:6.2f} s  {requests:5} requests  {peak:4.0f} MB  {left:+4.0f} MB at the end", flush=True)
    return wall, requests, peak, left


def _judge(listing, rounds):
    wall, requests, peak, left = map(statistics.median_low, zip(*rounds))
    bars = []
    if listing.wall is not None:
        bars.append(Bar(f"{listing.wall:g} s", wall <= listing.wall))
    if listing.requests is not None:
        bars.append(Bar(f"{listing.requests} requests", requests <= listing.requests))
    if listing.peak_mb is not None:
        bars.append(Bar(f"{listing.peak_mb} MB", peak < listing.peak_mb))
    if listing.left_mb is not None:
        bars.append(Bar(f"+{listing.left_mb} MB at the end", left <= listing.left_mb))
    return [listing.title, f"{wall:.2f} s", str(requests), f"{peak:.0f} MB", f"{left:+.0f} MB", "; ".join(map(str, bars))], all(bar.held for bar in bars)


def _section(text, rounds):
    return f"""
The same fake DAAC with 60 ms a page and 30 ms a HEAD, fresh mounts, medians of {rounds}; the bars are the limits that `scripts/bench` enforces.

{text}
"""
