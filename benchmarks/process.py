"""Measure a server's processes from /proc, and stop them."""

import os
import signal
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
started = []  # all running servers, so that an interrupted benchmark stops them


def read(pid, name):
    """Return the text of a file of a process, or "" if the process has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def children(pid):
    """Return the ids of the direct children of all threads of a process."""
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
    """Return the CPU time of a process and all its descendants, in seconds."""
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


def stop(process, timeout=10):
    """Stop a server and all processes that it started, by their ids."""
    family = tree(process.pid)
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout)
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
    """Return whether a process runs; a zombie does not."""
    state = read(pid, "stat").rpartition(") ")[2]
    return bool(state) and state[0] not in "ZX"
