"""Sessions: login, refresh, logout, revocation. One public function is one transaction."""

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from flask import current_app
from sqlalchemy import ColumnElement, bindparam, delete, select, update

from pycoder import audit, devices, passwords, throttle, tokens
from pycoder.audit import Client, Event
from pycoder.errors import (
    InvalidCredentials,
    NotFound,
    Overloaded,
    TokenReused,
    TokenRevoked,
    TooManyRequests,
)
from pycoder.extensions import changed, db, insert, read, write
from pycoder.models import AuditEvent, Session, TokenBlocklist, User, canonical, now
from pycoder.tokens import Pair, Standing

RETRY_WINDOW = timedelta(minutes=5)
PRUNE_BATCH = 20

_ACCOUNT = select(User.id, User.password_hash, User.is_active).where(
    (User.email_key == bindparam("key")) | (User.username_key == bindparam("key"))
)


class SignedIn(NamedTuple):
    """What a sign-in hands out: the user, the pair, and the cookie that knows the device."""

    user: User
    tokens: Pair
    device: str


def login(*, identifier: str, password: str, client: Client) -> SignedIn:
    """Start a session for who knows the password of an e-mail address or username.

    Unknown account, wrong password and deactivated account are refused alike, after the same
    work; only the trail tells them apart. Raises ``InvalidCredentials`` and ``TooManyRequests``.
    """
    limited(throttle.count, "login.ip", throttle.network(client.ip), client)
    account = read(_ACCOUNT, {"key": canonical(identifier)})
    who, user_id = _subject(account, identifier, client), account and account.id
    tries = limited(throttle.reserve, "login.account", who, client, user_id)
    try:
        user = _authenticated(account, identifier, password)
    except Overloaded:
        throttle.give_back("login.account", who)
        raise
    if user is None:
        audit.record(Event.LOGIN_REFUSED, client, user_id=user_id, reason=_reason(account))
        if throttle.failed("login.account", who, tries):
            audit.record(Event.LIMIT_REACHED, client, user_id=user_id, reason="login.account")
        db.session.commit()
        raise InvalidCredentials
    session = start(user, client)
    audit.record(Event.LOGIN_SUCCEEDED, client, user_id=user.id, session_id=session.id)
    db.session.commit()
    throttle.give_back("login.account", who)
    return signed_in(user, session, client)


def _authenticated(account: Any, identifier: str, password: str) -> User | None:
    """Return the user whose password this is, held until the transaction ends."""
    while passwords.verify(password, account and account.password_hash) and account.is_active:
        if _confirm(account, password):
            return db.session.get_one(User, account.id)
        account = read(_ACCOUNT, {"key": canonical(identifier)})
    return None


def signed_in(user: User, session: Session, client: Client) -> SignedIn:
    """Return what a committed sign-in hands out."""
    return SignedIn(user, tokens.issue(session), devices.remember(client.device, user.id))


def limited(
    count: Callable[[str, str], int],
    name: str,
    subject: str,
    client: Client,
    user_id: int | None = None,
) -> int:
    """Count a try; the first one over a limit is on record. Raises ``TooManyRequests``."""
    try:
        return count(name, subject)
    except TooManyRequests as refusal:
        if refusal.first:
            audit.record(Event.LIMIT_REACHED, client, user_id=user_id, reason=name)
            db.session.commit()
        raise


def _subject(account: Any, identifier: str, client: Client) -> str:
    """Return whose failures count: those of a known device apart from those of everybody else.

    An unknown account is counted like a known one, under what its identifier hashes to.
    """
    if account is None:
        return throttle.anonymous(canonical(identifier))
    device = devices.known(client.device, account.id)
    return f"{account.id}/{device}" if device else str(account.id)


def _reason(account: Any) -> str:
    if account is None:
        return "unknown account"
    return "wrong password" if account.is_active else "deactivated account"


def _confirm(account: Any, password: str) -> bool:
    """Take hold of the account as it was when its password was verified; upgrade an old hash.

    No transaction is open while bcrypt works, so the password may have been changed or the
    account deactivated meanwhile. The row count is the verdict, and the row lock keeps either
    from slipping in before the session stands.
    """
    old = account.password_hash
    new = passwords.hash_password(password) if passwords.is_outdated(old) else old
    held = changed(
        update(User)
        .where(User.id == account.id, User.password_hash == old, User.is_active)
        .values(password_hash=new)
    )
    if not held:
        db.session.rollback()
    return bool(held)


