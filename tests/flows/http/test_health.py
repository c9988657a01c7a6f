"""Health, readiness and metrics."""

import pytest
from flask_migrate import downgrade, upgrade
from prometheus_client.mmap_dict import MmapedDict

from tests.support.callers import Caller
from tests.support.ports import free_port


def test_metrics_are_for_monitors_inside(client):
    assert client.get("/metrics").status_code == 200
    outside = {"REMOTE_ADDR": "8.8.8.8"}
    assert client.get("/metrics", environ_overrides=outside).status_code == 404
    proxied = {"X-Forwarded-For": "10.0.0.1"}
    assert client.get("/metrics", headers=proxied).status_code == 404


def test_problems_are_counted(client):
    client.get("/nothing")
    assert 'pycoder_problems_total{code="not_found"}' in client.get("/metrics").text


def test_a_file_that_a_worker_is_creating_does_not_fail_the_metrics(client, tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    ended = MmapedDict(tmp_path / "counter_1.db")
    ended.write_value('["requests", "requests_total", {}, "Requests"]', 3, 0)
    ended.close()
    (tmp_path / "counter_2.db").touch()
    assert "requests_total 3.0" in client.get("/metrics").text


@pytest.fixture
def away(database, new_app, tmp_path):
    """A client of an application whose database is away."""
    nowhere = {
        "sqlite": f"sqlite:///{tmp_path}",  # a directory
        "postgresql": f"postgresql://127.0.0.1:{free_port()}/pycoder",
    }
    return new_app(DATABASE_URL=nowhere[database]).test_client()


def test_a_running_process_is_healthy(client):
    response = client.get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_a_process_is_healthy_without_its_database(away):
    assert away.get("/healthz").json == {"status": "ok"}


def test_a_migrated_database_is_ready(client):
    response = client.get("/readyz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_a_database_that_is_away_is_not_ready(away):
    response = away.get("/readyz")
    assert (response.status_code, response.json["code"]) == (503, "database_unavailable")
    assert response.headers["Retry-After"] == "2"


def test_a_database_is_ready_from_its_last_migration_on(new_database, new_app):
    app = new_app(DATABASE_URL=new_database())
    client = app.test_client()
    response = client.get("/readyz")
    assert (response.status_code, response.json["code"]) == (503, "migrations_pending")
    assert response.headers["Retry-After"] == "2"
    assert response.content_type == "application/problem+json"
    assert client.get("/healthz").status_code == 200
    for answer in (Caller(client).register(), Caller(client).try_login()):
        assert (answer.status_code, answer.json["code"]) == (503, "migrations_pending")
        assert answer.headers["Retry-After"] == "2"
    with app.app_context():
        upgrade()
    assert client.get("/readyz").status_code == 200
    with app.app_context():
        downgrade()
    assert client.get("/readyz").json["code"] == "migrations_pending"


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/.well-known/jwks.json", "/api/openapi.json"]
)
def test_the_machine_doors_need_no_token_and_take_no_other_method(path, client):
    headers = {"Authorization": "Bearer nonsense"}
    assert client.get(path, headers=headers).status_code == 200
    assert client.head(path).data == b""
    response = client.post(path, json={})
    assert (response.status_code, response.json["code"]) == (405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
