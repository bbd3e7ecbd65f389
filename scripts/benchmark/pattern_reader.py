"""A process that reads one pattern.

What it imports is not counted, and it is ended when it takes too long.
"""

import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from pattern_workloads import BY_NAME
from process import bytes_read


class TooLong(Exception):
    """The pattern was not read within its time."""


class Reader:
    """Reads a pattern from a mountpoint, each step within `limit` seconds."""

    def __init__(self, pattern, limit):
        self.pattern = pattern
        self.limit = limit
        self.process = None
        # What `run` said of itself.
        self.answer = None

    def prepare(self, root):
        """Starts the process, which prepares the pattern."""
        command = [sys.executable, "-B", __file__, self.pattern.name, root]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, start_new_session=True, **pipes)
        self._line()

    def run(self, root):
        """Lets it read, and returns the bytes that its calls got."""
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()
        self.answer = json.loads(self._line())
        return self.answer["asked"]

    def end(self):
        """Ends the process and those that it has started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.communicate()

    def _line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], self.limit)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            # Before the mount is let go of, which an open file would prevent.
            self.end()
            if ready:
                raise SystemExit(f"the reader of {self.pattern.name} failed")
            raise TooLong
        return line


def seen(pattern, root):
    """What the pattern sees in the files themselves."""
    reader = Reader(pattern, limit=300)
    try:
        reader.prepare(root)
        reader.run(root)
        return reader.answer["seen"]
    finally:
        reader.end()


def _main(name, root):
    pattern, root = BY_NAME[name], Path(root)
    pattern.prepare(root)
    print("ready", flush=True)
    sys.stdin.readline()
    before, start = bytes_read(), time.monotonic()
    found = pattern.run(root)
    wall, asked = time.monotonic() - start, bytes_read() - before
    digest = None if found is None else hashlib.sha256(repr(found).encode()).hexdigest()
    note = getattr(pattern.run, "note", "")
    print(json.dumps({"wall": wall, "asked": asked, "seen": digest, "note": note}), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
