"""What the kernel knows of a process."""

import os


def cpu_seconds(pid):
    """User and system time."""
    with open(f"/proc/{pid}/stat") as stat:
        # The name before the parenthesis may hold anything.
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    """The most memory that was resident at a time."""
    return _status(pid, "VmHWM")


def resident_mib(pid):
    """The memory that is resident."""
    return _status(pid, "VmRSS")


def _status(pid, name):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024


def bytes_read():
    """Bytes that read calls returned to this process and to its children that have ended."""
    with open("/proc/self/io") as io:
        return int(io.readline().split()[1])
