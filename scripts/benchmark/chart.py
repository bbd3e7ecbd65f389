"""The chart of the reads: a bar of wall seconds a program and workload, on a logarithmic scale. SVG written by hand."""

import math
from html import escape

from programs import PROGRAMS

LEFT, PLOT, RIGHT = 400, 440, 50
TOP, BAR, GAP = 64, 9, 12
# Seconds at the ends of the axis.
FIRST, LAST = 0.01, 100

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.value { font-size: 9px }
.axis, .limit { stroke: #8c959f; stroke-width: 1 }
.axis { opacity: .35 }
.limit { stroke: #cf222e; stroke-width: 2 }
.granulefs { fill: #0969da } .s3fs { fill: #bf8700 } .rclone { fill: #8250df }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .limit { stroke: #ff7b72 }
  .granulefs { fill: #58a6ff } .s3fs { fill: #e3b341 } .rclone { fill: #bc8cff }
}
"""


def write(path, workloads, medians):
    height = len(PROGRAMS) * BAR + GAP
    bottom = TOP + len(workloads) * height
    parts = [*_axis(bottom), *_legend()]
    for number, workload in enumerate(workloads):
        parts += _group(workload, medians, TOP + number * height)
    width = LEFT + PLOT + RIGHT
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 12}" width="{width}" role="img">\n'
        f"<title>Wall seconds of each workload for each program</title>\n<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _x(seconds):
    part = math.log(min(max(seconds, FIRST), LAST) / FIRST) / math.log(LAST / FIRST)
    return round(LEFT + part * PLOT, 1)


def _axis(bottom):
    for exponent in range(round(math.log10(FIRST)), round(math.log10(LAST)) + 1):
        x = _x(10.0**exponent)
        yield f'<line class="axis" x1="{x}" y1="{TOP - 8}" x2="{x}" y2="{bottom}"/>'
        yield f'<text x="{x}" y="{TOP - 14}" text-anchor="middle">{10.0**exponent:g} s</text>'


def _legend():
    for number, name in enumerate(PROGRAMS):
        x = LEFT + 110 * number
        yield f'<rect class="{name}" x="{x}" y="12" width="12" height="12"/><text x="{x + 18}" y="22">{name}</text>'
    x = LEFT + 110 * len(PROGRAMS)
    yield f'<line class="limit" x1="{x}" y1="12" x2="{x}" y2="24"/><text x="{x + 8}" y="22">bar of granulefs</text>'


def _group(workload, medians, top):
    middle = top + len(PROGRAMS) * BAR / 2 + 4
    yield f'<text x="{LEFT - 10}" y="{middle}" text-anchor="end">{escape(workload.title.replace("`", ""))}</text>'
    found = [(number, name, medians[workload.name, name].wall) for number, name in enumerate(PROGRAMS) if (workload.name, name) in medians]
    for number, name, wall in found:
        y, end = top + number * BAR, _x(wall)
        yield f'<rect class="{name}" x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR - 1}"/>'
        yield f'<text class="value" x="{end + 4}" y="{y + BAR - 1}">{wall:.2f}</text>'
    if workload.wall:
        x = _x(workload.wall)
        yield f'<line class="limit" x1="{x}" y1="{top - 2}" x2="{x}" y2="{top + len(PROGRAMS) * BAR + 1}"/>'
