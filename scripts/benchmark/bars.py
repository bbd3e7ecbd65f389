"""Whether granulefs' bars hold."""

from dataclasses import dataclass

from workloads import GIB


@dataclass(frozen=True)
class Bar:
    text: str
    held: bool

    def __str__(self):
        return self.text if self.held else f"**missed:** {self.text}"


def bars(workload, medians):
    """The bars of a workload that the programs measured allow to judge; `medians` is by workload name and program name."""
    ours = medians[workload.name, "granulefs"]
    found = []
    if workload.wall is not None:
        found.append(Bar(f"{workload.wall:g} s", ours.wall <= workload.wall))
    theirs = medians.get((workload.name, "s3fs"))
    if workload.ratio is not None and theirs:
        ratio = theirs.wall / ours.wall
        found.append(Bar(f"s3fs takes {ratio:.1f} times as long ({workload.ratio:g})", ratio >= workload.ratio))
    if workload.cpu_per_gib is not None:
        cpu = ours.cpu / (ours.asked / GIB)
        found.append(Bar(f"{cpu:.2f} CPU s/GiB ({workload.cpu_per_gib:g})", cpu <= workload.cpu_per_gib))
    if workload.peak_mib is not None:
        found.append(Bar(f"under {workload.peak_mib} MiB", ours.peak < workload.peak_mib))
    if workload.requests is not None:
        found.append(Bar(f"{workload.requests} requests", ours.requests <= workload.requests))
    if workload.rate_of is not None:
        other, least = workload.rate_of
        rate = lambda figures: figures.asked / figures.wall
        part = rate(ours) / rate(medians[other, "granulefs"])
        found.append(Bar(f"{part:.0%} of one stream ({least:.0%})", part >= least))
    return found
