"""Sessions: login, refresh, logout, revocation. One public function is one transaction."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from flask import current_app
from sqlalchemy import ColumnElement, bindparam, delete, select, update

from pycoder import audit, passwords, tokens
from pycoder.audit import Client, Event
from pycoder.errors import InvalidCredentials, TokenReused, TokenRevoked
from pycoder.extensions import changed, db, read
from pycoder.models import Session, TokenBlocklist, User, canonical, now
from pycoder.tokens import Pair, Standing

RETRY_WINDOW = timedelta(minutes=5)
PRUNE_BATCH = 20

_ACCOUNT = select(User.id, User.password_hash, User.is_active).where(
    (User.email_key == bindparam("key")) | (User.username_key == bindparam("key"))
)


class SignedIn(NamedTuple):
    user: User
    tokens: Pair


def login(*, identifier: str, password: str, client: Client) -> SignedIn:
    """Start a session for who knows the password of an e-mail address or username.

    Unknown account, wrong password and deactivated account are refused alike, after the same
    work; only the trail tells them apart. Raises ``InvalidCredentials``.
    """
    while True:
        account = read(_ACCOUNT, {"key": canonical(identifier)})
        correct = passwords.verify(password, account and account.password_hash)
        if account is None or not correct or not account.is_active:
            reason = _reason(account)
            user_id = account and account.id
            audit.record(Event.LOGIN_REFUSED, client, user_id=user_id, reason=reason)
            db.session.commit()
            raise InvalidCredentials
        if _confirm(account, password):
            break
    user = db.session.get_one(User, account.id)
    session = start(user, client)
    audit.record(Event.LOGIN_SUCCEEDED, client, user_id=user.id, session_id=session.id)
    db.session.commit()
    return SignedIn(user, tokens.issue(session))


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
    """Add a new session to the caller's transaction, and prune a few that have expired."""
    session = Session(
        user_id=user.id,
        refresh_jti=tokens.new_jti(),
        created_at=now(),
        expires_at=_expiry(created_at=now()),
        ip=client.ip,
        user_agent=client.user_agent,
    )
    db.session.add(session)
    db.session.flush()
    _prune(PRUNE_BATCH)
    return session


def _expiry(*, created_at: datetime) -> datetime:
    """Return when a session ends that is refreshed now and then never again."""
    settings = current_app.config
    idle = now() + timedelta(seconds=settings["JWT_REFRESH_TOKEN_EXPIRES"])
    return min(idle, created_at + timedelta(seconds=settings["SESSION_LIFETIME"]))


def refresh(session: Standing, jti: str, *, retry_key: str | None, client: Client) -> Pair:
    """Rotate the refresh token; a second use of a rotated one ends the session.

    Repeating a call with the same ``retry_key`` within five minutes, while its successor is
    unused, yields that successor again, so that a lost answer logs nobody out (RFC 9700
    §4.14.2; docs/design.md). Raises ``TokenReused`` and ``TokenRevoked``.
    """
    retry_key = retry_key and hashlib.sha256(retry_key.encode()).hexdigest()
    if jti == session.refresh_jti and not session.is_over():
        rotated = _rotate(session, retry_key)
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


def _rotate(session: Standing, retry_key: str | None) -> Standing | None:
    """Replace the live refresh token; of many that try with the same one, one succeeds."""
    rotated = session._replace(
        refresh_jti=tokens.new_jti(), expires_at=_expiry(created_at=session.created_at)
    )
    rows = changed(
        update(Session)
        .where(
            Session.id == session.sid,
            Session.refresh_jti == session.refresh_jti,
            Session.revoked_at.is_(None),
        )
        .values(
            refresh_jti=rotated.refresh_jti,
            previous_jti=session.refresh_jti,
            retry_key=retry_key,
            rotated_at=now(),
            last_used_at=now(),
            expires_at=rotated.expires_at,
        )
    )
    db.session.commit()
    return rotated if rows else None


def _is_retry(session: Standing, jti: str, retry_key: str | None) -> bool:
    """Tell a caller who lost the answer to this very rotation from a second user of the token.

    The caller proves it with the key of the first call. Callers that send none are believed for
    ``REFRESH_REUSE_LEEWAY`` seconds, which is 0 unless an operator knows such clients.
    """
    if jti != session.previous_jti or session.rotated_at is None:
        return False
    leeway = timedelta(seconds=current_app.config["REFRESH_REUSE_LEEWAY"])
    window = RETRY_WINDOW if retry_key else leeway
    return session.retry_key == retry_key and now() - session.rotated_at < window


def logout(claims: Iterable[dict[str, Any]], *, client: Client) -> None:
    """End the sessions of these tokens; ending one that is over already is no error."""
    for token in claims:
        _end_of(token, client)
    db.session.commit()


def revoke(claims: dict[str, Any], *, client: Client) -> None:
    """Revoke one token (RFC 7009): an access token alone, with a refresh token its session."""
    if claims["token_type"] == "refresh":
        _end_of(claims, client)
    elif tokens.standing(claims):
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        db.session.merge(TokenBlocklist(jti=claims["jti"], expires_at=expires_at))
        _record(Event.TOKEN_REVOKED, claims, client)
    db.session.commit()


def _end_of(claims: dict[str, Any], client: Client) -> None:
    if _end(Session.id == UUID(claims["sid"])):
        _record(Event.SESSION_ENDED, claims, client)


def _record(event: Event, claims: dict[str, Any], client: Client) -> None:
    sid = UUID(claims["sid"])
    audit.record(event, client, user_id=claims["user_id"], session_id=sid)


def end_all(user_id: int) -> None:
    """End every session of a user, in the caller's transaction."""
    _end(Session.user_id == user_id)


def _end(which: ColumnElement[bool]) -> int:
    """End the sessions that still live among ``which``; return how many those were."""
    return changed(
        update(Session).where(which, Session.revoked_at.is_(None)).values(revoked_at=now())
    )


def prune() -> int:
    """Delete all sessions and blocklist entries whose time is over; return how many."""
    total = 0
    while deleted := _prune(PRUNE_BATCH * 50):
        total += deleted
        db.session.commit()
    return total


def _prune(batch: int) -> int:
    """Delete a few rows that protect nothing any more: every token they speak of has expired.

    Rows that somebody else works on are left for the next time, so that pruning never waits.
    """
    deleted = 0
    for model, key in ((Session, Session.id), (TokenBlocklist, TokenBlocklist.jti)):
        expired = select(key).where(model.expires_at <= now()).limit(batch)
        deleted += changed(delete(model).where(key.in_(expired.with_for_update(skip_locked=True))))
    return deleted
