"""`scripts/bench reads`: every workload by every program, in turns."""

import filecmp

import chart
import document
import granules
from fake_daac import FakeDaac
from bars import bars
from measure import measure, medians
from mount import mounted
from programs import PROGRAMS
from workloads import GRANULES, MIB, SYNTHETIC, WORKLOADS, warm_tools

# The manners of S3 in its region.
PACE = {"first_byte_latency": 0.03, "list_latency": 0.03, "bandwidth": 90 * MIB}
UNPACED = {knob: 0 for knob in PACE}


def run(work, options):
    """Measures, prints, and writes the section and the chart if nothing was left out. Says whether all bars held."""
    workloads = _with_references([workload for workload in WORKLOADS if options.only in (None, workload.name)])
    if not workloads:
        raise SystemExit(f"--only: one of {', '.join(workload.name for workload in WORKLOADS)}")
    programs = [program for program in PROGRAMS.values() if options.program in (None, program.name)]
    originals = granules.write(work / "folder" / "granules", GRANULES)
    synthetic = [f"--synthetic={pattern}={size}" for pattern, size in SYNTHETIC.items()]
    with FakeDaac(work, "--folder", work / "folder", *synthetic) as fake_daac:
        for program in programs:
            _compare(program, fake_daac, work, originals)
        figures = _rounds(fake_daac, work, workloads, programs, originals, options.rounds)
    summary = {key: medians(rounds) for key, rounds in figures.items()}
    text, held = _report(workloads, programs, summary)
    print(f"\n{text}")
    if len(workloads) == len(WORKLOADS) and len(programs) == len(PROGRAMS):
        chart.write(document.ROOT / "docs" / "benchmarks.svg", workloads, summary)
        document.replace("Reads", _section(text, programs, summary, options.rounds))
    return held


def _with_references(workloads):
    needed = {workload.name for workload in workloads} | {workload.rate_of[0] for workload in workloads if workload.rate_of}
    return [workload for workload in WORKLOADS if workload.name in needed]


def _compare(program, fake_daac, work, originals):
    with mounted(program, fake_daac, work):
        for original in originals:
            if not filecmp.cmp(original, work / "mnt" / "granules" / original.name, shallow=False):
                raise SystemExit(f"{program.name} reads wrong bytes from {original.name}")


def _takers(workload, programs):
    return [program for program in programs if program.name == "granulefs" or not workload.alone]


def _rounds(fake_daac, work, workloads, programs, originals, rounds):
    figures = {}
    for number in range(rounds):
        for workload in workloads:
            fake_daac.set_knobs(PACE if workload.paced else UNPACED)
            print(f"\nround {number + 1}: {workload.title}", flush=True)
            for program in _takers(workload, programs):
                found = measure(program, fake_daac, work, workload.run, workload.prepare, lambda: warm_tools(originals))
                print(f"{program.name:10} {found}", flush=True)
                figures.setdefault((workload.name, program.name), []).append(found)
    return figures


def _report(workloads, programs, summary):
    rows, held = [], True
    for workload in workloads:
        takers = _takers(workload, programs)
        for program in takers:
            found = summary[workload.name, program.name]
            judged = bars(workload, summary) if program.name == "granulefs" else []
            held = held and all(bar.held for bar in judged)
            title = workload.title if program is takers[0] else ""
            rows.append([
                title,
                program.name,
                f"{found.wall:.2f} s",
                f"{found.cpu:.2f} s",
                f"{found.peak:.0f} MiB",
                f"{found.requests:.0f}",
                f"{found.amplification:.2f}",
                "; ".join(map(str, judged)),
            ])
    columns = ["workload", "program", "wall", "CPU", "peak memory", "requests", "amplification", "bars of granulefs"]
    return document.table(columns, rows), held


def _section(text, programs, summary, rounds):
    versions = ", ".join(f"{program.name} {program.version()}" for program in programs)
    fake_daac_cpu = {name: summary[name, "granulefs"].fake_daac_cpu for name in ("stream", "unpaced")}
    return f"""
The fake DAAC with 30 ms to the first byte of any answer and 90 MiB/s per connection, as S3 has in its region. Each
workload on a fresh mount with a dropped page cache, the programs in turns, medians of {rounds}. {versions}, each with its
defaults. The machine: {document.machine()}.

![Wall seconds of each workload for each program](benchmarks.svg)

{text}

Wall includes looking up and opening. CPU and peak memory are of the mount's process. Requests are those that S3 got, and
amplification is the bytes that it sent over the bytes that the readers' calls returned, both counted by the fake DAAC and to the
end of the mount. "Again" begins when `fincore` finds the whole file in the page cache: this machine's kernel pages out idle pages
by itself (DAMON). The fake DAAC itself takes {fake_daac_cpu["stream"]:.2f} s of CPU for a stream of 2 GiB, and {fake_daac_cpu["unpaced"]:.2f} s without latency.
The time to start `dd`, `cat` and `ncdump` is in, that of Python is not. rclone is no match for interleaved readers: it opens the
object anew at each change of place, and took 162 s for 512 MiB.
"""
