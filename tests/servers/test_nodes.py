"""Four nodes behind nginx on one PostgreSQL and one Redis, with PgBouncer and without."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pycoder.db.postgresql import TimeoutConnection
from tests.support.callers import Tokens
from tests.support.clocks import until
from tests.support.connections import ApiConnection
from tests.support.constants import SOAK
from tests.support.journal import CLIENTS, Client, busy, resolve, settle
from tests.support.nginx import Nginx
from tests.support.pgbouncer import pgbouncer
from tests.support.ports import free_port
from tests.support.redis_server import running_redis
from tests.support.servers import Server

pytestmark = [
    pytest.mark.untraced,  # the servers are other processes
    pytest.mark.parametrize("database", ["postgresql"], indirect=True, scope="session"),
]
LIMITS = "login.ip=9999/minute;register.ip=9999/minute;refresh.session=9999/minute"


@pytest.fixture(scope="module", params=["directly", "by PgBouncer"])
def url(request, new_database, tmp_path_factory):
    """The address of an empty database, as the nodes are given it."""
    url = new_database()
    if request.param == "directly":
        yield url
    else:
        with pgbouncer(tmp_path_factory.mktemp("pgbouncer"), url) as pooled:
            yield pooled


@pytest.fixture(scope="module")
def nodes(url, tmp_path_factory):
    port = free_port()
    settings = {"RATE_LIMIT_STORAGE": f"redis://127.0.0.1:{port}/0", "RATE_LIMITS": LIMITS}
    settings["PUBLIC_URL"] = "http://localhost"  # the default names the port of a node
    with contextlib.ExitStack() as stack:
        stack.enter_context(running_redis(tmp_path_factory.mktemp("redis"), port))
        nodes = [
            Server(tmp_path_factory.mktemp("node"), url, workers=1, TRUSTED_PROXIES=1, **settings)
            for _ in range(4)
        ]
        nodes[0].migrate()
        with ThreadPoolExecutor() as pool:
            list(pool.map(Server.start, nodes))
        for node in nodes:
            stack.callback(node.__exit__)
        yield nodes


@pytest.fixture(scope="module")
def nginx(nodes, tmp_path_factory):
    with Nginx(tmp_path_factory.mktemp("nginx"), *nodes) as running:
        yield running


def test_what_one_node_is_told_all_others_know_at_once(nodes):
    with contextlib.ExitStack() as stack:
        one, two, three, four = [stack.enter_context(ApiConnection(node)) for node in nodes]
        assert two.register("ada@example.com").status == 201
        for _ in range(10):
            first = Tokens(**one.login("ada@example.com").json["tokens"])
            assert two.user(first.access).json["email"] == "ada@example.com"
            second = Tokens(**three.refresh(first.refresh).json)
            assert four.logout(second.access).status == 204
            for node in (one, two, three):
                assert node.user(second.access).json["code"] == "token_revoked"
            assert one.refresh(second.refresh).json["code"] == "token_revoked"
            assert two.user(first.access).json["code"] == "token_revoked"


class Proxied(ApiConnection):
    """A connection to nginx, whose own 503 tells no more than no answer."""

    def call(self, *args, **kwargs):
        answer = super().call(*args, **kwargs)
        if answer.status == 503:
            raise ConnectionError(answer.text)
        return answer


class Customer(Client):
    connect = Proxied


def test_a_pooler_is_noticed_and_gets_no_prepared_statements(url):
    with TimeoutConnection.connect(url) as connection:
        pooled = url.startswith("postgresql://postgres@127.0.0.1")
        assert (connection.prepare_threshold is None) == pooled


def calls(customers):
    """Return how many calls the customers have begun."""
    return sum(len(customer.touched) for customer in customers)


def test_nodes_that_end_under_load_lose_nothing_and_the_others_go_on(nodes, nginx):
    customers = [Customer(nginx) for _ in range(CLIENTS)]
    killed, stopped, living, _ = nodes
    for n in range(SOAK):
        if n:
            killed.start()
            stopped.start()
        with busy(nginx, customers, pause=0.02):
            time.sleep(0.2)
            killed.kill()
            wanted = calls(customers) + 2 * CLIENTS
            until(lambda wanted=wanted: calls(customers) > wanted)
            assert stopped.stop() == 0
        settle(living, customers, resolve)  # nginx tries two nodes, which may be those that ended
        for customer in customers:
            assert len(customer.unanswered) <= 4, "nginx did not move on"
            customer.unanswered.clear()
