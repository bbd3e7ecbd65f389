"""What scripts/bench runs once all is built."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

import listings
import patterns
import reads
import stream
from programs import PROGRAMS

SUBCOMMANDS = {"stream": stream, "listings": listings, "reads": reads, "patterns": patterns}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures granulefs and writes docs/benchmarks.md.")
    parser.add_argument("what", nargs="?", choices=[*SUBCOMMANDS, "all"], default="all")
    parser.add_argument("--rounds", type=int, default=3, help="medians of this many [3]")
    parser.add_argument("--only", metavar="WORKLOAD", help="reads, patterns: this one only; nothing is written")
    parser.add_argument("--program", choices=PROGRAMS, help="reads, patterns: this one only; nothing is written")
    parser.add_argument("--cache-size", metavar="SIZE", help="patterns: granulefs with this one; nothing is written")
    parser.add_argument("--work", metavar="DIR", help="patterns: keep the files that are read in this folder, best one in memory")
    options = parser.parse_args()
    # So that what `with` holds is let go of.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    chosen = [options.what] if options.what in SUBCOMMANDS else list(SUBCOMMANDS)
    # In memory, so that a dropped page cache costs the fake DAAC no disk access.
    with tempfile.TemporaryDirectory(prefix="granulefs-bench-", dir="/dev/shm") as work:
        held = [SUBCOMMANDS[name].run(Path(work), options) for name in chosen]
    if not all(held):
        sys.exit("a bar was missed")


main()