def start(user: User, client: Client) -> Session:
    """Add a new session to the caller's transaction, and prune what is too many or too old."""
    at = now()
    session = Session(
        user_id=user.id,
        refresh_jti=tokens.new_jti(),
        created_at=at,
        expires_at=_expiry(at, created_at=at),
        ip=client.ip,
        user_agent=client.user_agent,
    )
    db.session.add(session)
    db.session.flush()
    _end_surplus(user.id, client)
    _prune(PRUNE_BATCH)
    return session


def _end_surplus(user_id: int, client: Client) -> None:
    """Keep ``SESSIONS_PER_USER`` rows of a user: those in use, the latest first."""
    over = Session.revoked_at.is_not(None) | (Session.expires_at <= now())
    surplus = (
        select(Session.id)
        .where(Session.user_id == user_id)
        .order_by(over, Session.last_used_at.desc())
        .offset(current_app.config["SESSIONS_PER_USER"])
    )
    if changed(delete(Session).where(Session.id.in_(surplus))):
        audit.record(Event.SESSION_ENDED, client, user_id=user_id, reason="too many sessions")


def _expiry(refreshed_at: datetime, *, created_at: datetime) -> datetime:
    """Return when a session ends that is refreshed once more and then never again."""
    settings = current_app.config
    idle = refreshed_at + timedelta(seconds=settings["JWT_REFRESH_TOKEN_EXPIRES"])
    return min(idle, created_at + timedelta(seconds=settings["SESSION_LIFETIME"]))


def refresh(session: Standing, jti: str, *, retry_key: str | None, client: Client) -> Pair:
    """Rotate the refresh token; a second use of a rotated one ends the session.

    Repeating a call with the same ``retry_key`` within five minutes, while its successor is
    unused, yields that successor again, so that a lost answer logs nobody out (RFC 9700
    §4.14.2; docs/design.md). Raises ``TokenReused`` and ``TokenRevoked``.
    """
    retry_key = retry_key and hashlib.sha256(retry_key.encode()).hexdigest()
    if jti == session.refresh_jti and not session.is_over():
        rotated = _rotate(session, retry_key, client)
        if rotated:
            return tokens.issue(rotated)
    kept = tokens.again(session)
    retried = kept and _is_retry(kept, jti, retry_key)
    if kept is None or jti == kept.refresh_jti or (retried and kept.is_over()):
        raise TokenRevoked
    if retried:
        return tokens.issue(kept)
    if _end(Session.id == kept.sid):
        audit.record(Event.SESSION_REUSED, client, user_id=kept.user_id, session_id=kept.sid)
    db.session.commit()
    raise TokenReused


_ROTATE = update(Session).where(
    Session.id == bindparam("sid"),
    Session.refresh_jti == bindparam("live_jti"),
    Session.revoked_at.is_(None),
)


def _rotate(session: Standing, retry_key: str | None, client: Client) -> Standing | None:
    """Replace the live refresh token; of many that try with the same one, one succeeds."""
    window_at, window_count = _count_refresh(session, client)
    at = now()
    rotated = session._replace(
        refresh_jti=tokens.new_jti(),
        rotated_at=at,
        expires_at=_expiry(at, created_at=session.created_at),
    )
    values = {
        "sid": session.sid,
        "live_jti": session.refresh_jti,
        "refresh_jti": rotated.refresh_jti,
        "previous_jti": session.refresh_jti,
        "retry_key": retry_key,
        "rotated_at": at,
        "last_used_at": at,
        "expires_at": rotated.expires_at,
        "window_at": window_at,
        "window_count": window_count,
    }
    return rotated if write(_ROTATE, values) else None


def _count_refresh(session: Standing, client: Client) -> tuple[datetime, int]:
    """Count a refresh in the row that it changes anyway; raises ``TooManyRequests``.

    Whoever rotates has read the row as it was before, so the count is exact without a counter of
    its own.
    """
    limit = throttle.item("refresh.session")
    began = session.window_at
    ends = began and limit and began + timedelta(seconds=limit.get_expiry())
    if not limit or not began or not ends or ends <= now():
        return now(), 1
    if session.window_count >= limit.amount:
        first = changed(
            update(Session)
            .where(Session.id == session.sid, Session.window_count == limit.amount)
            .values(window_count=limit.amount + 1)
        )
        if first:
            audit.record(
                Event.LIMIT_REACHED,
                client,
                user_id=session.user_id,
                session_id=session.sid,
                reason="refresh.session",
            )
        db.session.commit()
        raise TooManyRequests(math.ceil((ends - now()).total_seconds()))
    return began, session.window_count + 1


