"""A gunicorn worker for many short requests on persistent connections.

Python runs one thread of a process at a time. With eight busy connections on one ``gthread``
worker, half of the CPU time goes into threads that wake each other. This worker stays on one core,
serves the next request of a connection in the same thread if it comes at once, and takes an equal
share of the connections. The core alone raises GET user on SQLite from 4,800 to 6,000 requests a
second (docs/adr/0044). To do without this worker, pass ``--worker-class gthread``.
"""

import json
import os
import select
import time
from contextlib import suppress
from http import HTTPStatus

from gunicorn.workers.gthread import ThreadWorker

ACCEPT_DELAY = 0.00002  # seconds for each open connection, before the worker accepts another one
KEEPALIVE_WAIT = 2  # milliseconds for which a thread waits for the next request of its connection


class Worker(ThreadWorker):
    """``gthread`` on one core, with an equal share of the connections."""

    core = None  # the scheduler decides

    def choose_core(self, workers, others):
        """Choose the core with the fewest workers, if all cores get as many workers.

        Threads on one core wake each other without waking another core.
        """
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
        if cores and workers % len(cores) == 0:
            self.core = min(sorted(cores), key=[other.core for other in others].count)

    def init_process(self):
        """Move to the chosen core, if it is still available, and start."""
        if self.core is not None:
            with suppress(OSError):
                os.sched_setaffinity(0, {self.core})
        super().init_process()

    def accept(self, listener):
        """Accept a connection after a delay that grows with the number of open ones.

        A worker with fewer connections accepts first. Without the delay, one worker may accept all
        connections that arrive together and keep them, while other cores are idle.
        """
        time.sleep(ACCEPT_DELAY * min(self.nr_conns, 10))
        super().accept(listener)

    def handle(self, conn):
        """Handle a request, and further ones that follow on the connection within 2 ms.

        ``gthread`` passes the connection to the main thread and back for each request. If more
        connections are active than there are threads, so does this worker, to serve them in turn.
        """
        kept = super().handle(conn)
        while (
            kept is True and self.alive and self._has_threads_for_all() and _request_follows(conn)
        ):
            kept = super().handle(conn)
        return kept

    def handle_error(self, req, client, addr, exc):
        """Answer a malformed request with a problem document in place of gunicorn's page."""
        super().handle_error(req, ProblemSocket(client), addr, exc)

    def _has_threads_for_all(self):
        return self.nr_conns - len(self.keepalived_conns) <= self.cfg.threads


class ProblemSocket:
    """A socket that sends an error page of gunicorn as a problem document (RFC 9457).

    The page repeats what could not be parsed. The document says nothing of it.
    """

    def __init__(self, sock):
        self.sock = sock

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def sendall(self, page):
        """Send the document. It has the status of the page, but 400 in place of 501.

        gunicorn responds 501 to an unknown transfer coding. A client must not cause a 5xx.
        """
        status = int(page.split(None, 2)[1])
        self.sock.sendall(_problem_response(400 if status == 501 else status))


def _problem_response(status):
    """Return the bytes of a problem response."""
    from pycoder.errors import BadRequest, InternalError
    from pycoder.http.middleware import SECURITY_HEADERS, new_request_id
    from pycoder.http.problems import PROBLEM_JSON, document

    request_id = new_request_id()
    problem = BadRequest() if status < 500 else InternalError()
    body = json.dumps(document(problem, status, request_id))
    headers = dict(SECURITY_HEADERS) | {
        "X-Request-ID": request_id,
        "Content-Type": PROBLEM_JSON,
        "Content-Length": len(body),
        "Connection": "close",
    }
    head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*head, "", body]).encode()


def _request_follows(conn):
    """Return whether a request, or the end of the connection, comes within 2 ms."""
    poll = select.poll()
    poll.register(conn.sock, select.POLLIN)
    return bool(poll.poll(KEEPALIVE_WAIT))
