"""Who may come in, and who it is."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Request, request
from flask_jwt_extended import get_jwt, jwt_required
from jwt import InvalidTokenError

from pycoder import tokens
from pycoder.audit import Client
from pycoder.auth import bp
from pycoder.auth.delivery import DEVICE_COOKIE
from pycoder.errors import TokenInvalid, TokenMissing, TokenReused
from pycoder.models import USER_AGENT_LENGTH
from pycoder.openapi import SIGNED_IN_PROBLEMS

View = Callable[..., Any]


def bearer() -> str:
    """Return the credential of the Authorization header, written as Flask-JWT-Extended wants it.

    The scheme's case does not matter (RFC 9110 §11.1). A list of credentials is what a proxy makes
    of two headers, and nobody can say which one was meant: ``TokenInvalid``.
    """
    header = request.headers.get("Authorization", "")
    if "," in header:
        raise TokenInvalid
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        return ""
    request.environ["HTTP_AUTHORIZATION"] = f"Bearer {token.strip()}"
    return token.strip()


def signed_in(view: View) -> View:
    """Let in who has a good access token."""
    guarded = jwt_required()(view)

    @wraps(view)
    def enter(*args: Any, **kwargs: Any) -> Any:
        bearer()
        return guarded(*args, **kwargs)

    return bp.refuses(*SIGNED_IN_PROBLEMS)(bp.doc(security=[{"bearer": []}])(enter))


def with_refresh_token(view: View) -> View:
    """Let in who has a refresh token of ours that has not expired.

    Whether it was used before is for the room to judge, since a second use has consequences.
    """
    guarded = jwt_required(refresh=True, locations=["json"], skip_revocation_check=True)(view)
    return bp.refuses(*SIGNED_IN_PROBLEMS, TokenReused)(guarded)


def refresh_jti() -> str:
    """Return the id of the token that ``with_refresh_token`` let in."""
    return str(get_jwt()["jti"])


def claims_sent(refresh: str | None) -> list[dict[str, Any]]:
    """Return the claims of the access token in the header, the refresh token in the body, or both.

    One that has not expired is enough. Raises ``TokenMissing`` if none was sent, else what is
    wrong with the first.
    """
    sent = [(bearer(), "access"), (refresh, "refresh")]
    claims, failures = [], []
    for token, token_type in sent:
        try:
            if token:
                claims.append(tokens.decode(token, token_type))
        except InvalidTokenError as failure:
            failures.append(failure)
    if not claims:
        raise failures[0] if failures else TokenMissing
    return claims


def client_of(request: Request) -> Client:
    """Describe who asks, bounded and printable, for the trail and the list of devices."""
    agent = request.headers.get("User-Agent", "")
    if not agent.isprintable():
        agent = "".join(c for c in agent if c.isprintable())
    return Client(
        ip=request.client_ip,  # type: ignore[attr-defined]
        user_agent=agent[:USER_AGENT_LENGTH] or None,
        request_id=request.id,  # type: ignore[attr-defined]
        device=request.cookies.get(DEVICE_COOKIE),
    )
