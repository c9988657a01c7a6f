"""Start, stop and describe a takeover.

Each is a use case of the command line: one call is one transaction, and commits.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from flask import current_app
from jwt import InvalidKeyError
from sqlalchemy import exists, func, select, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, fetch_one, insert_into
from pycoder.errors import InvalidInput, KeysUnreadable
from pycoder.extensions import db
from pycoder.keys.key import PUBLIC_MEMBERS, jws
from pycoder.keys.ring import current_ring
from pycoder.models.audit import AuditEvent
from pycoder.models.takeover import AdoptedToken, Takeover, TakeoverToken
from pycoder.secret_key import decrypt, encrypt

ALGORITHMS = [
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"),
]
LONGEST = timedelta(days=60)  # that a takeover runs
LONGEST_LIFETIME = timedelta(days=365)  # of a refresh token of the platform
SHORTEST_SECRET = 32  # bytes (RFC 7518 §3.2)
SHORTEST_RSA = 2048  # bits (RFC 7518 §3.3)
PURPOSE = "takeover key"  # of the key that encrypts it
RUNS = "runs"  # the state of a takeover that is in force
UNREADABLE = (
    "SECRET_KEY does not decrypt the key of the takeover. Run flask takeover start again, or flask"
    " takeover stop."
)


class Platform(NamedTuple):
    """How the platform signs its tokens, as its settings ``SIMPLE_JWT`` say."""

    key: str
    refresh_lifetime: timedelta
    algorithm: str = "HS256"
    claim: str = "user_id"
    audience: str | None = None
    issuer: str | None = None


class RunningTakeover(NamedTuple):
    """A takeover that is in force, with the key that verifies."""

    key: Any
    algorithm: str
    claim: str
    audience: str | None
    issuer: str | None
    refresh_lifetime: int
    listed: bool
    started_at: datetime
    forged_at: datetime | None


_TAKEOVER = select(Takeover.__table__)


def running_takeover() -> RunningTakeover | None:
    """Return the takeover that is in force, or ``None``. Raises ``KeysUnreadable``.

    It is read whenever a token asks for it, so that the end of a takeover is the same moment in all
    processes.
    """
    row = fetch_one(_TAKEOVER, {})
    if row is None or row.until <= now():
        return None
    secret, bound_to = current_app.config["SECRET_KEY"], row.algorithm.encode()
    try:
        key = decrypt(secret, PURPOSE, row.encrypted_key, bound_to).decode()
    except InvalidTag as error:
        current_app.logger.error(UNREADABLE)
        raise KeysUnreadable from error
    values = [getattr(row, name) for name in RunningTakeover._fields[1:]]
    return RunningTakeover(verification_key(row.algorithm, key), *values)


def verification_key(algorithm: str, key: str) -> Any:
    """Return the key that verifies: the bytes of a secret, or a public key of its PEM.

    Raises ``ValueError`` if it is none of the algorithm.
    """
    if algorithm.startswith("HS"):
        return key.encode()
    public = load_pem_public_key(key.encode())
    return cast(Any, jws.get_algorithm_by_name(algorithm)).prepare_key(public)


def start(platform: Platform, until: datetime, *, key_only: bool = False) -> None:
    """Trade the refresh tokens that a platform issued before now, until a time.

    A takeover that runs is replaced. What was traded, and which users are closed, remains. Only
    tokens of the imported list are traded, unless ``key_only``. Raises ``InvalidInput``.
    """
    started_at = now()
    _check_times(platform, until - started_at)
    _check_key(platform.algorithm, platform.key)
    listed = db.session.scalar(select(exists(select(TakeoverToken.jti)))) or False
    if listed == key_only:
        raise InvalidInput({"list": [LISTED if listed else UNLISTED]})
    secret, lifetime = current_app.config["SECRET_KEY"], platform.refresh_lifetime
    key, bound_to = platform.key.encode(), platform.algorithm.encode()
    row = platform._asdict() | {
        "encrypted_key": encrypt(secret, PURPOSE, key, bound_to),
        "refresh_lifetime": int(lifetime.total_seconds()),
        "listed": listed,
        "started_at": started_at,
        "until": until,
        "last_expiry": started_at + lifetime,
        "forged_at": None,
    }
    del row["key"]
    insert = insert_into(Takeover).values(id=1, **row)
    db.session.execute(insert.on_conflict_do_update(index_elements=[Takeover.id], set_=row))
    audit.record(Event.TAKEOVER_STARTED, reason="list" if listed else "key only")
    db.session.commit()


UNLISTED = (
    "No list of outstanding tokens was imported. Run flask takeover import first, or trade every"
    " well-signed token by --key-only: then tokens that the platform has blacklisted are good, and"
    " the key alone is enough to sign in as any user."
)
LISTED = "A list was imported, so that --key-only would be weaker. Leave it out."


def _check_times(platform: Platform, duration: timedelta) -> None:
    if not timedelta() < duration <= LONGEST:
        raise InvalidInput({"until": [f"Use a time in the next {LONGEST.days} days."]})
    if not timedelta(minutes=1) <= platform.refresh_lifetime <= LONGEST_LIFETIME:
        longest = LONGEST_LIFETIME.days
        raise InvalidInput({"refresh-lifetime": [f"Use one minute to {longest} days."]})


def _check_key(algorithm: str, key: str) -> None:
    """Check that a key suits an algorithm, is strong enough, and is none of ours.

    Raises ``InvalidInput``.
    """
    try:
        verifier = verification_key(algorithm, key)
        if algorithm.startswith("HS"):  # which refuses the text of a public key
            cast(Any, jws.get_algorithm_by_name(algorithm)).prepare_key(verifier)
    except (ValueError, TypeError, InvalidKeyError):
        raise InvalidInput({"key": [f"This is no key for {algorithm}. {WANTED}"]}) from None
    if algorithm.startswith("HS"):
        reason = len(verifier) < SHORTEST_SECRET and "A secret has at least 32 bytes."
        reason = reason or (key == current_app.config["SECRET_KEY"] and OURS)
    else:
        reason = algorithm.startswith(("RS", "PS")) and verifier.key_size < SHORTEST_RSA
        reason = (reason and "An RSA key has at least 2048 bits.") or (
            _is_published(algorithm, verifier) and OURS
        )
    if reason:
        raise InvalidInput({"key": [str(reason)]})


WANTED = "HS256, HS384 and HS512 need the secret, the others the public key in PEM."
OURS = "This key is PyCoder's own. The platform must have another one."


def _is_published(algorithm: str, public: Any) -> bool:
    """Return whether a public key is one that PyCoder publishes."""
    members = cast(Any, jws.get_algorithm_by_name(algorithm)).to_jwk(public, as_dict=True)

    def compared(jwk: dict[str, str]) -> list[str | None]:
        return [jwk.get(name) for name in PUBLIC_MEMBERS]

    return any(compared(jwk) == compared(members) for jwk in current_ring().jwks()["keys"])


def stop() -> None:
    """Trade no more tokens, at once on every node, and delete the key.

    Raises ``InvalidInput`` if no takeover runs.
    """
    in_force = update(Takeover).where(Takeover.until > now())
    if not execute_in_transaction(in_force.values(until=now(), encrypted_key=b"")):
        raise InvalidInput({"takeover": ["No takeover runs."]})
    audit.record(Event.TAKEOVER_STOPPED)
    db.session.commit()


class TakeoverStatus(NamedTuple):
    """A takeover as ``flask takeover status`` shows it. Times are UTC.

    ``outstanding`` are the tokens of the list that were not traded, and have not expired.
    """

    state: str
    mode: str
    algorithm: str
    started_at: datetime
    until: datetime
    outstanding: int | None
    traded: int
    last_traded_at: datetime | None
    refused: dict[str, int]


def describe() -> TakeoverStatus | None:
    """Return the takeover of now or the last one, or ``None`` if there is none.

    The audit trail has what was traded, and each refused user and reason at most once an hour.
    """
    row = fetch_one(_TAKEOVER, {})
    if row is None:
        return None
    events = select(AuditEvent).where(AuditEvent.at >= row.started_at).subquery()
    traded = select(func.count(), func.max(events.c.at))
    count, last = db.session.execute(
        traded.select_from(events).where(events.c.event == Event.TOKEN_ADOPTED)
    ).one()
    by_reason = select(events.c.reason, func.count().label("number")).group_by(events.c.reason)
    refused = by_reason.where(events.c.event == Event.TOKEN_ADOPTION_REFUSED)
    return TakeoverStatus(
        RUNS if row.until > now() else "is over",
        "list" if row.listed else "key only",
        row.algorithm,
        row.started_at,
        row.until,
        _count_outstanding() if row.listed else None,
        count,
        last,
        {row.reason: row.number for row in db.session.execute(refused)},
    )


def _count_outstanding() -> int:
    """Return how many tokens of the list are still to come."""
    traded = exists().where(AdoptedToken.jti == TakeoverToken.jti)
    left = (TakeoverToken.expires_at > now(), ~traded)
    return db.session.scalar(select(func.count()).select_from(TakeoverToken).where(*left)) or 0
