"""Measure logins: alone, during other calls, and bcrypt without a server."""

import itertools
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import bcrypt

from benchmarks.plan import CLIENTS, STORM
from benchmarks.systems import PASSWORD


def raw_rate(count):
    """Return the rate of ``bcrypt.checkpw`` at cost 12 on all cores, per second."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(12))
    check = partial(bcrypt.checkpw, PASSWORD.encode())
    cores = os.cpu_count() or 1
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        pool.map(check, [hashed] * cores, chunksize=1)
        began = time.monotonic()
        pool.map(check, [hashed] * count, chunksize=1)
        return count / (time.monotonic() - began)


def rate(system, count):
    """Return the rate of logins by 8 concurrent clients, per second.

    The first and the last 8 logins do not count, because not every core is busy during them.
    """
    answered = []

    def login(number):
        system.login(number)
        answered.append(time.monotonic())

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(login, range(count + 2 * CLIENTS)))
    return count / (answered[CLIENTS + count - 1] - answered[CLIENTS - 1])


@contextmanager
def storm(system, seen):
    """Run 16 concurrent logins during the block; ``seen`` counts their statuses.

    A client waits for a second after a login that fails, as ``Retry-After`` of a 503 demands. A
    broken connection counts as ``broken``.
    """
    over = threading.Event()
    numbers = itertools.count()

    def client():
        while not over.is_set():
            try:
                status, _ = system.try_login(next(numbers))
            except OSError:
                status = "broken"
            seen[status] += 1
            if status != 200:
                over.wait(1)

    threads = [threading.Thread(target=client) for _ in range(STORM)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
