"""Many logins at once on a real server."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.connections import ApiConnection
from tests.support.servers import Server


def registered(api, email):
    """Register as soon as a core is idle: until then, the server is overloaded."""
    while (answer := api.register(email)).status == 503:
        time.sleep(0.05)
    return answer


@pytest.mark.untraced  # the server is another process
@pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session")
@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_a_storm_of_logins_leaves_threads_for_everybody_else(kind, new_database, tmp_path):
    settings = {"kind": kind, "workers": 1, "BCRYPT_ROUNDS": 9, "RATE_LIMITS": "off"}
    settings["PYCODER_ENV"] = "development"  # hashes give way, as in production
    with Server(tmp_path, new_database(), **settings) as server, ApiConnection(server) as api:
        access = registered(api, "ada@example.com").json["tokens"]["access"]

        def insist(_):
            with ApiConnection(server) as api:
                while api.login("ada@example.com").status == 503:
                    time.sleep(0.05)

        with ThreadPoolExecutor(30) as pool:
            storm = [pool.submit(insist, n) for n in range(30)]
            while not any(login.done() for login in storm):  # until all are there
                time.sleep(0.01)
            assert [api.user(access).status for _ in range(20)] == [200] * 20
            assert not all(login.done() for login in storm)  # the reads did not wait for them
