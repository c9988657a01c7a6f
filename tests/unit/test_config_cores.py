"""The number of workers that a container can run, from files as the kernel writes them."""

import os

import pytest

from config import Config, DevelopmentConfig
from config_cores import WORKER_MEMORY, usable_cores, usable_workers
from tests.support.parameters import table

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
V1 = "4:cpu,cpuacct:/docker/x\n3:memory:/docker/x\n1:name=systemd:/docker/x\n0::/docker/x"
UNLIMITED = "9223372036854771712"
QUOTAS = {
    "v2": {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "100000 100000"},
    "v2, less than a core": {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "20000 100000"},
    "v2, one and a half cores": {
        "proc/self/cgroup": "0::/",
        "sys/fs/cgroup/cpu.max": "150000 100000",
    },
    "v2, of the group around": {
        "proc/self/cgroup": "0::/system.slice/pycoder.service",
        "sys/fs/cgroup/system.slice/cpu.max": "100000 100000",
        "sys/fs/cgroup/system.slice/pycoder.service/cpu.max": "max 100000",
    },
    "v1": {
        "proc/self/cgroup": V1,
        "sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us": "50000",
        "sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us": "50000",
    },
    "v1, from within": {
        "proc/self/cgroup": V1,
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    },
}
NO_QUOTAS = {
    "no cgroups": {},
    "v2": {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"},
    "v2, more than there is": {
        "proc/self/cgroup": "0::/",
        "sys/fs/cgroup/cpu.max": "99900000 100000",
    },
    "v1": {
        "proc/self/cgroup": V1,
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED,
    },
}
MEMORY = {
    "v2": {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": str(WORKER_MEMORY + 1)},
    "v2, too little for one": {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "1000"},
    "v1": {
        "proc/self/cgroup": V1,
        "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": str(WORKER_MEMORY),
    },
}


def system(folder, files):
    """Write files below a folder, as below the root of a machine."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"{text}\n")
    return folder


@table(QUOTAS)
def test_a_quota_of_cpu_time_decides(case, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    root = system(tmp_path, case)
    assert usable_cores(root) == usable_workers(root) == (1, "CPU quota")


@table(NO_QUOTAS)
def test_without_a_quota_the_cores_of_the_process_decide(case, tmp_path):
    assert usable_cores(system(tmp_path, case)) == (CORES, "cores")


@table(MEMORY)
def test_short_memory_decides(case, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    root = system(tmp_path, case)
    assert usable_workers(root) == (1, "memory")
    assert usable_cores(root) == (8, "cores")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin")
def test_the_cores_that_a_process_is_bound_to_are_its_workers(tmp_path):
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        settings = DevelopmentConfig({}, tmp_path)
        assert (settings.WEB_CONCURRENCY, settings.HASHING_THREADS) == (1, 1)
    finally:
        os.sched_setaffinity(0, allowed)


def test_the_report_says_what_decided(tmp_path):
    workers = usable_workers()
    rows = {name: value for name, value, *_ in Config({}, tmp_path).report()}
    assert rows["WEB_CONCURRENCY"] == f"{workers.number} (decided by: {workers.decided_by})"
    rows = {name: value for name, value, *_ in Config({"WEB_CONCURRENCY": "3"}, tmp_path).report()}
    assert rows["WEB_CONCURRENCY"] == "3"
