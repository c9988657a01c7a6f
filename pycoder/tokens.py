"""Session to JWT pair and back: what a token says, and whether it is still good.

Flask-JWT-Extended drives the verification and asks the loaders below; ``TokenManager`` replaces
the two methods in which it would trust its defaults.
"""

import re
import secrets
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import flask_jwt_extended as fje
from flask import Response, current_app, g
from flask_jwt_extended import JWTManager, view_decorators
from jwt import ExpiredSignatureError, InvalidTokenError
from sqlalchemy import bindparam, select

from pycoder import keys, status_list
from pycoder.errors import TokenExpired, TokenInvalid, TokenMissing, TokenRevoked, render
from pycoder.models import Session, TokenBlocklist, User, now
from pycoder.prepared import Prepared

ISSUER = "pycoder"
AUDIENCE = "pycoder"
CLOCK_SKEW = 10  # seconds that the clock of another node may be ahead
JTI = re.compile(r"[\w-]{22}", re.ASCII)
TYP = {"access": "at+jwt", "refresh": "rt+jwt"}  # RFC 8725 §3.11, RFC 9068 §2.1
CLAIMS = {
    "token_type": str,
    "exp": int,
    "iat": int,
    "jti": str,
    "user_id": int,
    "sub": str,
    "sid": str,
    "iss": str,
    "aud": str,
}
PUBLISHED_CLAIMS = {**CLAIMS, "status": dict}  # of a token that others can verify


class Pair(NamedTuple):
    access: str
    refresh: str


