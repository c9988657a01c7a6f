"""A database that is out of reach, read-only, full, or out of connections."""

import select as sockets
from contextlib import ExitStack

import psycopg
import pytest
from sqlalchemy import column, select, table
from sqlalchemy.exc import DBAPIError

from config import TestingConfig
from pycoder.db.prepared import PreparedStatement
from pycoder.db.queries import autocommit
from pycoder.extensions import db
from pycoder.http.problems import PROBLEM_JSON
from pycoder.models.audit import AuditEvent
from tests.support.callers import Caller
from tests.support.ports import free_port

SECRET = "hunter2-in-the-traceback"


class OneConnection(TestingConfig):
    """A pool of one connection, and hardly any patience."""

    @property
    def SQLALCHEMY_ENGINE_OPTIONS(self):
        options = super().SQLALCHEMY_ENGINE_OPTIONS
        return {**options, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0.05}


def is_database_unavailable(response):
    """Assert that a response says only that the database is unavailable; return True."""
    assert response.status_code == 503, response.text
    assert response.content_type == PROBLEM_JSON
    assert response.json["code"] == "database_unavailable"
    assert int(response.headers["Retry-After"]) >= 1
    assert not any(word in response.text.lower() for word in ("sql", "psycopg", "connect", "read"))
    return True


# A database that is away


def test_a_database_out_of_reach_is_unavailable(database, app_on, tmp_path, caplog):
    nowhere = {
        "sqlite": f"sqlite:///{tmp_path}",  # a directory
        "postgresql": f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/pycoder",
    }
    caller = Caller(app_on(nowhere[database]).test_client())
    for response in (caller.register(), caller.try_login(), caller.client.get("/readyz")):
        assert is_database_unavailable(response)
    assert SECRET not in caplog.text
    assert "database unavailable" in caplog.text
    assert caller.user("x").status_code == 401  # whoever has no token needs no database


def test_tokens_are_neither_good_nor_bad_without_a_database(app, ada, app_on, tmp_path):
    caller = Caller(app_on(f"sqlite:///{tmp_path}").test_client())
    caller.tokens = ada.tokens
    for response in (
        caller.user(),
        caller.refresh(),
        caller.verify(ada.tokens.access),
        caller.revoke(ada.tokens.refresh),
        caller.logout(ada.tokens.access),
    ):
        assert is_database_unavailable(response)
    assert ada.refresh().status_code == 200


def read_only(url):
    """Return the URL of the same database, not to be written to."""
    if url.startswith("sqlite"):
        return url.replace("sqlite:///", "sqlite:///file:") + "?mode=ro&uri=true"
    return url + "&options=-c%20default_transaction_read_only%3Don"


def test_a_read_only_database_is_unavailable_to_writers_alone(app, ada, app_on):
    url = app.config["DATABASE_URL"].replace("+psycopg", "")
    caller = Caller(app_on(read_only(url)).test_client())
    caller.tokens = ada.tokens
    assert caller.user().status_code == 200
    for response in (caller.try_login(), caller.refresh(), caller.revoke(ada.tokens.refresh)):
        assert is_database_unavailable(response)
    assert is_database_unavailable(Caller(caller.client, "bob@example.com").register())
    assert ada.refresh().status_code == 200


@pytest.mark.parametrize("database", ["postgresql"], indirect=True, scope="session")
def test_a_database_that_was_read_only_is_written_again_without_a_restart(app, ada, postgres):
    name = app.config["DATABASE_URL"].partition("?")[0].rpartition("/")[2]
    end_all = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(postgres.get_uri(), autocommit=True) as operator:
        operator.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        try:
            operator.execute(end_all, [name])
            assert is_database_unavailable(ada.try_login())
            assert ada.user().status_code == 200
        finally:
            operator.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    answers = [ada.try_login().status_code for _ in range(20)]
    assert answers[2:] == [200] * 18  # each of two engines finds out once


def test_an_exhausted_pool_is_unavailable_until_a_connection_is_back(app, ada, app_on):
    crowded = app_on(app.config["DATABASE_URL"].replace("+psycopg", ""), OneConnection)
    caller = Caller(crowded.test_client())
    with crowded.app_context(), db.engine.connect():
        assert is_database_unavailable(caller.logout(refresh=ada.tokens.refresh))
    with crowded.app_context(), db.engines["autocommit"].connect():
        assert is_database_unavailable(caller.try_login())
        assert is_database_unavailable(caller.user(ada.tokens.access))
        assert is_database_unavailable(caller.refresh(ada.tokens.refresh))
    assert caller.try_login().status_code == 200


@pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session")
def test_a_full_database_is_unavailable(app, ada, app_on):
    full = app_on(app.config["DATABASE_URL"], OneConnection)
    with full.app_context(), db.engines["autocommit"].connect() as connection:
        connection.exec_driver_sql("VACUUM")  # no page is free that other tests have left
    with full.app_context(), db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # as many as there are now
    caller = Caller(full.test_client())
    answers = (caller.try_login() for _ in range(200))
    assert is_database_unavailable(next(answer for answer in answers if answer.status_code != 200))
    assert caller.user(ada.tokens.access).status_code == 200


@pytest.mark.parametrize("database", ["postgresql"], indirect=True, scope="session")
def test_connections_that_were_cut_make_no_defect(app, ada, postgres, rows):
    events = len(rows(db.select(AuditEvent.id)))
    with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            [app.config["DATABASE_URL"].partition("?")[0].rpartition("/")[2]],
        )
    assert [call().status_code for call in (ada.user, ada.try_login)] == [200, 200]
    assert len(rows(db.select(AuditEvent.id))) == events + 1


def test_a_fault_leaves_the_connection_to_the_next(app, ada):
    statement = PreparedStatement(select(column("it")).select_from(table("nowhere")))
    with app.app_context():
        for _ in range(2 * app.config["SQLALCHEMY_ENGINE_OPTIONS"]["pool_size"]):
            with pytest.raises(DBAPIError):
                statement.fetch_one({})
        assert db.engines["autocommit"].pool.checkedout() == 0
    assert ada.user().status_code == 200


@pytest.mark.parametrize("database", ["postgresql"], indirect=True, scope="session")
def test_of_many_dead_connections_none_is_met(app, ada, postgres):
    with app.app_context(), ExitStack() as several:
        for engine in db.engines.values():
            for _ in range(3):
                several.enter_context(engine.connect())
    with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            [app.config["DATABASE_URL"].partition("?")[0].rpartition("/")[2]],
        )
    with app.app_context(), ExitStack() as several:
        for engine in db.engines.values():
            for _ in range(3):
                connection = several.enter_context(engine.connect())
                assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    assert ada.try_login().status_code == 200


@pytest.mark.parametrize("database", ["postgresql"], indirect=True, scope="session")
def test_what_a_server_says_unasked_does_not_end_a_connection(app):
    pid = "SELECT pg_backend_pid()"
    with app.app_context():
        with autocommit() as connection:
            connection.exec_driver_sql("LISTEN news")
            before = connection.exec_driver_sql(pid).scalar()
            with db.engine.begin() as other:
                other.exec_driver_sql("NOTIFY news")
            readable = connection.connection.pgconn.socket
            assert sockets.select([readable], [], [], 5)[0]
        with autocommit() as connection:
            assert connection.exec_driver_sql(pid).scalar() == before
            connection.exec_driver_sql("UNLISTEN news")
