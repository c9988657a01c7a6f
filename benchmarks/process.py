"""What a server's processes use, read from /proc, and how they are ended."""

import os
import signal
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
started = []  # every server that runs, so that none is left when the benchmark is interrupted


def read(pid, name):
    """Return the text of a file of a process; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def children(pid):
    """Return the direct children of a process, whichever of its threads started them."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for task in tasks for child in read(pid, f"task/{task}/children").split()]


def tree(pid):
    found = [pid]
    for child in children(pid):
        found += tree(child)
    return found


def cpu_seconds(pid):
    """Return what a process and all its descendants have used of the processors until now."""
    total = 0
    for each in tree(pid):
        fields = read(each, "stat").rpartition(") ")[2].split()
        total += int(fields[11]) + int(fields[12]) if fields else 0
    return total / TICKS


def pss_mib(pid):
    for line in read(pid, "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def memory_per_worker(master):
    """Return the mean PSS of the worker processes, in MiB."""
    workers = [pid for pid in children(master) if "resource_tracker" not in read(pid, "cmdline")]
    return sum(map(pss_mib, workers)) / max(len(workers), 1)


def stop(process, patience=10):
    """End a server and everything that it started, by their ids."""
    family = tree(process.pid)
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    deadline = time.monotonic() + 2
    while any(map(alive, family)) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in filter(alive, family):
        os.kill(pid, signal.SIGKILL)


def stop_all():
    while started:
        stop(started.pop())


def alive(pid):
    """Tell whether a process is there; one that only waits to be collected is not."""
    state = read(pid, "stat").rpartition(") ")[2]
    return bool(state) and state[0] not in "ZX"
