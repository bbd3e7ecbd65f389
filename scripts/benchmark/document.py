"""docs/benchmarks.md: a section a measurement, each replaced by itself."""

import os
import time

from target import ROOT

DOCUMENT = ROOT / "docs" / "benchmarks.md"
HEAD = "# Benchmarks\n\nWritten by `scripts/bench`; only ratios of one run mean something, since the machine is a noisy one.\n"
ORDER = ["A stream", "Reads", "Patterns", "Listings"]


def replace(title, text):
    """Writes the section, and leaves the others as they are."""
    sections = dict(part.split("\n", 1) for part in DOCUMENT.read_text().split("\n## ")[1:])
    sections[title] = f"\n{text.strip()}\n"
    DOCUMENT.write_text(HEAD + "".join(f"\n## {name}\n\n{sections[name].strip()}\n" for name in ORDER if name in sections))


def table(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine():
    return f"{os.cpu_count()} cores, Linux {os.uname().release}, {time.strftime('%Y-%m-%d')}"
