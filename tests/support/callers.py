"""A caller of the API through Flask's test client."""

from typing import NamedTuple

from tests.support.constants import PASSWORD


class Tokens(NamedTuple):
    access: str
    refresh: str


class Caller:
    """A user with one device. It keeps the tokens of the last login."""

    def __init__(self, client, email="ada@example.com", password=PASSWORD):
        self.client, self.email, self.password = client, email, password
        self.tokens = Tokens("", "")

    def register(self, **fields):
        body = {"email": self.email, "password": self.password, **fields}
        return self._signed_in(self.client.post("/api/register/", json=body))

    def try_login(self, **fields):
        body = {"email": self.email, "password": self.password, **fields}
        return self._signed_in(self.client.post("/api/login/", json=body))

    def login(self):
        """Log in, assert that it works, and return the tokens."""
        assert self.try_login().status_code == 200
        return self.tokens

    def _signed_in(self, response):
        if response.status_code in (200, 201):
            self.tokens = Tokens(**response.json["tokens"])
        return response

    def call(self, method, path, token=None, **kwargs):
        """Call with the given access token, or with that of the last login."""
        headers = {"Authorization": f"Bearer {token or self.tokens.access}"}
        headers |= kwargs.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, **kwargs)

    def get(self, path, token=None, **kwargs):
        return self.call("GET", path, token, **kwargs)

    def user(self, token=None):
        return self.get("/api/user/", token)

    def refresh(self, token=None, key=None):
        headers = {"Idempotency-Key": key} if key else {}
        body = {"refresh": token or self.tokens.refresh}
        return self.client.post("/api/token/refresh/", json=body, headers=headers)

    def verify(self, token):
        return self.client.post("/api/token/verify/", json={"token": token})

    def revoke(self, token, **fields):
        return self.client.post("/api/token/revoke/", json={"token": token, **fields})

    def logout(self, access=None, refresh=None):
        headers = {"Authorization": f"Bearer {access}"} if access else {}
        body = {"refresh": refresh} if refresh else None
        return self.client.post("/api/logout/", json=body, headers=headers)


def outcome(answer):
    """Return the status of a success, or the code of a problem."""
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    return answer.json["code"] if answer.status_code >= 400 else answer.status_code
