"""The hashing pool: all password hashing, in a few threads that give way to everything else.

A hash takes a third of a second of a core. In the threads that serve requests, a storm of logins
would take all of them; here it waits its turn and gets what others leave of a core, and when too
many wait already, the next one is told to come back.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import TypeVar, cast

from flask import Flask, current_app

from pycoder.errors import Overloaded
from pycoder.metrics import HASHING_DEPTH, HASHING_REFUSED, HASHING_WAIT

T = TypeVar("T")


class HashingPool:
    """``threads`` that hash, and room for ``waiting`` more who give up after ``patience`` seconds.

    The threads start with the first hash, so after a server has forked its workers.
    """

    def __init__(self, *, threads: int, waiting: int, patience: float):
        cores = os.sched_getaffinity(0) if sys.platform == "linux" else set()
        self._executor = ThreadPoolExecutor(threads, "hashing", _lower_priority, (cores,))
        self._room = threading.BoundedSemaphore(threads + waiting)
        self._patience = patience

    def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns or raise what it raises; raises ``Overloaded``."""
        if not self._room.acquire(blocking=False):
            HASHING_REFUSED.inc()
            raise Overloaded
        HASHING_DEPTH.inc()
        future = self._executor.submit(_timed, work, time.perf_counter())
        future.add_done_callback(self._leave)
        try:
            return future.result(self._patience)
        except (FutureTimeout, CancelledError):
            future.cancel()
            HASHING_REFUSED.inc()
            raise Overloaded from None

    def _leave(self, _: Future[T]) -> None:
        HASHING_DEPTH.dec()
        self._room.release()


def _timed(work: Callable[[], T], asked_at: float) -> T:
    HASHING_WAIT.observe(time.perf_counter() - asked_at)
    return work()


def _lower_priority(cores: set[int]) -> None:
    """Have this thread run only where nobody else wants a core, if the platform can do that.

    At the lowest priority alone it would keep a core for the rest of its time slice; on its
    worker's core alone it would get nothing while another program takes that.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, 19)
        with suppress(OSError):  # musl and some sandboxes refuse it
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
            os.sched_setaffinity(thread, cores)


def run(work: Callable[[], T]) -> T:
    """Run one piece of hashing in the pool of the application."""
    return cast(HashingPool, current_app.extensions["pycoder.hashing"]).run(work)


def init_app(app: Flask) -> None:
    """Give the application its pool, as large as the settings say."""
    app.extensions["pycoder.hashing"] = HashingPool(
        threads=app.config["HASHING_THREADS"],
        waiting=app.config["HASHING_QUEUE"],
        patience=app.config["HASHING_PATIENCE"],
    )
