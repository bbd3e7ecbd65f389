"""One run of a workload on a fresh mount, and what it cost."""

import os
import statistics
import time
from dataclasses import astuple, dataclass

from fake_daac import S3_REQUESTS
from mount import drop_caches, mounted
from process import bytes_read, cpu_seconds, peak_mib


@dataclass(frozen=True)
class Figures:
    """Seconds, CPU seconds and peak MiB of the mount's process; S3 requests and bytes as the fake DAAC counted them."""

    wall: float
    cpu: float
    peak: float
    requests: float
    gets: float
    # GETs under way at a time.
    most_in_flight: float
    sent: float
    asked: float
    fake_daac_cpu: float

    @property
    def amplification(self):
        return self.sent / self.asked

    def __str__(self):
        return (
            f"{self.wall:6.2f} s  {self.cpu:5.2f} s CPU  {self.peak:5.0f} MiB  {self.requests:5.0f} requests  "
            f"{self.amplification:5.2f} x  (fake DAAC {self.fake_daac_cpu:.2f} s CPU)"
        )


def nothing(*_):
    """A step that a measurement does without."""


def measure(program, fake_daac, work, run, prepare=nothing, warm=nothing):
    """Times `run`, a function of the mountpoint, after `prepare` on the same mount. `warm` follows the dropping of the page cache.

    `run` returns the bytes that were asked, or None where those of this process and its children are.
    """
    drop_caches()
    warm()
    with mounted(program, fake_daac, work) as server:
        root = work / "mnt"
        prepare(root)
        fake_daac.reset()
        server_before, fake_daac_before, read_before = cpu_seconds(server), fake_daac.cpu(), bytes_read()
        start = time.monotonic()
        asked = run(root)
        wall = time.monotonic() - start
        if asked is None:
            asked = bytes_read() - read_before
        guesses = _guesses(root)
        cpu, fake_daac_cpu, peak = cpu_seconds(server) - server_before, fake_daac.cpu() - fake_daac_before, peak_mib(server)
    # Looked at after the end, so that read-ahead that nobody waited for counts as well.
    stats = fake_daac.stats()
    requests = sum(stats[kind] for kind in S3_REQUESTS)
    if guesses:
        print(f"guesses, MB granted/read/wasted: {guesses}", flush=True)
    return Figures(wall, cpu, peak, requests, stats["gets"], stats["most_gets_in_flight"], stats["sent"], asked, fake_daac_cpu)


def _guesses(root):
    """What granulefs says of its guesses."""
    try:
        text = os.getxattr(root, "user.granulefs.statistics").decode()
    except OSError:
        return ""
    found = {}
    for line in text.splitlines():
        name, value = line.split()
        if name.startswith("guess."):
            _, kind, _ = name.split(".")
            found.setdefault(kind, []).append(int(value) / 1e6)
    return ", ".join(f"{kind} {'/'.join(f'{value:.1f}' for value in values)}" for kind, values in found.items() if any(values))


def medians(figures):
    return Figures(*map(statistics.median_low, zip(*map(astuple, figures))))
