"""The paths of docs/moving.md, in the real nginx."""

import re

import pytest

from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD, ROOT
from tests.support.nginx import Nginx
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process

PAGE = (ROOT / "docs" / "moving.md").read_text()
REWRITES = re.search(r"```nginx\n(.*?)```", PAGE, re.DOTALL)[1]
NEW_PASSWORD = "quite another pass phrase"


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    settings = {"RATE_LIMITS": "off", "TRUSTED_PROXIES": 1}
    url = f"sqlite:///{folder / 'pycoder.db'}"
    with (
        Server(folder, url, workers=1, **settings) as server,
        Nginx(tmp_path_factory.mktemp("nginx"), server, locations=REWRITES) as running,
    ):
        yield running


PATHS = {  # register, log in, refresh, verify, the user, ask for a reset
    "simplejwt": (
        *("/api/register/", "/api/token/", "/api/token/refresh/"),
        *("/api/token/verify/", "/api/user/", "/api/password/reset/"),
    ),
    "dj-rest-auth": [
        f"/dj-rest-auth/{path}/"
        for path in (
            *("registration", "login", "token/refresh"),
            *("token/verify", "user", "password/reset"),
        )
    ],
    "djoser": (
        *("/auth/users/", "/auth/jwt/create/", "/auth/jwt/refresh/"),
        *("/auth/jwt/verify/", "/auth/users/me/", "/auth/users/reset_password/"),
    ),
}


@pytest.mark.parametrize("platform", PATHS)
def test_the_paths_of_before_lead_to_pycoder(platform, nginx):
    register, login, refresh, verify, user, reset = PATHS[platform]
    me = {"email": f"{platform}@example.com", "password": PASSWORD}
    with ApiConnection(nginx) as api:
        assert api.call("POST", register, me).status == 201
        tokens = api.call("POST", login, me).json["tokens"]
        pair = api.call("POST", refresh, {"refresh": tokens["refresh"]}).json
        assert api.call("POST", verify, {"token": pair["access"]}).status == 200
        assert api.call("GET", user, access=pair["access"]).json["email"] == me["email"]
        assert api.call("POST", reset, {"email": me["email"]}).status == 202


def test_the_logout_and_the_change_of_the_password_of_before(nginx):
    me = {"email": "leaver@example.com", "password": PASSWORD}
    with ApiConnection(nginx) as api:
        access = api.call("POST", "/api/register/", me).json["tokens"]["access"]
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        changed = api.call("POST", "/auth/users/set_password/", body, access=access)
        tokens = changed.json["tokens"]
        left = api.call("POST", "/api/token/blacklist/", {"refresh": tokens["refresh"]})
        assert left.status == 204
        answer = api.call("POST", "/dj-rest-auth/token/refresh/", {"refresh": tokens["refresh"]})
        assert answer.json["code"] == "token_revoked"
