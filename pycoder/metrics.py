"""Prometheus metrics, summed over all workers of a node."""

import os
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
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
BUILD_INFO = Gauge(
    "pycoder_build_info",
    "The running version, as a label; always 1",
    ["version"],
    multiprocess_mode="max",
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
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest()
