"""Measure the status lists of a million sessions.

``.venv/bin/python -m benchmarks.status_lists`` runs in one process, on each database, and prints
medians over all full lists.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

from flask_migrate import upgrade

from benchmarks import databases
from config import TestingConfig
from pycoder import create_app
from pycoder.extensions import db
from pycoder.tokens import status_list
from pycoder.tokens.status_list import LIST_SIZE

ROWS = 1_000_000
FIRST = databases.FIRST_ID // LIST_SIZE + 1  # the first list that is full
LISTS = range(FIRST, FIRST + ROWS // LIST_SIZE - 1)
CHANCE = {"sqlite": "abs(random()) % {} = 0", "postgresql": "random() * {} < 1"}


def medians(work, items):
    """Return the median wall time and CPU time of an item in ms, and all results."""
    walls, cpus, results = [], [], []
    for item in items:
        wall, cpu = time.perf_counter(), time.process_time()
        results.append(work(item))
        walls.append((time.perf_counter() - wall) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    return statistics.median(walls), statistics.median(cpus), results


def build(name):
    status_list._build_token.cache_clear()
    wall, cpu, tokens = medians(status_list.status_list_token, LISTS)
    size = statistics.median(map(len, tokens)) / 1024
    print(f"  {name}: build a list {wall:.0f} ms ({cpu:.0f} CPU of the node), {size:.1f} KiB")


def measure(app, database):
    client = app.test_client()
    client.post("/api/register/", json={"email": "a@example.com", "password": "one two three four"})
    databases.grow(database, ROWS)
    with database.connect() as connection:
        connection.execute(f"UPDATE status_counter SET last = {databases.FIRST_ID + ROWS}")
        build("all live")
        for name, share in (("a tenth ended", 10), ("more than half ended", 2)):
            ended = CHANCE[database.kind].format(share)
            connection.execute(f"UPDATE sessions SET revoked_at = created_at WHERE {ended}")
            database.settle()
            build(name)
    path = f"/.well-known/status/{FIRST}.jwt"
    served, _, _ = medians(lambda _: client.get(path), range(99))
    allocated, _, _ = medians(lambda _: status_list.allocate_index(), range(99))
    print(f"  serve a cached list {served:.2f} ms, allocate an index {allocated:.2f} ms")


def main():
    print(f"load {os.getloadavg()[0]:.1f}, {ROWS} sessions, {LIST_SIZE} indices a list")
    for kind in ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory() as name, databases.server(kind, Path(name)) as run:
            database, version = run[0](Path(name)), run[1]
            settings = {"SECRET_KEY": "k" * 40, "DATABASE_URL": database.url, "RATE_LIMITS": "off"}
            app = create_app(TestingConfig(settings, Path(name)))
            print(version)
            with app.app_context():
                upgrade()
                measure(app, database)
                for engine in db.engines.values():
                    engine.dispose()


if __name__ == "__main__":
    main()
