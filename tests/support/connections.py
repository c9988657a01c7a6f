"""A client's HTTP connection to a real server."""

import http.client
import json
from typing import NamedTuple

from tests.support.constants import PASSWORD


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self):
        return json.loads(self.text)


class ApiConnection:
    """A client's connection to a server. It never sends a request twice.

    A call raises one of ``NO_ANSWER`` if no response comes. The next call connects anew.
    """

    NO_ANSWER = (OSError, http.client.HTTPException)

    def __init__(self, server):
        if tls := getattr(server, "tls", None):
            self.connection = http.client.HTTPSConnection(
                "127.0.0.1", server.port, timeout=20, context=tls
            )
        else:
            self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def call(self, method, path, body=None, access=None, **headers):
        if access:
            headers["Authorization"] = f"Bearer {access}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        sent = None if body is None else json.dumps(body)
        try:
            self.connection.request(method, path, sent, headers)
            response = self.connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        except self.NO_ANSWER:
            self.connection.close()
            raise

    def register(self, email):
        return self.call("POST", "/api/register/", {"email": email, "password": PASSWORD})

    def login(self, email):
        return self.call("POST", "/api/login/", {"email": email, "password": PASSWORD})

    def user(self, access):
        return self.call("GET", "/api/user/", access=access)

    def refresh(self, token, key=None):
        headers = {"Idempotency-Key": key} if key else {}
        return self.call("POST", "/api/token/refresh/", {"refresh": token}, **headers)

    def verify(self, token):
        return self.call("POST", "/api/token/verify/", {"token": token})

    def logout(self, access):
        return self.call("POST", "/api/logout/", access=access)
