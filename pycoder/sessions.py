"""Sessions: login, refresh, logout, revocation. One public function is one transaction."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from flask import current_app
from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from pycoder import (
    attempts,
    audit,
    devices,
    keys,
    mail,
    passwords,
    pruning,
    status_list,
    throttle,
    tokens,
)
from pycoder.audit import Client, Event
from pycoder.errors import (
    InvalidCredentials,
    NotFound,
    TokenReused,
    TokenRevoked,
    TooManyRequests,
)
from pycoder.extensions import changed, db, insert_into, read
from pycoder.mail import Template
from pycoder.models import Session, TokenBlocklist, User, canonical, hold, now
from pycoder.prepared import Prepared
from pycoder.tokens import Pair, Standing

RETRY_WINDOW = timedelta(minutes=5)

_ACCOUNT = select(User.__table__).where(
    (User.email_key == bindparam("key")) | (User.username_key == bindparam("key"))
)


class SignedIn(NamedTuple):
    """What a sign-in hands out: the user, the pair, and the cookie that knows the device."""

    user: User | Row[Any]
    tokens: Pair
    device: str


def login(*, identifier: str, password: str, client: Client, transport: str = "body") -> SignedIn:
    """Start a session for who knows the password of an e-mail address or username.

    Its tokens travel by ``transport`` for as long as it lives. Unknown account, wrong password
    and deactivated account are refused alike, after the same work; only the trail tells them
    apart. Raises ``InvalidCredentials`` and ``TooManyRequests``.
    """
    attempts.limited(throttle.count, "login.ip", throttle.network(client.ip), client)
    account = read(_ACCOUNT, {"key": canonical(identifier)})
    who, user_id = attempts.subject(account, identifier, client), account and account.id
    refusal = (Event.LOGIN_REFUSED, _reason(account))
    work = partial(_authenticated, account, identifier, password, client, transport)
    found = attempts.at_password(work, who, refusal, client=client, user_id=user_id)
    if found is None:
        raise InvalidCredentials
    return signed_in(*found, client)


def _authenticated(
    account: Any, identifier: str, password: str, client: Client, transport: str
) -> tuple[Row[Any], Session] | None:
    """Return the account whose password this is and its new session, committed.

    No transaction is open while bcrypt works, so the password may have been changed or the
    account deactivated meanwhile; what it is now is then judged anew.
    """
    while passwords.verify(password, account and account.password_hash) and account.is_active:
        keys.ring()  # or a session would begin that can be handed no tokens
        place = status_list.next_place()
        try:
            upgraded = _upgraded(account, password)
            session = start(account.id, upgraded, place, client, transport)
        except InvalidCredentials:
            db.session.rollback()
            account = read(_ACCOUNT, {"key": canonical(identifier)})
            continue
        audit.record(Event.LOGIN_SUCCEEDED, client, user_id=account.id, session_id=session.id)
        if not devices.known(client.device, account.id):
            mail.queue(Template.NEW_DEVICE, account.email, client, user_id=account.id)
        db.session.commit()
        return account, session
    return None


def _upgraded(account: Any, password: str) -> str:
    """Return the account's hash, or the better one that replaces it if it is outdated."""
    old: str = account.password_hash
    if not passwords.is_outdated(old):
        return old
    new = passwords.hash_password(password)
    as_it_was = (User.id == account.id) & (User.password_hash == old)
    return new if changed(update(User).where(as_it_was).values(password_hash=new)) else old


def signed_in(user: User | Row[Any], session: Session, client: Client) -> SignedIn:
    """Return what a committed sign-in hands out."""
    return SignedIn(user, tokens.issue(session), devices.remember(client.device, user.id))


def _reason(account: Any) -> str:
    if account is None:
        return "unknown account"
    return "wrong password" if account.is_active else "deactivated account"


_NEW = [
    *("id", "user_id", "refresh_jti", "created_at", "last_used_at", "expires_at"),
    *("ip", "user_agent", "transport", "window_count", "status_idx"),
]
_START = insert(Session.__table__).from_select(  # type: ignore[arg-type]
    _NEW,
    select(*(bindparam(f"new_{name}", type_=Session.__table__.c[name].type) for name in _NEW))
    .where(
        User.id == bindparam("new_user_id"),
        User.password_hash == bindparam("password_hash"),
        User.is_active,
    )
    .with_for_update(key_share=True),
)