class Family(Protocol):
    """What a pair is issued for: a ``Session``, or its ``Standing``."""

    @property
    def sid(self) -> UUID: ...
    @property
    def user_id(self) -> int: ...
    @property
    def refresh_jti(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def rotated_at(self) -> datetime | None: ...
    @property
    def expires_at(self) -> datetime: ...
    @property
    def status_idx(self) -> int: ...


class Standing(NamedTuple):
    """A token's session, user and blocklist entry, as one SELECT found them."""

    listed_jti: str | None
    sid: UUID
    refresh_jti: str
    previous_jti: str | None
    retry_key: str | None
    rotated_at: datetime | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    transport: str
    window_at: datetime | None
    window_count: int
    status_idx: int
    user_id: int
    email: str
    email_verified: bool
    username: str
    first_name: str
    last_name: str
    is_active: bool
    date_joined: datetime

    @property
    def id(self) -> int:
        return self.user_id

    def is_over(self) -> bool:
        return self.revoked_at is not None or self.expires_at <= now() or not self.is_active

    def is_good(self, claims: dict[str, Any]) -> bool:
        """Whether the token is good: not listed, of a live session, and not rotated away."""
        rotated = claims["token_type"] == "refresh" and claims["jti"] != self.refresh_jti
        return not (self.listed_jti or self.is_over() or rotated)


_STANDING = Prepared(
    select(
        TokenBlocklist.jti.label("listed_jti"),
        Session.id.label("sid"),
        Session.refresh_jti,
        Session.previous_jti,
        Session.retry_key,
        Session.rotated_at,
        Session.created_at,
        Session.expires_at,
        Session.revoked_at,
        Session.transport,
        Session.window_at,
        Session.window_count,
        Session.status_idx,
        Session.user_id,
        User.email,
        User.email_verified,
        User.username,
        User.first_name,
        User.last_name,
        User.is_active,
        User.date_joined,
    )
    .join(User, User.id == Session.user_id)
    .outerjoin(TokenBlocklist, TokenBlocklist.jti == bindparam("jti"))
    .where(Session.id == bindparam("sid"), Session.user_id == bindparam("user_id"))
)


class TokenManager(JWTManager):
    """Flask-JWT-Extended, with the key ring in place of its one key and one algorithm.

    Its own two methods accept tokens without ``exp``, ``jti`` or type, and parse each three
    times. test_tokens.py fails when a new release calls them otherwise.
    """

    def _encode_jwt_from_config(
        self,
        identity: Family,
        token_type: str,
        claims: Any = None,
        fresh: Any = False,
        expires_delta: Any = None,
        headers: Any = None,
    ) -> str:
        """Sign one token of the session that ``identity`` is.

        A refresh token dates from its rotation, so that a retry yields the very same one.
        """
        issued_at = identity.rotated_at or identity.created_at
        expires_at = identity.expires_at
        if token_type == "access":
            issued_at = now()
            lifetime = timedelta(seconds=current_app.config["JWT_ACCESS_TOKEN_EXPIRES"])
            expires_at = min(issued_at + lifetime, expires_at)
        said = {
            "token_type": token_type,
            "exp": int(expires_at.timestamp()),
            "iat": int(issued_at.timestamp()),
            "jti": identity.refresh_jti if token_type == "refresh" else new_jti(),
            "user_id": identity.user_id,
            "sub": str(identity.user_id),
            "sid": str(identity.sid),
            "iss": ISSUER,
            "aud": AUDIENCE,
        }
        ring = keys.ring()
        if ring.is_public:
            said["status"] = status_list.reference(identity.status_idx)
        return ring.sign(said, typ=TYP[token_type])

    def _decode_jwt_from_config(
        self, encoded_token: str, csrf_value: Any = None, allow_expired: bool = False
    ) -> dict[str, Any]:
        """Return the claims of a token that we signed, with ``type`` for Flask-JWT-Extended.

        Whether it is valid for too long matters as little as whether it has expired where it is
        only to name its session.
        """
        header, claims = keys.opened(encoded_token, _judge_form if allow_expired else _judge)
        if claims["exp"] <= now().timestamp() and not allow_expired:
            expired = ExpiredSignatureError("expired")
            expired.jwt_header, expired.jwt_data = header, claims  # type: ignore[attr-defined]
            raise expired
        return {**claims, "type": claims["token_type"]}


jwt = TokenManager()


def _header(encoded_token: str) -> dict[str, Any]:
    """Return the header of a token that was just decoded, which the ring remembers.

    Flask-JWT-Extended would parse the token once more. Applications that are not ours and share
    the process keep its own way.
    """
    if "pycoder.keys" in current_app.extensions:
        return keys.opened(encoded_token, _judge)[0]
    return fje.utils.get_unverified_jwt_headers(encoded_token)


view_decorators.get_unverified_jwt_headers = _header  # type: ignore[attr-defined]


def _judge(header: dict[str, Any], claims: Any) -> None:
    """Refuse a signed token whose form is bad, or that is valid for longer than settings allow."""
    _judge_form(header, claims)
    longest: int = current_app.config[f"JWT_{claims['token_type'].upper()}_TOKEN_EXPIRES"]
    if claims["exp"] - claims["iat"] > longest:
        raise InvalidTokenError("valid for too long")


def _judge_form(header: dict[str, Any], claims: Any) -> None:
    """Refuse a signed token that lacks a claim, has one of another type, or contradicts itself.

    No claim is given a default (RFC 8725 §3.8 to §3.12), and numbers are whole numbers, since
    PyJWT would also read ``"9_999"``.
    """
    expected = CLAIMS if header["alg"] == "HS256" else PUBLISHED_CLAIMS
    if type(claims) is not dict or claims.keys() != expected.keys():
        raise InvalidTokenError("other claims than ours")
    if "status" in claims and not status_list.is_reference(claims["status"]):
        raise InvalidTokenError("a status that is not ours")
    if any(type(claims[name]) is not kind for name, kind in expected.items()):
        raise InvalidTokenError("a claim of the wrong type")
    if not (
        claims["iss"] == ISSUER
        and claims["aud"] == AUDIENCE
        and claims["token_type"] in TYP
        and header["typ"] == TYP[claims["token_type"]]
        and 0 < claims["user_id"] < 2**63  # what a database can be asked for
        and claims["sub"] == str(claims["user_id"])
        and JTI.fullmatch(claims["jti"])
        and 0 <= claims["iat"] <= claims["exp"]
        and claims["iat"] <= now().timestamp() + CLOCK_SKEW
    ):
        raise InvalidTokenError("a claim that contradicts")
    try:
        UUID(claims["sid"])
    except ValueError as error:
        raise InvalidTokenError("no session id") from error


def new_jti() -> str:
    """Return 128 random bits as text."""
    return secrets.token_urlsafe(16)


def issue(family: Family) -> Pair:
    """Sign a session's live refresh token, and a new access token."""
    return Pair(fje.create_access_token(family), fje.create_refresh_token(family))


def decode(
    token: str, token_type: str | None = None, *, allow_expired: bool = False
) -> dict[str, Any]:
    """Return the claims of a token of ours that has not expired, whether or not it is good.

    Raises PyJWT's ``InvalidTokenError``, which Flask-JWT-Extended's handlers answer with 401.
    """
    claims: dict[str, Any] = fje.decode_token(token, allow_expired=allow_expired)
    if token_type and claims["token_type"] != token_type:
        raise InvalidTokenError("a token of another type")
    return claims


def standing(claims: dict[str, Any]) -> Standing | None:
    """Look up what decides whether a token is good; None if its session is gone."""
    sid = UUID(claims["sid"])
    values = {"jti": claims["jti"], "sid": sid, "user_id": claims["user_id"]}
    row = _STANDING.read(values)
    return Standing._make(row) if row else None


def again(seen: Standing) -> Standing | None:
    """Look a session up once more, as it is after a lost race."""
    return standing({"jti": "", "sid": str(seen.sid), "user_id": seen.user_id})


def current_session() -> Standing:
    """Return the session of the token that the guard let in."""
    return fje.get_current_user()  # type: ignore[no-any-return]


@jwt.token_in_blocklist_loader
def token_in_blocklist(header: dict[str, Any], claims: dict[str, Any]) -> bool:
    """Answer for every token, in one place, whether it is no longer good."""
    g.standing = standing(claims)
    return not (g.standing and g.standing.is_good(claims))


@jwt.user_lookup_loader
def load_session(header: dict[str, Any], claims: dict[str, Any]) -> Standing | None:
    """Load what ``current_session`` returns; the blocklist callback has usually asked already."""
    return g.pop("standing", None) or standing(claims)


@jwt.unauthorized_loader
def answer_missing(reason: str) -> Response:
    return render(TokenMissing())


@jwt.invalid_token_loader
def answer_invalid(reason: str) -> Response:
    return render(TokenInvalid())


@jwt.expired_token_loader
def answer_expired(header: dict[str, Any], claims: dict[str, Any]) -> Response:
    return render(TokenExpired())


@jwt.revoked_token_loader
@jwt.user_lookup_error_loader
def answer_revoked(header: dict[str, Any], claims: dict[str, Any]) -> Response:
    return render(TokenRevoked())
