"""PostgreSQL that freezes, stops, locks a table or has no connections left, under load."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.support.connections import ApiConnection
from tests.support.faults import frozen, locked_table, no_connection_slots, stopped
from tests.support.load import (
    CLIENTS,
    LIMITS,
    PATIENCE,
    Load,
    access_token_known_to_all,
    every_response_was_in_time,
    go_through_fault,
)
from tests.support.pgbouncer import pgbouncer
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process


# PostgreSQL


@pytest.fixture(scope="module")
def cluster(breakable_postgres):
    """A PostgreSQL server of our own, with few connection slots."""
    with psycopg.connect(breakable_postgres.get_uri(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_connections = 40")
        connection.execute("CREATE DATABASE pycoder")
    with stopped(breakable_postgres):
        pass
    return breakable_postgres


@pytest.fixture(scope="module")
def server(cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    with Server(folder, cluster.get_uri("pycoder"), RATE_LIMITS=LIMITS) as running:
        yield running


@pytest.mark.parametrize(("fault", "seconds"), [(frozen, 2.2 * PATIENCE), (stopped, 1.5)])
def test_postgresql_that_is_away_is_a_503_in_time_and_forgotten_once_it_is_back(
    fault, seconds, cluster, server
):
    with Load(server) as load:
        go_through_fault(server, load, fault(cluster), seconds, ready=503, user=503)
    assert every_response_was_in_time(load)


def test_a_locked_table_is_a_503_in_time_and_nobody_stands_in_line_for_those_who_left(
    cluster, server
):
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    in_line = []

    @contextlib.contextmanager
    def locked():
        with locked_table(cluster):
            yield
            with psycopg.connect(cluster.get_uri()) as connection:
                in_line.append(connection.execute(waiting).fetchone()[0])

    with Load(server) as load:
        go_through_fault(server, load, locked(), 3.2 * PATIENCE, ready=200, user=503)
    assert every_response_was_in_time(load)
    assert in_line[0] <= 2 * CLIENTS  # those who wait, and those who leave at this moment


def test_connection_slots_that_others_took_are_a_503_until_they_give_them_back(cluster, server):
    with Load(server) as load:
        go_through_fault(server, load, no_connection_slots(cluster), 1.5, ready=503, user=503)
    assert every_response_was_in_time(load)


@pytest.fixture(params=["directly", "by PgBouncer"])
def restarted(request, cluster, server, tmp_path):
    """A server on the cluster, and a pause after which PgBouncer connects to it again."""
    if request.param == "directly":
        yield server, 0
    else:
        with (
            pgbouncer(tmp_path, cluster.get_uri("pycoder")) as url,
            Server(tmp_path, url, RATE_LIMITS=LIMITS) as behind,
        ):
            yield behind, 1


def test_a_restart_costs_nobody_an_error_once_it_is_over(restarted, cluster):
    """All pools of all workers hold connections that have ended."""
    server, pause = restarted

    def call(n):
        with ApiConnection(server) as api:
            answers = [api.user(access), api.login(f"load{n % CLIENTS}@example.com")]
            answers.append(api.refresh(answers[1].json.get("tokens", {}).get("refresh")))
        return [answer.status for answer in answers]

    with Load(server), ThreadPoolExecutor(8) as pool:
        access = access_token_known_to_all(server)
        list(pool.map(call, range(40)))
    with stopped(cluster):
        pass
    time.sleep(pause)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, range(40))) == [[200] * 3] * 40
