import logging

import psycopg
import pytest

from config import TestingConfig
from pycoder.errors import Problem
from pycoder.extensions import db
from pycoder.http.problems import PROBLEM_JSON
from pycoder.models.audit import AuditEvent
from tests.callers import Caller, free_port

PARTS = ["type", "title", "status", "detail", "code", "request_id"]
SECRET = "hunter2-in-the-traceback"


class OneConnection(TestingConfig):
    """A pool of one connection, and hardly any patience."""

    @property
    def SQLALCHEMY_ENGINE_OPTIONS(self):
        options = super().SQLALCHEMY_ENGINE_OPTIONS
        return {**options, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0.05}


@pytest.fixture
def app_on(new_app):
    """Return a function that makes an application on a database."""
    return lambda url, *kind: new_app(*kind, DATABASE_URL=url, RATE_LIMITS="off")


def is_away(response):
    """Tell whether the answer says that the database is away, and nothing else of it."""
    assert response.status_code == 503, response.text
    assert response.content_type == PROBLEM_JSON
    assert response.json["code"] == "database_unavailable"
    assert int(response.headers["Retry-After"]) >= 1
    assert not any(word in response.text.lower() for word in ("sql", "psycopg", "connect", "read"))
    return True


def kinds(problem=Problem):
    for kind in problem.__subclasses__():
        yield from kinds(kind)
        if hasattr(kind, "code"):
            yield kind


# Their form


def test_every_problem_has_a_code_of_its_own_and_a_sentence_to_show():
    found = list(kinds())
    assert len({kind.code for kind in found}) == len(found) > 15
    for kind in found:
        assert 400 <= kind.status < 600
        assert kind.detail[0].isupper()
        assert kind.detail.endswith(".")


def test_a_problem_is_an_rfc_9457_document(client):
    response = client.get("/api/user/")
    assert response.content_type == PROBLEM_JSON
    assert list(response.json) == PARTS
    assert response.json == {
        "type": "urn:pycoder:problem:token_missing",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Please sign in.",
        "code": "token_missing",
        "request_id": response.headers["X-Request-ID"],
    }


def test_bad_input_is_told_field_by_field(client):
    response = client.post("/api/register/", json={"email": 1, "first_name": "a" * 151, "x": 1})
    assert response.status_code == 400
    assert list(response.json) == [*PARTS, "errors"]
    assert set(response.json["errors"]) == {"email", "first_name", "password", "x"}
    for reasons in response.json["errors"].values():
        assert all(isinstance(reason, str) and reason.endswith(".") for reason in reasons)


TOKENS = {
    "none": (None, "token_missing", "Bearer"),
    "another scheme": ("Basic YTpi", "token_missing", "Bearer"),
    "nonsense": ("Bearer x.y.z", "token_invalid", 'Bearer error="invalid_token"'),
}


@pytest.mark.parametrize(("header", "code", "challenge"), TOKENS.values(), ids=TOKENS)
def test_token_trouble_names_the_scheme(header, code, challenge, client):
    headers = {"Authorization": header} if header else {}
    response = client.get("/api/user/", headers=headers)
    assert (response.status_code, response.json["code"]) == (401, code)
    assert response.headers.getlist("WWW-Authenticate") == [challenge]


def test_a_revoked_token_names_the_scheme_and_the_error(ada):
    assert ada.logout(ada.tokens.access).status_code == 204
    response = ada.user()
    assert (response.status_code, response.json["code"]) == (401, "token_revoked")
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


# Defects


@pytest.fixture
def defective(app_on, tmp_path):
    """A client of an application with two defects."""
    app = app_on(f"sqlite:///{tmp_path / 'pycoder.db'}")

    @app.route("/api/boom/", methods=["GET", "POST"])
    def boom():
        raise RuntimeError(SECRET)

    @app.route("/api/table/")
    def table():
        db.session.execute(db.text("SELECT :secret FROM"), {"secret": SECRET})

    return app.test_client()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_defect_is_told_to_the_log_and_not_to_the_client(method, defective, caplog):
    with caplog.at_level(logging.ERROR):
        response = defective.open("/api/boom/", method=method)
    assert response.status_code == 500
    assert response.content_type == PROBLEM_JSON
    assert list(response.json) == PARTS
    assert response.json["code"] == "internal_error"
    assert "Retry-After" not in response.headers
    for word in (SECRET, "Traceback", "RuntimeError", "File ", ".py"):
        assert word not in response.text
    (record,) = caplog.records
    assert str(record.exc_info[1]) == SECRET


def test_no_parameter_of_a_query_reaches_the_client_or_the_log(defective, caplog):
    response = defective.get("/api/table/")
    assert response.status_code in (500, 503)
    assert "SELECT" not in response.text
    assert caplog.records
    assert SECRET not in response.text + caplog.text


EVIL = "2026-01-01 CRITICAL forged\x1b[31m\x85\u2028line".encode().decode("latin1")


def test_what_a_client_sends_makes_no_line_in_the_log(defective, caplog):
    overrides = {"QUERY_STRING": f"a=\n{EVIL}", "HTTP_USER_AGENT": f"\n{EVIL}"}
    response = defective.get("/api/boom/", environ_overrides=overrides)
    assert response.status_code == 500
    assert len(caplog.records) == 1
    assert "forged" not in caplog.text


# A database that is away


def test_a_database_out_of_reach_is_unavailable(database, app_on, tmp_path, caplog):
    nowhere = {
        "sqlite": f"sqlite:///{tmp_path}",  # a directory
        "postgresql": f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/pycoder",
    }
    caller = Caller(app_on(nowhere[database]).test_client())
    for response in (caller.register(), caller.try_login(), caller.client.get("/readyz")):
        assert is_away(response)
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
        assert is_away(response)
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
        assert is_away(response)
    assert is_away(Caller(caller.client, "bob@example.com").register())
    assert ada.refresh().status_code == 200


def test_an_exhausted_pool_is_unavailable_until_a_connection_is_back(app, ada, app_on):
    crowded = app_on(app.config["DATABASE_URL"].replace("+psycopg", ""), OneConnection)
    caller = Caller(crowded.test_client())
    with crowded.app_context(), db.engine.connect():
        assert is_away(caller.logout(refresh=ada.tokens.refresh))
    with crowded.app_context(), db.engines["autocommit"].connect():
        assert is_away(caller.try_login())
        assert is_away(caller.user(ada.tokens.access))
        assert is_away(caller.refresh(ada.tokens.refresh))
    assert caller.try_login().status_code == 200


@pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session")
def test_a_full_database_is_unavailable(app, ada, app_on):
    full = app_on(app.config["DATABASE_URL"], OneConnection)
    with full.app_context(), db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # as many as there are now
    caller = Caller(full.test_client())
    answers = (caller.try_login() for _ in range(200))
    assert is_away(next(answer for answer in answers if answer.status_code != 200))
    assert caller.user(ada.tokens.access).status_code == 200


@pytest.mark.parametrize("database", ["postgresql"], indirect=True, scope="session")
def test_connections_that_were_cut_make_no_defect(app, ada, postgres, rows):
    events = len(rows(db.select(AuditEvent.id)))
    with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [app.config["DATABASE_URL"].partition("?")[0].rpartition("/")[2]],
        )
    for call in (ada.user, ada.try_login):
        answers = (call() for _ in range(20))
        while (answer := next(answers)).status_code != 200:
            assert is_away(answer)
    assert len(rows(db.select(AuditEvent.id))) == events + 1
