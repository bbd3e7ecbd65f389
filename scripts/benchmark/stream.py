"""`scripts/bench stream`: one long stream as fast as it goes, beside s3fs."""

import document
from fake_daac import FakeDaac
from bars import Bar
from measure import measure, medians
from programs import PROGRAMS
from workloads import GIB, WORKLOADS

SIZE = 2 * GIB
CACHE_MIB = 256
LEAST_RATE = 500e6


def run(work, options):
    """Measures, prints and writes the section. Says whether the bars held."""
    programs = [PROGRAMS[name] for name in ("granulefs", "s3fs")]
    figures = {program.name: [] for program in programs}
    unpaced = next(workload for workload in WORKLOADS if workload.name == "unpaced")
    with FakeDaac(work, f"--synthetic=stream/2gib.bin={SIZE}") as fake_daac:
        for number in range(options.rounds):
            for program in programs:
                # The name is looked up first: what is measured is the stream.
                found = measure(program, fake_daac, work, unpaced.run, prepare=lambda root: (root / "stream/2gib.bin").stat())
                print(f"round {number + 1}: {program.name:10} {found}", flush=True)
                figures[program.name].append(found)
    summary = {name: medians(rounds) for name, rounds in figures.items()}
    ours = summary["granulefs"]
    judged = [
        Bar(f"{LEAST_RATE / 1e6:.0f} MB/s", SIZE / ours.wall >= LEAST_RATE),
        Bar(f"{CACHE_MIB + 150} MiB resident", ours.peak <= CACHE_MIB + 150),
    ]
    text = document.table(["", "wall", "rate", "CPU s/GiB of the mount's process", "peak memory", "requests"], map(_row, summary.items()))
    print(f"\n{text}\n\nbars: {'; '.join(map(str, judged))}")
    document.replace("A stream", _section(text, summary, judged, options.rounds))
    return all(bar.held for bar in judged)


def _row(named):
    name, found = named
    rate, cpu = f"{SIZE / 1e6 / found.wall:.0f} MB/s", f"{found.cpu / (SIZE / GIB):.2f}"
    return [name, f"{found.wall:.2f} s", rate, cpu, f"{found.peak:.0f} MiB", f"{found.requests:.0f}"]


def _section(text, summary, judged, rounds):
    return f"""
One `dd bs=1M` of 2 GiB from the fake DAAC without injected latency, fresh mounts, dropped page
cache, medians of {rounds} rounds that take turns. The machine: {document.machine()}.
granulefs and s3fs {PROGRAMS["s3fs"].version()} with their defaults, which is {CACHE_MIB} MiB of cache for granulefs.

{text}

s3fs takes {summary["s3fs"].wall / summary["granulefs"].wall:.1f} times as long. Bars: {"; ".join(map(str, judged))}.
"""
