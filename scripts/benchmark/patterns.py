"""`scripts/bench patterns`: habits of readers by every program, and what guesses fetch."""

from pathlib import Path

import document
import pattern_files
from bars import Bar
from fake_daac import FakeDaac
from measure import measure, medians
from pattern_reader import Reader, TooLong, seen
from pattern_files import MB, MIB
from pattern_workloads import BY_NAME, PATTERNS
from programs import PROGRAMS, with_options

PACE = {"first_byte_latency": 0.03, "list_latency": 0.03, "bandwidth": 90 * MIB}
# Seconds that a program gets for a pattern.
LIMIT = 60
# What several connections bring, in bytes per second: what `should` is reckoned with.
RATE = 600e6


def run(work, options):
    """Measures, prints, and writes the section if nothing was left out. Says whether bars held."""
    patterns = _chosen(options.only)
    programs = _programs(options)
    folder = Path(options.work or work) / "pattern-files"
    pattern_files.make(folder, {name for pattern in patterns for name in pattern.files})
    synthetic = [f"--synthetic={key}={size}" for key, size in pattern_files.SYNTHETIC.items()]
    with FakeDaac(work, "--folder", folder, *synthetic, **PACE) as fake_daac:
        figures = _rounds(fake_daac, work, folder, patterns, programs, options.rounds)
    summary = {key: medians(rounds) for key, rounds in figures.items() if None not in rounds}
    text, held = _report(patterns, programs, summary)
    print(f"\n{text}")
    if not (options.only or options.program or options.cache_size):
        document.replace("Patterns", _section(text, programs, options.rounds))
    return held


def _chosen(only):
    if only is None:
        return PATTERNS
    if only not in BY_NAME:
        raise SystemExit(f"--only: one of {', '.join(BY_NAME)}")
    reference = BY_NAME[only].fetched_of
    return [BY_NAME[only], *([BY_NAME[reference[0]]] if reference else [])]


def _programs(options):
    programs = [program for program in PROGRAMS.values() if options.program in (None, program.name)]
    if options.cache_size is None:
        return programs
    ours = with_options(PROGRAMS["granulefs"], "--cache-size", options.cache_size)
    return [ours if program.name == "granulefs" else program for program in programs]


def _rounds(fake_daac, work, folder, patterns, programs, rounds):
    figures = {}
    for pattern in patterns:
        print(f"\n{pattern.name}: {pattern.title}", flush=True)
        truth = seen(pattern, folder) if pattern.files else None
        for _ in range(rounds):
            for program in programs:
                measured = figures.setdefault((pattern.name, program.name), [])
                # A program that took too long once is not asked again.
                if None not in measured:
                    measured.append(_once(program, pattern, fake_daac, work, truth))
    return figures


def _once(program, pattern, fake_daac, work, truth):
    reader = Reader(pattern, LIMIT)
    try:
        found = measure(program, fake_daac, work, reader.run, reader.prepare)
    except TooLong:
        print(f"{program.name:10} more than {LIMIT} s", flush=True)
        return None
    finally:
        reader.end()
    if reader.answer["seen"] != truth:
        raise SystemExit(f"{program.name} reads wrong bytes in {pattern.name}")
    counts = f"{found.gets:5} GETs  {found.most_in_flight:3} at once"
    sizes = f"{found.asked / MB:8.2f} MB asked  {found.sent / MB:8.2f} MB fetched"
    note = reader.answer["note"]
    print(f"{program.name:10} {found.wall:6.2f} s  {counts}  {sizes}  {note}", flush=True)
    return found


def _report(patterns, programs, summary):
    rows, held = [], True
    for pattern in patterns:
        for program in programs:
            title = pattern.title if program is programs[0] else ""
            found = summary.get((pattern.name, program.name))
            if found is None:
                rows.append([title, program.name, f"more than {LIMIT} s", *[""] * 5])
                continue
            judged, should = [], []
            if program.name == "granulefs":
                judged, should = _bars(pattern, found, summary), _should(pattern)
            held = held and all(bar.held for bar in judged)
            rows.append(
                [
                    title,
                    program.name,
                    f"{found.wall:.2f} s",
                    f"{found.gets}",
                    f"{found.most_in_flight}",
                    _megabytes(found.asked),
                    _megabytes(found.sent),
                    "; ".join([*map(str, judged), *should]),
                ]
            )
    columns = [
        "pattern",
        "program",
        "wall",
        "GETs",
        "most at once",
        "asked",
        "fetched",
        "bars of granulefs",
    ]
    return document.table(columns, rows), held


def _bars(pattern, ours, summary):
    found = []
    if pattern.wall is not None:
        found.append(Bar(f"{pattern.wall:g} s", ours.wall <= pattern.wall))
    if pattern.gets is not None:
        found.append(Bar(f"{pattern.gets} GETs", ours.gets <= pattern.gets))
    if pattern.fetched is not None:
        found.append(Bar(_megabytes(pattern.fetched), ours.sent <= pattern.fetched))
    if pattern.amplification is not None:
        text = f"{ours.amplification:.2f} times what is asked ({pattern.amplification:g})"
        found.append(Bar(text, ours.amplification <= pattern.amplification))
    if pattern.fetched_of is not None:
        other, times, more = pattern.fetched_of
        most = times * summary[other, "granulefs"].sent + more
        found.append(Bar(f"{_megabytes(most)}, by what it takes shuffled", ours.sent <= most))
    return found


def _should(pattern):
    if pattern.should is None:
        return []
    round_trips, size = pattern.should
    seconds = round_trips * PACE["first_byte_latency"] + size / RATE
    return [f"should be about {seconds:.1f} s, {_megabytes(size)}"]


def _megabytes(size):
    decimals = 2 if size < MB else 1 if size < 100 * MB else 0
    return f"{size / MB:.{decimals}f} MB"


def _section(text, programs, rounds):
    versions = ", ".join(f"{program.name} {program.version()}" for program in programs)
    return f"""
Habits of readers whose next reads can be guessed, and such as only look like it, with 30 ms to
the first byte and 90 MiB/s per connection. Each on a fresh mount with a dropped page cache, the
programs in turns, medians of {rounds}; a program that needs more than {LIMIT} s is ended.
{versions}, each with its defaults.
The machine: {document.machine()}.

{text}

Asked are the bytes that the readers' calls returned, fetched those that S3 sent until the end of
the mount. Bars are limits that `scripts/bench` enforces; what a pattern should cost is reckoned
from the round trips that cannot be saved and from {RATE / 1e6:.0f} MB/s. The time to start Python
is not in. What is read is compared with the files, where there are some.
"""
