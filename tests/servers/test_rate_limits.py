"""Limits on real servers: counted once for all workers and nodes, and after a restart."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

import pytest
from sqlalchemy import create_engine, select

import config
from pycoder.audit import Event
from pycoder.models.audit import AuditEvent
from pycoder.models.rate_limit import RateLimit
from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD
from tests.support.parameters import on_postgresql
from tests.support.ports import free_port
from tests.support.redis_server import running_redis
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process

WRONG = "this is not the password"
MINUTE = 60


def flood(count, servers, email="ada@example.com", **headers):
    """Send so many wrong passwords at once; return the statuses in order."""
    everybody = threading.Barrier(count)

    def send(server):
        everybody.wait()
        return guess(server, email, **headers).status

    with ThreadPoolExecutor(count) as pool:
        return sorted(pool.map(send, islice(cycle(servers), count)))


def guess(server, email, password=WRONG, **headers):
    with ApiConnection(server) as api:
        return api.call("POST", "/api/login/", {"email": email, "password": password}, **headers)


def sign_up(server, email):
    with ApiConnection(server) as api:
        assert api.register(email).status == 201


def left_behind(server, statement):
    """Read the rows that a server left in its database."""
    engine = create_engine(config.database_url(server.env["DATABASE_URL"]))
    with engine.connect() as connection:
        found = list(connection.scalars(statement))
    engine.dispose()
    return found


def on_record(server, event):
    return len(left_behind(server, select(AuditEvent.id).where(AuditEvent.event == event)))


@pytest.fixture(scope="module")
def server(new_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with Server(folder, new_database(), workers=3, TRUSTED_PROXIES=1) as running:
        yield running


def test_fifty_guesses_at_once_evaluate_ten_passwords(server):
    sign_up(server, "ada@example.com")
    assert flood(50, [server]) == [400] * 10 + [429] * 40
    assert on_record(server, Event.LOGIN_REFUSED) == 10
    assert on_record(server, Event.LIMIT_REACHED) == 1


def test_crowds_in_a_known_network_and_elsewhere_have_ten_guesses_each(server):
    email, home = "grace@example.com", {"X-Forwarded-For": "203.0.113.5"}
    sign_up(server, email)
    assert guess(server, email, PASSWORD, **home).status == 200
    before = on_record(server, Event.LOGIN_REFUSED)
    for network in (home, {"X-Forwarded-For": "198.51.100.7"}):
        assert flood(20, [server], email, **network) == [400] * 10 + [429] * 10
    assert on_record(server, Event.LOGIN_REFUSED) - before == 20
    assert guess(server, email, PASSWORD).status == 200  # where the account was registered


@pytest.mark.parametrize(
    ("second", "believed"),
    [("x-forwarded-for", "198.51.100.2"), ("X_Forwarded_For", "203.0.113.1")],
    ids=["a second header comes last", "an underscore makes no header"],
)
def test_gunicorn_hands_on_what_the_proxy_wrote(second, believed, server):
    body = {"email": "nobody@example.com", "password": WRONG}
    forwarded = {"X-Forwarded-For": "203.0.113.1", second: "198.51.100.2"}
    with ApiConnection(server) as api:
        assert api.call("POST", "/api/login/", body, **forwarded).status == 400
    newest = select(AuditEvent.ip).order_by(AuditEvent.id.desc()).limit(1)
    assert left_behind(server, newest) == [believed]


def test_counters_survive_a_restart(server):
    email = "restart@example.com"
    sign_up(server, email)
    assert [guess(server, email).status for _ in range(6)] == [400] * 6
    assert server.stop() == 0
    server.start()
    assert [guess(server, email).status for _ in range(5)] == [400] * 4 + [429]


@pytest.fixture(scope="module")
def nodes(new_database, tmp_path_factory):
    """Two servers that share a Redis and a database."""
    folder, url, port = tmp_path_factory.mktemp("nodes"), new_database(), free_port()
    settings = {"workers": 2, "RATE_LIMIT_STORAGE": f"redis://127.0.0.1:{port}/0"}
    with running_redis(folder, port):
        one, other = (Server(folder, url, **settings) for _ in range(2))
        with one, other:
            yield one, other


@on_postgresql
def test_nodes_that_share_a_redis_count_together(nodes):
    sign_up(nodes[0], "ada@example.com")
    assert flood(50, nodes) == [400] * 10 + [429] * 40
    assert on_record(nodes[0], Event.LOGIN_REFUSED) == 10
    for node in nodes:
        answer = guess(node, "ada@example.com", PASSWORD)
        assert answer.status == 429
        assert 15 * MINUTE - 60 < int(answer.headers["Retry-After"]) <= 15 * MINUTE
    assert left_behind(nodes[0], select(RateLimit.key)) == []


@on_postgresql
def test_nodes_that_share_a_redis_take_turns(nodes):
    answers = [guess(node, "turns@example.com").status for node in islice(cycle(nodes), 12)]
    assert answers == [400] * 10 + [429] * 2
