"""Passwords of accounts: changed, reset by a mailed link, replaced; and asked for once more."""

from datetime import timedelta

from sqlalchemy import select, update

from pycoder import (
    attempts,
    audit,
    devices,
    mail,
    onetime,
    passwords,
    sessions,
    throttle,
    tokens,
)
from pycoder.audit import Client, Event
from pycoder.errors import (
    InvalidCredentials,
    InvalidInput,
    LinkInvalid,
    NotFound,
    ProofNeeded,
    TokenRevoked,
    TooManyRequests,
)
from pycoder.extensions import changed, db, read
from pycoder.mail import Template
from pycoder.models import EMAIL_LENGTH, Session, User, canonical, hold, now
from pycoder.onetime import Purpose
from pycoder.tokens import Pair, Standing

FRESH = timedelta(minutes=5)
WRONG = "This is not your password."


def prove(session: Standing, password: str | None, *, client: Client) -> None:
    """Have who is signed in prove it again, before what a stolen token must not do (RFC 9470).

    By the password, or by a sign-in of the last five minutes. Raises ``InvalidCredentials``,
    ``TooManyRequests`` and ``ProofNeeded``.
    """
    if password is not None:
        _verified(session, password, client)
    elif now() - session.created_at > FRESH:
        raise ProofNeeded


def _verified(session: Standing, password: str, client: Client) -> str:
    """Return the hash that the password fits; failures of each session are counted for it.

    An account has as many tries as an address has logins, right ones too: a hash takes a core.
    """

    def work() -> str | None:
        found = read(select(User.password_hash).where(User.id == session.user_id), {})
        fits = found and passwords.verify(password, found.password_hash)
        return str(found.password_hash) if found and fits else None

    who, user_id = f"{session.user_id}/{session.sid}", session.user_id
    attempts.limited(throttle.count, "login.ip", f"proof/{user_id}", client, user_id)
    refusal = (Event.PROOF_REFUSED, "wrong password")
    hashed = attempts.at_password(work, who, refusal, client=client, user_id=user_id)
    if hashed is None:
        raise InvalidCredentials(WRONG)
    return hashed


def held(session: Standing) -> User:
    """Return the account of a session that lives on, held until the transaction ends.

    Raises ``TokenRevoked`` if the session has ended since its token was looked at.
    """
    user = hold(User.id == session.user_id)
    live = select(Session.id).where(Session.id == session.sid, Session.revoked_at.is_(None))
    if user is None or db.session.scalar(live) is None:
        raise TokenRevoked
    return user


def change(session: Standing, current: str, new: str, *, client: Client) -> Pair:
    """Replace a password by its owner; every other session ends, this one gets a new pair.

    Raises ``InvalidInput``, ``InvalidCredentials``, ``TooManyRequests`` and ``TokenRevoked``.
    """
    judge(new, session.email, session.username, field="new_password")
    seen = _verified(session, current, client)
    hashed = passwords.hash_password(new)
    user = held(session)
    if user.password_hash != seen:  # of two changes at once, one succeeds
        raise InvalidCredentials(WRONG)
    replace(user, hashed, client)
    sessions.end_all(user.id, but=session.sid)
    renewed = sessions.renew(session)
    audit.record(Event.PASSWORD_CHANGED, client, user_id=user.id, session_id=session.sid)
    db.session.commit()
    return tokens.issue(renewed)


def ask_reset(email: str, *, client: Client) -> None:
    """Have a link mailed to the owner of an address, if it is anybody's.

    Whose it is, outbox.py asks later: nothing here depends on it, and so neither does the time
    that it takes. What is too much is dropped. The mail waits under the form that addresses are
    compared in, so that a change of the password finds it whatever spelling was typed.
    """
    key = canonical(email)
    limits = {
        "reset.ip": throttle.network(client.ip),
        "reset.account": throttle.anonymous(key),
    }
    try:
        for name, subject in limits.items():
            attempts.limited(throttle.count, name, subject, client)
    except TooManyRequests:
        return
    mail.queue(Template.RESET_PASSWORD, key[:EMAIL_LENGTH], client)
    db.session.commit()


def reset(secret: str, new: str, *, client: Client) -> None:
    """Replace a password by who reads the mails of its owner; every session ends.

    So does the pause that failed logins have earned the account, and this device of it. The
    address is proven by that, too. Raises ``LinkInvalid`` and ``InvalidInput``.
    """
    owner = onetime.look(secret, Purpose.RESET)
    if owner is None:
        raise LinkInvalid
    judge(new, owner.email, owner.username, field="new_password")
    hashed = passwords.hash_password(new)
    device = devices.known(client.device, owner.id)
    for who in (str(owner.id), f"{owner.id}/{device}"):
        throttle.forget("login.account", who)
    link = onetime.redeem(secret, Purpose.RESET)
    if link is None:
        raise LinkInvalid
    link.user.email_verified = True
    replace(link.user, hashed, client)
    sessions.end_all(link.user.id)
    audit.record(Event.PASSWORD_RESET, client, user_id=link.user.id)
    db.session.commit()


def judge(password: str, email: str, username: str, *, field: str = "password") -> None:
    """Refuse a new password that is not good; raises ``InvalidInput``."""
    if reasons := passwords.reasons_against(password, email=email, username=username):
        raise InvalidInput({field: reasons})


def replace(user: User, hashed: str, client: Client) -> None:
    """Set a hash in the caller's transaction, end all links of the account, and tell its owner.

    Raises ``NotFound`` for an account that was deleted meanwhile.
    """
    if not changed(update(User).where(User.id == user.id).values(password_hash=hashed)):
        raise NotFound
    onetime.forget(user.id)
    mail.withdraw(user)
    mail.queue(Template.PASSWORD_CHANGED, user.email, client, user_id=user.id)
