"""PyCoder as a real server: gunicorn or Granian, in processes of its own."""

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.support.application import migrated
from tests.support.commands import environment
from tests.support.connections import ApiConnection
from tests.support.constants import ROOT
from tests.support.ports import free_port


def is_running(process):
    """Return whether a process runs. A zombie does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


class Server:
    """A real server on a free port, started as ``make run`` starts it."""

    def __init__(self, folder, database_url, *, workers=2, kind="gunicorn", code=ROOT, **settings):
        self.folder, self.port = Path(folder), settings.pop("PORT", None) or free_port()
        settings = {"PYTHONPATH": code, "WEB_CONCURRENCY": workers, **settings}
        self.env = environment(database_url, PORT=self.port, **settings)
        self.command = [
            sys.executable,
            *{
                "gunicorn": ("-m", "gunicorn", "-c", f"{code}/gunicorn.conf.py", "wsgi:app"),
                "granian": ("-m", "deploy.granian_server"),
            }[kind],
        ]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.folder / "server.log"
        self.inherited = ()  # file descriptors

    def migrate(self):
        """Make the tables in this process. servers/test_server.py does it as an operator does."""
        with migrated(self.folder, DATABASE_URL=self.env["DATABASE_URL"]):
            return self

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.env,
                stdout=log,
                stderr=log,
                pass_fds=self.inherited,
            )
        try:
            self._wait_until_it_answers()
        except BaseException:  # its caller gets no server that it could stop
            self.__exit__()
            raise
        return self

    def _wait_until_it_answers(self):
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the server did not answer within 60 s"
            time.sleep(0.05)

    def _answers(self):
        with ApiConnection(self) as api, contextlib.suppress(*ApiConnection.NO_ANSWER):
            return api.call("GET", "/healthz").status == 200
        return False

    def workers(self):
        """Return the current process ids of the workers."""
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def kill(self):
        """Kill the master and every worker by SIGKILL."""
        master = psutil.Process(self.process.pid)
        master.suspend()  # so that it starts no new worker meanwhile
        workers = master.children()
        for process in [*workers, master]:
            process.kill()
        self.process.wait(10)
        deadline = time.monotonic() + 10
        while any(map(is_running, workers)):
            assert time.monotonic() < deadline, "a worker outlived its kill"
            time.sleep(0.01)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(70)  # Granian waits 30 s for a worker that was still starting

    def __enter__(self):
        return self.migrate().start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
