"""gunicorn's worker with threads, made for many short requests on connections that stay.

Python runs one thread of a process at a time. What a request costs in gunicorn is above all
threads that wake each other for their turn; so there is less of it here (docs/design.md).
"""

import os
import select
import time
from contextlib import suppress

from gunicorn.workers.gthread import ThreadWorker

PAUSE = 0.00002  # seconds, for each connection, that others have for taking the next one
LINGER = 2  # milliseconds that a thread waits for the next request of its connection


class Worker(ThreadWorker):
    """gunicorn's ``gthread`` on one core, with its share of connections, each with a thread."""

    core = None  # any

    def choose_core(self, workers, others):
        """Take the core that the fewest others have, where all are to have as many workers.

        Threads of one core do not wait for another core to wake up.
        """
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
        if cores and workers % len(cores) == 0:
            self.core = min(sorted(cores), key=[other.core for other in others].count)

    def init_process(self):
        """Begin, on the chosen core, unless that has gone."""
        if self.core is not None:
            with suppress(OSError):
                os.sched_setaffinity(0, {self.core})
        super().init_process()

    def accept(self, listener):
        """Take a connection, unless a worker with fewer does so first.

        Whoever is awake would take all that come together, and keep them for as long as they
        stay, while other cores are idle.
        """
        time.sleep(PAUSE * min(self.nr_conns, 10))
        super().accept(listener)

    def handle(self, conn):
        """Answer a request, and those of the same connection that follow within moments.

        Each would be handed to the main thread and back. With more of them at work than there are
        threads, each has its turn.
        """
        kept = super().handle(conn)
        while kept is True and self.alive and self._has_threads_for_all() and _asks(conn):
            kept = super().handle(conn)
        return kept

    def _has_threads_for_all(self):
        return self.nr_conns - len(self.keepalived_conns) <= self.cfg.threads


def _asks(conn):
    """Wait a moment for the next request, or for the end of the connection."""
    poll = select.poll()
    poll.register(conn.sock, select.POLLIN)
    return bool(poll.poll(LINGER))
