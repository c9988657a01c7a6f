"""Faults of databases: frozen, stopped, locked, full, and out of connections."""

import contextlib
import os
import re
import resource
import signal
import sqlite3
import subprocess
import time

import psutil
import psycopg
import pytest


@contextlib.contextmanager
def frozen(cluster):
    """Suspend every process of PostgreSQL, as when its storage or virtual machine hangs."""
    postmaster = psutil.Process(cluster.get_pid())
    held = [postmaster]
    postmaster.suspend()  # first, so that it starts no more
    try:
        for child in postmaster.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.suspend()
                held.append(child)
        yield
    finally:
        for process in reversed(held):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


@contextlib.contextmanager
def stopped(cluster):
    """Shut PostgreSQL down as an operator does, and start it again at the end."""
    postmaster = psutil.Process(cluster.get_pid())
    postmaster.send_signal(signal.SIGINT)  # "fast": clients are disconnected
    postmaster.wait(20)
    try:
        yield
    finally:
        cluster.ensure_postgres_running()


@contextlib.contextmanager
def locked_table(cluster):
    """Lock a table, as a careless migration does."""
    with psycopg.connect(cluster.get_uri("pycoder")) as connection:
        connection.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


@contextlib.contextmanager
def no_connection_slots(cluster):
    """Take every connection that PostgreSQL allows, including those of the server."""
    with contextlib.ExitStack() as ours:
        first = ours.enter_context(psycopg.connect(cluster.get_uri(), autocommit=True))
        end_theirs = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        free = True
        while free:
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    ours.enter_context(psycopg.connect(cluster.get_uri()))
            time.sleep(0.2)  # a connection that is being made is listed only later
            free = first.execute(end_theirs, ["pycoder"]).fetchall()
        yield


# SQLite


def dump(path):
    """Return a SQLite database as SQL, without the rows that the mail worker changes.

    The worker goes on for a moment after the response.
    """
    tables = r"leases|outbox|one_time_tokens|sqlite_sequence\" VALUES\('outbox"
    counted = r"rate_limits\" VALUES\('LIMITER/reset.account/unasked/"  # mails, by address
    sender = re.compile(rf'INSERT INTO "({tables}|{counted})|CREATE TABLE|COMMIT')
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [line for line in connection.iterdump() if not sender.match(line)]


@contextlib.contextmanager
def locked_file(path):
    """Lock a SQLite file as another writer does; assert that nothing changes meanwhile."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("BEGIN EXCLUSIVE")
        before = dump(path)
        yield
        assert dump(path) == before
        connection.execute("ROLLBACK")


class Tmpfs:
    """A disk of four megabytes, filled by another file."""

    def __init__(self, folder):
        self.folder = folder / "disk"
        self.folder.mkdir()

    def __enter__(self):
        command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(self.folder)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root may mount a disk; Quota tries the same without")
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    @contextlib.contextmanager
    def full(self, server, room=0):
        filler = self.folder / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        os.truncate(filler, filler.stat().st_size - room)
        yield
        filler.unlink()


class Quota:
    """A limit on the size of files, which needs no privileges."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        return self

    def __exit__(self, *_): ...

    @contextlib.contextmanager
    def full(self, server, room=0):
        size = (self.folder / "pycoder.db-wal").stat().st_size + room
        self.allow(server, size)
        yield
        self.allow(server, resource.RLIM_INFINITY)

    def allow(self, server, size):
        for worker in server.workers() if server.process.poll() is None else ():
            limits = (size, resource.RLIM_INFINITY)
            psutil.Process(worker).rlimit(psutil.RLIMIT_FSIZE, limits)
