"""Prometheus metrics, summed over all workers of a node."""

import os
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

PROBLEMS = Counter("pycoder_problems", "Problem responses, by code", ["code"])
HASHING_DEPTH = Gauge(
    "pycoder_hashing_depth",
    "Passwords that are being hashed or waiting",
    multiprocess_mode="livesum",
)
HASHING_WAIT = Histogram(
    "pycoder_hashing_wait_seconds",
    "Seconds that a password waited before it was hashed",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8),
)
HASHING_REFUSED = Counter(
    "pycoder_hashing_refused", "Passwords rejected because the queue was full or too slow"
)
FORWARDED_IGNORED = Counter(
    "pycoder_forwarded_ignored", "Headers X-Forwarded-For that were not believed", ["reason"]
)
BUILD_INFO = Gauge(
    "pycoder_build_info",
    "The running version, as a label; always 1",
    ["version"],
    multiprocess_mode="max",
)
SESSIONS_REUSED = Counter(
    "pycoder_sessions_reused",
    "Sessions ended by a reused refresh token, by whether its successor was used",
    ["successor"],
)
MAILS = Counter("pycoder_mails", "Attempts to send a mail, by outcome", ["outcome"])


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format.

    The workers of gunicorn write theirs to the directory ``PROMETHEUS_MULTIPROC_DIR``, which
    gunicorn.conf.py sets. Without it, only those of this process are returned.
    """
    BUILD_INFO.labels(version("pycoder")).set(1)
    registry = CollectorRegistry(support_collectors_without_names=True)
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        AllWorkersCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest()


class AllWorkersCollector(MultiProcessCollector):
    """The metrics of all workers, without the files that are being created.

    A new file is empty until its worker has extended it. To the library that is an error.
    """

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of all files that are not empty."""
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        files = [str(path) for path in folder.glob("*.db") if _is_written(path)]
        return self.merge(files)  # type: ignore[no-untyped-call,no-any-return]


def _is_written(path: Path) -> bool:
    with suppress(FileNotFoundError):  # its worker has just exited
        return path.stat().st_size > 0
    return False
