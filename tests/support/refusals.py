"""How the API accepts and refuses tokens."""

import re

INVALID = 'Bearer error="invalid_token"'
BODIES = {"token/verify": "token", "token/refresh": "refresh", "logout": "refresh"}
SAYABLE = re.compile(r"[!-+\--~]+")  # one word of a header, without a comma


def bearer(client, token, path="user", method="GET"):
    headers = {"Authorization": f"Bearer {token}"}
    return client.open(f"/api/{path}/", method=method, headers=headers)


def assert_refused(answer, code="token_invalid", challenge=INVALID):
    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.headers.getlist("WWW-Authenticate") == [challenge]
    assert (answer.json["status"], answer.json["code"]) == (401, code)


def assert_refused_everywhere(client, token, code="token_invalid"):
    """Send a token to every call that takes one.

    All refuse it but the revocation, which answers 200 for any token (RFC 7009, section 2.2).
    """
    for path, field in BODIES.items():
        assert_refused(client.post(f"/api/{path}/", json={field: token}), code)
    if SAYABLE.fullmatch(token):
        assert_refused(bearer(client, token), code)
        assert_refused(bearer(client, token, "logout", "POST"), code)
    answer = client.post("/api/token/revoke/", json={"token": token})
    assert (answer.status_code, answer.json) == (200, {})


def assert_accepted(caller):
    assert caller.user().status_code == 200
    assert caller.verify(caller.tokens.refresh).status_code == 200


# Whose token


def assert_revoked(caller, access, refresh):
    assert_refused(caller.user(access), "token_revoked")
    assert_refused(caller.verify(access), "token_revoked")
    assert_refused(caller.verify(refresh), "token_revoked")
    assert_refused(caller.refresh(refresh), "token_revoked")
