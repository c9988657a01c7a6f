"""A Django platform with a thousand signed-in users is replaced by PyCoder, on the same port."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace

import pytest

from tests.support.application import application
from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD
from tests.support.ports import free_port
from tests.support.servers import Server
from tests.support.simplejwt import (
    earlier_token,
    import_list,
    options,
    output,
    platform,
    start,
)
from tests.support.tokens import claims_of

pytestmark = pytest.mark.untraced  # the servers are other processes
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session")
USERS = range(1001, 2001)
THREADS = 8


class Client:
    """A signed-in client, which stores the access token and never looks for a new refresh token."""

    def __init__(self, number):
        self.number, self.access, self.refresh = number, "", ""

    def log_in(self, api):
        body = {"username": f"person{self.number}", "password": PASSWORD}
        self.keep(api.call("POST", "/api/login/", body))
        self.refresh = self.answer["refresh"]

    def keep(self, answer):
        assert answer.status == 200, answer.text
        self.answer = answer.json
        self.access = self.answer["access"]

    def log_out_of_django(self, api):
        assert api.call("POST", "/api/logout/", {"refresh": self.refresh}).status == 200

    def renew(self, api):
        self.keep(api.refresh(self.refresh))

    def work(self, api):
        """Ask for the user, as a frontend does: refresh after a 401, and ask again."""
        answer = api.user(self.access)
        if answer.status == 401:
            self.renew(api)
            answer = api.user(self.access)
        assert (answer.status, answer.json["id"]) == (200, self.number)


class StoringClient(Client):
    """A client that stores the new refresh token, too."""

    def keep(self, answer):
        super().keep(answer)
        self.refresh = self.answer.get("refresh", self.refresh)


class TabbedClient(Client):
    """A client with two tabs: each has the first refresh token and an access token of its own."""

    def __init__(self, number):
        super().__init__(number)
        self.other = Client(number)

    def log_in(self, api):
        super().log_in(api)
        self.other.access, self.other.refresh = self.access, self.refresh

    def renew(self, api):
        super().renew(api)
        self.other.renew(api)

    def work(self, api):
        super().work(api)
        self.other.work(api)


KINDS = (Client, StoringClient, TabbedClient)


def everywhere(port, clients, call):
    """Make a call with each client, each thread over a connection of its own."""
    shares = [clients[first::THREADS] for first in range(THREADS)]

    def use(share):
        with ApiConnection(SimpleNamespace(port=port)) as api:
            return [call(client, api) for client in share]

    with ThreadPoolExecutor(THREADS) as pool:
        return [one for share in pool.map(use, shares) for one in share]


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture
def runner(folder, new_database):
    """Return a function that runs commands on the database of PyCoder."""
    url = new_database()
    with application(folder, DATABASE_URL=url) as app:
        commands = app.test_cli_runner()
        assert commands.invoke(args=("db", "upgrade")).exit_code == 0
        yield url, lambda *words, stdin=None: commands.invoke(args=words, input=stdin)


@on_sqlite
def test_a_platform_is_replaced_and_nobody_is_signed_out(folder, runner):
    url, flask = runner
    port = free_port()
    choices = {"port": port, "database": str(folder / "django.db"), "ids": list(USERS)}
    choices = options(rotation=False, blacklist=True, **choices)
    django = platform("5.5.1", "serve", choices, folder)
    try:
        assert django.stdout.readline() == "serving\n"
        clients = [KINDS[number % 3](number) for number in USERS]
        everywhere(port, clients, lambda client, api: client.log_in(api))
        gone, clients = clients[:20], clients[20:]
        everywhere(port, gone, lambda client, api: client.log_out_of_django(api))
        everywhere(port, clients[:30], lambda client, api: client.work(api))
    finally:
        django.kill()
        django.communicate()
    output(platform("5.5.1", "export", choices, folder))
    users = flask("users", "import", str(folder / "users.jsonl"))
    assert {f"added={len(USERS)}", "existing=0", "without_password=0", "bad=0"} <= {
        *users.output.split()
    }
    tokens = import_list(flask, (folder / "outstanding.jsonl").read_text())
    assert tokens.output == f"added={len(clients)}  existing=0  bad=0\n"
    assert start(flask).exit_code == 0
    with Server(folder, url, workers=2, PORT=port):
        everywhere(port, clients, lambda client, api: client.work(api))
        for _ in range(2):  # some of each kind come again
            everywhere(port, clients[::8], lambda client, api: client.renew(api))
        everywhere(port, clients[::8], lambda client, api: client.work(api))
        refused = everywhere(port, gone, lambda client, api: api.refresh(client.refresh))
        assert {answer.json["code"] for answer in refused} == {"token_revoked"}
    told = json.loads(flask("takeover", "status", "--json").stdout)
    assert (told["traded"], told["outstanding"]) == (len(clients), 0)
    assert told["refused"] == {"not in the list": len(gone)}


@on_sqlite
def test_a_server_that_dies_during_trades_signs_nobody_out(folder, runner):
    url, flask = runner
    person = {"email": "ada@example.com", "password": PASSWORD}
    with Server(folder, url, workers=2, RATE_LIMITS="off", BCRYPT_ROUNDS=4) as server:
        with ApiConnection(server) as api:
            access = api.call("POST", "/api/register/", person).json["tokens"]["access"]
        assert start(flask, "--key-only").exit_code == 0
        tokens = [earlier_token(claims_of(access)["user_id"]) for _ in range(100)]
        begun = Event()

        def try_to_trade(token, api):
            try:
                return api.refresh(token).status
            except ApiConnection.NO_ANSWER:
                return None
            finally:
                begun.set()

        with ThreadPoolExecutor(1) as pool:
            trades = pool.submit(everywhere, server.port, tokens, try_to_trade)
            begun.wait(30)
            server.kill()
        assert None in trades.result()
        server.start()
        answers = everywhere(server.port, tokens, lambda token, api: api.refresh(token))
        assert {answer.status for answer in answers} == {200}
        assert len({claims_of(answer.json["access"])["sid"] for answer in answers}) == 100
    assert json.loads(flask("takeover", "status", "--json").stdout)["traded"] == 100
