"""The hashing pool: hash passwords in a few threads of idle priority.

A hash takes a third of a second of CPU time. In the threads that serve requests, a burst of logins
would occupy all of them. In the pool, hashes queue and use only idle CPU time, and a full queue
rejects further ones. To do without this module, call the hash functions directly.
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
    """A pool of ``threads``, and a queue of ``waiting`` calls.

    A call gives up after ``patience`` seconds. The threads start with the first call, which is
    after a server has forked its workers. They keep their priority if they do not ``give_way``.
    """

    def __init__(self, *, threads: int, waiting: int, patience: float, give_way: bool = True):
        cores = os.sched_getaffinity(0) if sys.platform == "linux" else set()
        self._executor = ThreadPoolExecutor(threads, "hashing", _schedule, (cores, give_way))
        self._slots = threading.BoundedSemaphore(threads + waiting)
        self._patience = patience

    def run(self, function: Callable[[], T]) -> T:
        """Call ``function`` in the pool, and return its result.

        Raises ``Overloaded`` if the queue is full or too slow, or what the function raises.
        """
        if not self._slots.acquire(blocking=False):
            HASHING_REFUSED.inc()
            raise Overloaded
        HASHING_DEPTH.inc()
        future = self._executor.submit(_timed, function, time.perf_counter())
        future.add_done_callback(self._release)
        try:
            return future.result(self._patience)
        except (FutureTimeout, CancelledError):
            future.cancel()
            HASHING_REFUSED.inc()
            raise Overloaded from None

    def _release(self, _: Future[T]) -> None:
        HASHING_DEPTH.dec()
        self._slots.release()


def _timed(function: Callable[[], T], submitted_at: float) -> T:
    HASHING_WAIT.observe(time.perf_counter() - submitted_at)
    return function()


def _schedule(cores: set[int], give_way: bool) -> None:
    """Run the current thread on all ``cores``, and at idle priority, where supported.

    With the lowest ``nice`` value alone, it would occupy a core until its time slice ends. It may
    run on all ``cores``, because the core of its worker can be busy with another program.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        if give_way:
            os.setpriority(os.PRIO_PROCESS, thread, 19)
        with suppress(OSError):  # musl and some sandboxes refuse it
            if give_way:
                os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
            os.sched_setaffinity(thread, cores)


def run(function: Callable[[], T]) -> T:
    """Call a function in the pool of the current application. Raises ``Overloaded``."""
    return cast(HashingPool, current_app.extensions["pycoder.hashing"]).run(function)


def init_app(app: Flask) -> None:
    """Create the pool of the application from its settings."""
    app.extensions["pycoder.hashing"] = HashingPool(
        threads=app.config["HASHING_THREADS"],
        waiting=app.config["HASHING_QUEUE"],
        patience=app.config["HASHING_PATIENCE"],
        give_way=app.config["HASHING_GIVES_WAY"],
    )
