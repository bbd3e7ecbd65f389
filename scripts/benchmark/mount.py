"""A fresh mount of one of the programs."""

import os
import subprocess
import threading
import time
from contextlib import contextmanager

# Whoever hangs this long is killed, so that a reader gets an error instead of waiting for ever.
LIMIT_SECONDS = 300


@contextmanager
def mounted(program, fake_daac, work):
    """Mounts the bucket of the fake DAAC with `program` at work/mnt; yields the process id of what serves it. Nothing is left behind."""
    mountpoint = work / "mnt"
    mountpoint.mkdir(exist_ok=True)
    command, variables = program.command(fake_daac, mountpoint, work)
    with open(work / f"{program.name}.log", "ab") as log:
        server = subprocess.Popen(command, env={**fake_daac.environment, **variables}, stdout=log, stderr=log)
    watchdog = threading.Timer(LIMIT_SECONDS, server.kill)
    watchdog.start()
    try:
        _wait_for(lambda: _is_mounted(mountpoint), server, program, log.name)
        yield server.pid
        subprocess.run(["umount", mountpoint], check=True)
        server.wait(timeout=30)
    finally:
        watchdog.cancel()
        if _is_mounted(mountpoint):
            subprocess.run(["umount", "-l", mountpoint])
        if server.poll() is None:
            server.kill()
            server.wait()


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as caches:
        caches.write("3")


def _is_mounted(mountpoint):
    # os.path.ismount says no where the server has died.
    with open("/proc/self/mounts") as mounts:
        return any(line.split()[1] == str(mountpoint) for line in mounts)


def _wait_for(condition, server, program, log):
    deadline = time.monotonic() + 30
    while not condition():
        if server.poll() is not None or time.monotonic() > deadline:
            with open(log) as text:
                raise SystemExit(f"{program.name} did not mount:\n{text.read()}")
        time.sleep(0.01)
