"""What a monitor may know, summed over all workers of a node (Prometheus)."""

import os
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

PROBLEMS = Counter("pycoder_problems", "Refusals and faults that clients were told about", ["code"])
HASHING_DEPTH = Gauge(
    "pycoder_hashing_depth", "Passwords being hashed or waiting for it", multiprocess_mode="livesum"
)
HASHING_WAIT = Histogram(
    "pycoder_hashing_wait_seconds",
    "How long a password waited before it was hashed",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8),
)
HASHING_REFUSED = Counter("pycoder_hashing_refused", "Passwords that found no room or no patience")
BUILD_INFO = Gauge(
    "pycoder_build_info", "The version that runs; always 1", ["version"], multiprocess_mode="max"
)
MAILS = Counter("pycoder_mails", "Tries to send a mail", ["outcome"])


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format.

    gunicorn.conf.py names the folder in which the workers keep theirs; a process by itself has
    only its own.
    """
    BUILD_INFO.labels(version("pycoder")).set(1)
    registry = CollectorRegistry(support_collectors_without_names=True)
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest()
