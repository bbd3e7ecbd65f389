"""The fake DAAC: a process, its variables, its own counts."""

import json
import os
import shlex
import subprocess
import time
import urllib.parse
import urllib.request

from process import cpu_seconds
from target import release

S3_REQUESTS = ("lists", "gets", "heads", "probes", "forbidden")


class FakeDaac:
    """Runs as long as the `with` block."""

    def __init__(self, work, *options, **knobs):
        self.env_file = work / "fake-daac.env"
        self.env_file.unlink(missing_ok=True)
        command = [release("fake-daac"), "--env-file", self.env_file, "--knobs", json.dumps(knobs), *options]
        with open(work / "fake-daac.log", "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def __enter__(self):
        deadline = time.monotonic() + 30
        # Its last line is the last it writes, so a whole file ends in it.
        while not (self.env_file.exists() and "EARTHDATA_PASSWORD=" in self.env_file.read_text()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise SystemExit(f"the fake DAAC did not start, see {self.env_file.with_suffix('.log')}")
            time.sleep(0.02)
        self.variables = dict(word.split("=", 1) for word in shlex.split(self.env_file.read_text()))
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def __getitem__(self, variable):
        return self.variables[variable]

    @property
    def environment(self):
        return {**os.environ, **self.variables}

    def counts(self):
        """Requests that S3 got, and bytes of bodies that it sent, since the start or the last reset."""
        stats = self.stats()
        return sum(stats[kind] for kind in S3_REQUESTS), stats["sent"]

    def stats(self):
        """All its counts since the start or the last reset, by name."""
        with urllib.request.urlopen(f"{self['FAKE_DAAC_CONTROL']}/stats") as answer:
            return json.load(answer)

    def reset(self):
        """Begins to count anew."""
        request = urllib.request.Request(f"{self['FAKE_DAAC_CONTROL']}/reset", method="POST")
        urllib.request.urlopen(request).close()

    def set_knobs(self, knobs):
        """Changes knobs; times are in seconds, rates in bytes per second."""
        request = urllib.request.Request(f"{self['FAKE_DAAC_CONTROL']}/knobs", json.dumps(knobs).encode(), method="PUT")
        urllib.request.urlopen(request).close()

    def put(self, key, content):
        """Stores an object in the bucket."""
        query = urllib.parse.urlencode({"bucket": self["FAKE_DAAC_BUCKET"], "key": key})
        request = urllib.request.Request(f"{self['FAKE_DAAC_CONTROL']}/put?{query}", content, method="POST")
        urllib.request.urlopen(request).close()

    def cpu(self):
        """CPU seconds that it has used."""
        return cpu_seconds(self.process.pid)