def start(user_id: int, password_hash: str, place: int, client: Client, transport: str) -> Session:
    """Add a session to the caller's transaction, and prune what is too many or too old.

    The statement is the verdict on whether the account is active and has this hash still, and
    its lock keeps either from changing before the session stands. Raises ``InvalidCredentials``.
    """
    at = now()
    session = Session(
        id=uuid4(),
        user_id=user_id,
        refresh_jti=tokens.new_jti(),
        created_at=at,
        last_used_at=at,
        expires_at=_expiry(at, created_at=at),
        ip=client.ip,
        user_agent=client.user_agent,
        transport=transport,
        window_count=0,
        status_idx=place,
    )
    values = {f"new_{name}": getattr(session, name) for name in _NEW}
    if not changed(_START, {**values, "password_hash": password_hash}):
        raise InvalidCredentials
    _end_surplus(user_id, client)
    pruning.prune_some()
    return session


_SURPLUS = delete(Session).where(
    Session.id.in_(
        select(Session.id)
        .where(Session.user_id == bindparam("user_id"))
        .order_by(
            Session.revoked_at.is_not(None) | (Session.expires_at <= bindparam("at")),
            Session.last_used_at.desc(),
        )
        .offset(bindparam("kept", type_=Integer))
    )
)


def _end_surplus(user_id: int, client: Client) -> None:
    """Keep ``SESSIONS_PER_USER`` rows of a user: those in use, the latest first."""
    kept = current_app.config["SESSIONS_PER_USER"]
    if changed(_SURPLUS, {"user_id": user_id, "at": now(), "kept": kept}):
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
    if hold(User.id == kept.user_id) and _end(Session.id == kept.sid):
        audit.record(Event.SESSION_REUSED, client, user_id=kept.user_id, session_id=kept.sid)
        mail.queue(Template.SESSION_REUSED, kept.email, client, user_id=kept.user_id)
    db.session.commit()
    raise TokenReused


def _next(session: Standing) -> Standing:
    """Return a session as its next refresh token makes it."""
    at = now()
    expires_at = _expiry(at, created_at=session.created_at)
    return session._replace(refresh_jti=tokens.new_jti(), rotated_at=at, expires_at=expires_at)


_ROTATE = Prepared(
    update(Session).where(
        Session.id == bindparam("sid"),
        Session.refresh_jti == bindparam("live_jti"),
        Session.revoked_at.is_(None),
    )
)


def _rotate(session: Standing, retry_key: str | None, client: Client) -> Standing | None:
    """Replace the live refresh token; of many that try with the same one, one succeeds."""
    window_at, window_count = _count_refresh(session, client)
    rotated = _next(session)
    values = {
        "sid": session.sid,
        "live_jti": session.refresh_jti,
        "refresh_jti": rotated.refresh_jti,
        "previous_jti": session.refresh_jti,
        "retry_key": retry_key,
        "rotated_at": rotated.rotated_at,
        "last_used_at": rotated.rotated_at,
        "expires_at": rotated.expires_at,
        "window_at": window_at,
        "window_count": window_count,
    }
    return rotated if _ROTATE.write(values) else None


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
        if changed(insert_into(TokenBlocklist).values(listed).on_conflict_do_nothing()):
            _record(Event.TOKEN_REVOKED, claims, client)
    pruning.prune_some()
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


def end_all(user_id: int, *, but: UUID | None = None) -> None:
    """End every session of a user, or every one but this, in the caller's transaction."""
    _end((Session.user_id == user_id) & (Session.id != but) if but else Session.user_id == user_id)


def renew(session: Standing) -> Standing:
    """Replace the live refresh token, whichever it is by now, in the caller's transaction.

    Nothing is a retry of that: the one before counts as used, also for ``REFRESH_REUSE_LEEWAY``.
    """
    renewed = _next(session)
    values = {
        "refresh_jti": renewed.refresh_jti,
        "previous_jti": None,
        "retry_key": None,
        "rotated_at": renewed.rotated_at,
        "last_used_at": renewed.rotated_at,
        "expires_at": renewed.expires_at,
    }
    changed(update(Session).where(Session.id == session.sid).values(values))
    return renewed


def _end(which: ColumnElement[bool]) -> int:
    """End the sessions that still live among ``which``; return how many those were."""
    return changed(
        update(Session).where(which, Session.revoked_at.is_(None)).values(revoked_at=now())
    )
