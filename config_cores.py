"""How many workers can run here: by cores, CPU quota and memory.

A container limits CPU time and memory by cgroups, of version 1 or 2. A limit of a group also holds
for the groups in it.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

WORKER_MEMORY = 60 * 1024 * 1024  # bytes


class Workers(NamedTuple):
    """A number of workers, and what decided it."""

    number: int
    decided_by: str


def usable_cores(root: Path = Path("/")) -> Workers:
    """Return the number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quotas = [*_version_2_quotas(root), *_version_1_quotas(root)]
    limits = [Workers(cores, "cores"), *(Workers(max(1, int(q)), "CPU quota") for q in quotas)]
    return min(limits, key=lambda limit: limit.number)


def usable_workers(root: Path = Path("/")) -> Workers:
    """Return the number of workers: one for each core, fewer where memory is short."""
    memory = Workers(max(1, min(_memory_limits(root)) // WORKER_MEMORY), "memory")
    return min(usable_cores(root), memory, key=lambda limit: limit.number)


def _version_2_quotas(root: Path) -> Iterator[float]:
    for text in _read(root, "", "cpu.max"):
        quota, _, period = text.partition(" ")
        with suppress(ValueError, ZeroDivisionError):  # "max" is no quota
            yield int(quota) / int(period)


def _version_1_quotas(root: Path) -> Iterator[float]:
    quotas, periods = (_read(root, "cpu", f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    for quota, period in zip(quotas, periods, strict=False):
        with suppress(ValueError, ZeroDivisionError):
            if int(quota) > 0:  # -1 is no quota
                yield int(quota) / int(period)


def _memory_limits(root: Path) -> Iterator[int]:
    yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    texts = [*_read(root, "", "memory.max"), *_read(root, "memory", "memory.limit_in_bytes")]
    yield from (int(text) for text in texts if text.isdigit())


def _read(root: Path, controller: str, name: str) -> Iterator[str]:
    """Yield a file of the group of this process, and of each group around it.

    In a container, the path of its group may not be visible; the groups that are visible count.
    """
    mount = root / "sys/fs/cgroup" / controller
    for folder in _groups(root, controller):
        with suppress(OSError):
            yield (mount / folder / name).read_text().strip()


def _groups(root: Path, controller: str) -> Iterator[Path]:
    with suppress(OSError):  # there are no cgroups here
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                group = Path(path.lstrip("/"))
                yield from (group, *group.parents)
