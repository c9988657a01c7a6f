"""The published key set, and the keys that tokens name."""

from tests.support.tokens import read

ALGORITHMS = ["EdDSA", "ES256", "RS256", "HS256"]
MEMBERS = {
    "EdDSA": {"kty", "crv", "x"},
    "ES256": {"kty", "crv", "x", "y"},
    "RS256": {"kty", "n", "e"},
}
WEEK = 604_800


def jwks(caller):
    return caller.client.get("/.well-known/jwks.json")


def kids(caller):
    return [jwk["kid"] for jwk in jwks(caller).json["keys"]]


def kid_of(token):
    return read(token)[0]["kid"]


def code(answer):
    return answer.status_code if answer.status_code < 400 else answer.json["code"]
