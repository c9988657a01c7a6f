from contextlib import ExitStack
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import String, bindparam, column, select, table, update
from sqlalchemy.exc import DBAPIError

from pycoder.clock import now
from pycoder.db.prepared import PreparedStatement
from pycoder.db.queries import autocommit, fetch_one
from pycoder.extensions import db
from pycoder.models.session import Session
from pycoder.tokens.state import _TOKEN_STATE, TokenState


def test_a_prepared_select_answers_what_sqlalchemy_answers(app, ada, rows):
    (session,) = rows(select(Session))
    values = {"jti": "none", "sid": session.id, "user_id": session.user_id}
    with app.app_context():
        prepared, usual = _TOKEN_STATE.read(values), fetch_one(_TOKEN_STATE._statement, values)
        assert _TOKEN_STATE.read({**values, "sid": uuid4()}) is None
    assert prepared == list(usual)
    assert [type(value) for value in prepared] == [type(value) for value in usual]
    assert TokenState._make(prepared).created_at == session.created_at


def test_a_prepared_update_sets_what_its_values_name_and_counts_the_rows(app, ada, rows):
    (session,) = rows(select(Session))
    statement = PreparedStatement(update(Session).where(Session.id == bindparam("sid")))
    changes = {"rotated_at": now(), "retry_key": None, "window_count": 7}
    with app.app_context():
        assert statement.write({"sid": uuid4(), **changes}) == 0
        assert statement.write({"sid": session.id, **changes}) == 1
        assert statement.write({"sid": session.id, "previous_jti": "before"}) == 1
    (after,) = rows(select(Session))
    found = {name: getattr(after, name) for name in changes}
    assert found == changes
    assert (after.previous_jti, after.refresh_jti) == ("before", session.refresh_jti)


def test_a_fault_is_told_without_the_values(app):
    nowhere = select(column("it")).select_from(table("nowhere"))
    statement = PreparedStatement(nowhere.where(column("it") == bindparam("value", type_=String)))
    with app.app_context(), pytest.raises(DBAPIError) as fault:
        statement.read({"value": "correct horse"})
    assert "nowhere" in str(fault.value)
    assert "correct horse" not in str(fault.value)


def test_a_fault_leaves_the_connection_to_the_next(app, ada):
    statement = PreparedStatement(select(column("it")).select_from(table("nowhere")))
    with app.app_context():
        for _ in range(2 * app.config["SQLALCHEMY_ENGINE_OPTIONS"]["pool_size"]):
            with pytest.raises(DBAPIError):
                statement.read({})
        assert db.engines["autocommit"].pool.checkedout() == 0
    assert ada.user().status_code == 200


@pytest.mark.parametrize("database", ["postgresql"], indirect=True, scope="session")
def test_of_many_dead_connections_only_the_first_is_met(app, ada, postgres):
    with app.app_context(), ExitStack() as several:
        for _ in range(3):
            several.enter_context(autocommit())
    with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [app.config["DATABASE_URL"].partition("?")[0].rpartition("/")[2]],
        )
    with app.app_context():
        db.engine.dispose()  # was cut as well, and is not what is looked at here
    answer = ada.user()
    assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
    assert [ada.user().status_code for _ in range(4)] == [200] * 4