def _is_retry(session: Standing, jti: str, retry_key: str | None) -> bool:
    """Tell a caller who lost the answer to this very rotation from a second user of the token.

    The caller proves it with the key of the first call. Callers that send none are believed for
    ``REFRESH_REUSE_LEEWAY`` seconds, which is 0 unless an operator knows such clients.
    """
    if jti != session.previous_jti or session.rotated_at is None:
        return False
    leeway = timedelta(seconds=current_app.config["REFRESH_REUSE_LEEWAY"])
    window = RETRY_WINDOW if retry_key else leeway
    in_time = now() - session.rotated_at < window  # or before, where a node's clock is behind
    return bool(window) and session.retry_key == retry_key and in_time


def logout(claims: Iterable[dict[str, Any]], *, client: Client) -> None:
    """End the sessions of these tokens; ending one that is over already is no error.

    In the order of their ids, so that two who end the same two do not wait for each other.
    """
    for token in sorted(claims, key=lambda token: str(token["sid"])):
        _end_of(token, client)
    db.session.commit()


def revoke(claims: dict[str, Any], *, client: Client) -> None:
    """Revoke one token (RFC 7009): an access token alone, with a refresh token its session."""
    if claims["token_type"] == "refresh":
        _end_of(claims, client)
    elif tokens.standing(claims):
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        listed = {"jti": claims["jti"], "expires_at": expires_at}
        if changed(insert(TokenBlocklist).values(listed).on_conflict_do_nothing()):
            _record(Event.TOKEN_REVOKED, claims, client)
    _prune(PRUNE_BATCH)
    db.session.commit()


def _end_of(claims: dict[str, Any], client: Client) -> None:
    own = (Session.user_id == claims["user_id"]) & (Session.id == UUID(claims["sid"]))
    if _end(own):
        _record(Event.SESSION_ENDED, claims, client)


def _record(event: Event, claims: dict[str, Any], client: Client) -> None:
    sid = UUID(claims["sid"])
    audit.record(event, client, user_id=claims["user_id"], session_id=sid)


def listed(user_id: int) -> Sequence[Session]:
    """Return a user's live sessions, the one used last first."""
    live = (Session.user_id == user_id, Session.revoked_at.is_(None), Session.expires_at > now())
    newest_first = (Session.last_used_at.desc(), Session.created_at.desc())
    return db.session.scalars(select(Session).where(*live).order_by(*newest_first)).all()


def end(user_id: int, session_id: UUID, *, client: Client) -> None:
    """End one session of a user; raises ``NotFound`` for anybody else's."""
    own = (Session.user_id == user_id) & (Session.id == session_id)
    if db.session.scalar(select(Session.id).where(own)) is None:
        raise NotFound
    if _end(own):
        audit.record(Event.SESSION_ENDED, client, user_id=user_id, session_id=session_id)
    db.session.commit()


def end_others(current: Standing, *, client: Client) -> None:
    """End every session of a user but the current one.

    The user's row is locked first, as by all that end several sessions, so that two devices that
    sign each other out do not wait for each other.
    """
    db.session.execute(select(User.id).where(User.id == current.user_id).with_for_update())
    if _end((Session.user_id == current.user_id) & (Session.id != current.sid)):
        user_id = current.user_id
        audit.record(Event.SESSIONS_ENDED, client, user_id=user_id, session_id=current.sid)
    db.session.commit()


def end_all(user_id: int) -> None:
    """End every session of a user, in the caller's transaction."""
    _end(Session.user_id == user_id)


def _end(which: ColumnElement[bool]) -> int:
    """End the sessions that still live among ``which``; return how many those were."""
    return changed(
        update(Session).where(which, Session.revoked_at.is_(None)).values(revoked_at=now())
    )


def prune() -> int:
    """Delete what ``_prune`` does, all of it, a batch a transaction; return how many rows."""
    total = 0
    while deleted := _prune(PRUNE_BATCH * 50):
        total += deleted
        db.session.commit()
    db.session.rollback()
    return total


def _prune(batch: int) -> int:
    """Delete a few rows that protect nothing any more: every token they speak of has expired.

    Rows that somebody else works on are left for the next time, so that pruning never waits. They
    are picked in a CTE: PostgreSQL may run a subquery once a row, and each run picks other rows.
    """
    kept_since = now() - timedelta(days=current_app.config["AUDIT_RETENTION"])
    deleted = 0
    for model, key, over in (
        (Session, Session.id, Session.expires_at <= now()),
        (TokenBlocklist, TokenBlocklist.jti, TokenBlocklist.expires_at <= now()),
        (AuditEvent, AuditEvent.id, AuditEvent.at < kept_since),
    ):
        expired = select(key).where(over).limit(batch).with_for_update(skip_locked=True)
        deleted += changed(delete(model).where(key.in_(select(expired.cte(nesting=True)))))
    return deleted
