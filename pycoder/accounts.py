"""Accounts: register, create, change, activate, delete. One function, one transaction."""

import re
import secrets
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.exc import IntegrityError

from pycoder import (
    addresses,
    attempts,
    audit,
    credentials,
    keys,
    mail,
    passwords,
    sessions,
    status_list,
    throttle,
)
from pycoder.audit import Client, Event
from pycoder.errors import InvalidInput, RegistrationClosed
from pycoder.extensions import changed, db
from pycoder.mail import Template
from pycoder.models import AuditEvent, OneTimeToken, Session, User, canonical
from pycoder.sessions import SignedIn
from pycoder.tokens import Standing

USERNAME = re.compile(r"[\w.+-]{3,150}")  # \w: letters and digits of every script, and _
NOT_A_USERNAME = "Use 3 to 150 letters, digits and . + - _"
NAME = r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,150}\Z"  # no control characters
NOT_A_NAME = "Use at most 150 characters, and no control characters."
TAKEN = "An account with this username exists already."


def register(
    *, email: str, password: str, client: Client, transport: str = "body", **profile: str
) -> SignedIn:
    """Make an account and sign it in, in one transaction.

    ``profile`` holds any of ``username``, ``first_name``, ``last_name``. Raises
    ``RegistrationClosed``, ``TooManyRequests``, and ``InvalidInput``, which names each field that
    does not fit or is taken.
    """
    if not current_app.config["REGISTRATION_OPEN"]:
        raise RegistrationClosed
    keys.ring()  # or an account would begin whose owner is told that it did not
    attempts.limited(throttle.count, "register.ip", throttle.network(client.ip), client)
    place = status_list.next_place()
    user = _add(email, password, **profile)
    session = sessions.start(user.id, user.password_hash, place, client, transport)
    audit.record(Event.USER_REGISTERED, client, user_id=user.id, session_id=session.id)
    mail.queue(Template.VERIFY_EMAIL, user.email, client, user_id=user.id)
    db.session.commit()
    return sessions.signed_in(user, session, client)


def create(*, email: str, password: str, client: Client, **profile: str) -> User:
    """Make an account on an operator's word, also where registration is closed."""
    user = _add(email, password, **profile)
    audit.record(Event.USER_CREATED, client, user_id=user.id)
    db.session.commit()
    return user


def _add(email: str, password: str, username: str = "", **names: str) -> User:
    """Add a user to the transaction; the unique indexes decide who comes first.

    The hash is made before anybody looks whether the address is taken, so that both answers
    take as long.
    """
    username = unicodedata.normalize("NFC", username)
    email = _judge(email, password, username, names)
    hashed = passwords.hash_password(password)
    for name in [username] if username else _usernames_from(email):
        user = User(
            email=email,
            email_key=canonical(email),
            username=name,
            username_key=canonical(name),
            password_hash=hashed,
            **names,
        )
        db.session.add(user)
        try:
            db.session.flush()
        except IntegrityError:
            db.session.rollback()
            _refuse_taken(email, username)
        else:
            return user
    raise InvalidInput({"username": ["Please choose a username."]})


def _judge(email: str, password: str, username: str, names: dict[str, str]) -> str:
    """Return the e-mail in its stored form; raises ``InvalidInput`` with all that does not fit."""
    unfit = [field for field, name in names.items() if not re.match(NAME, name)]
    errors = {field: [NOT_A_NAME] for field in unfit}
    try:
        email = addresses.stored_address(email)
    except InvalidInput as invalid:
        errors |= invalid.errors or {}
    if username and not fits(username, email):
        errors["username"] = [NOT_A_USERNAME]
    if reasons := passwords.reasons_against(password, email=email, username=username):
        errors["password"] = reasons
    if errors:
        raise InvalidInput(errors)
    return email


def fits(username: str, email: str) -> bool:
    """No name can pose as another's address: an ``@`` stands only in one's own."""
    own_address = canonical(username) == canonical(email)
    well_formed = USERNAME.fullmatch(username) is not None and len(canonical(username)) <= 150
    return own_address or well_formed


def _usernames_from(email: str) -> Iterator[str]:
    """Yield names made from the local part, each less likely to be taken than the one before."""
    stem = re.sub(r"[^\w.+-]", "", email.rpartition("@")[0])[:100].ljust(3, "_")
    yield stem
    for length in (2, 4, 8, 16):
        yield f"{stem}-{secrets.token_hex(length // 2)}"


def _refuse_taken(email: str, username: str) -> None:
    """Raise ``InvalidInput`` for what is taken; return if it was only a derived username."""
    taken = {"email": (User.email_key, email), "username": (User.username_key, username)}
    errors = {
        field: [addresses.TAKEN if field == "email" else TAKEN]
        for field, (column, value) in taken.items()
        if value and db.session.scalar(select(User.id).where(column == canonical(value)))
    }
    db.session.rollback()
    if errors:
        raise InvalidInput(errors)


def update_profile(session: Standing, *, client: Client, **profile: str) -> User:
    """Change any of ``username``, ``first_name`` and ``last_name``.

    A username tells whether somebody has it, so it is asked as rarely as at a registration.
    Raises ``InvalidInput``, ``TooManyRequests`` and ``TokenRevoked``.
    """
    name, user_id = profile.get("username"), session.user_id
    if name not in (None, session.username):
        attempts.limited(throttle.count, "register.ip", f"username/{user_id}", client, user_id)
    user = credentials.held(session)
    if name is not None:
        if not fits(name, user.email):
            raise InvalidInput({"username": [NOT_A_USERNAME]})
        user.username_key = canonical(name)
    for field, value in profile.items():
        setattr(user, field, value)
    is_new = db.session.is_modified(user)
    try:
        db.session.flush()
    except IntegrityError:
        raise InvalidInput({"username": [TAKEN]}) from None
    if is_new:
        audit.record(Event.USER_UPDATED, client, user_id=user.id, session_id=session.sid)
    db.session.commit()
    return user


def leave(session: Standing, password: str | None, *, client: Client) -> None:
    """Delete an account by its owner; raises what ``prove`` raises, and ``TokenRevoked``."""
    credentials.prove(session, password, client=client)
    remove(credentials.held(session), client=client)


def activity(user_id: int) -> Sequence[AuditEvent]:
    """Return the last 50 security events of an account, newest first."""
    return audit.latest(50, user_id)


def export(user_id: int) -> dict[str, Any]:
    """Return everything that is stored about an account, and no secret (GDPR Art. 15 and 20).

    Raises ``NotFound`` for an account that was deleted meanwhile.
    """
    user = find(str(user_id))
    links = select(OneTimeToken).where(OneTimeToken.user_id == user_id)
    return {
        "user": user,
        "sessions": db.session.scalars(select(Session).where(Session.user_id == user_id)).all(),
        "events": audit.latest(None, user_id),
        "links": db.session.scalars(links.order_by(OneTimeToken.purpose)).all(),
        "mails": mail.waiting(user),
    }


def find(identifier: str) -> User:
    """Return the user with this id, e-mail address or username; raises ``InvalidInput``."""
    key = canonical(identifier)
    named: ColumnElement[bool] = (User.email_key == key) | (User.username_key == key)
    if re.fullmatch(r"[0-9]{1,18}", identifier):  # an id, never a name that looks like one
        named = User.id == int(identifier)
    user = db.session.scalar(select(User).where(named))
    if user is None:
        raise InvalidInput({"user": ["There is no such account."]})
    return user


def everyone() -> Iterator[User]:
    """Yield all users in the order of their ids, without holding all of them in memory."""
    yield from db.session.scalars(select(User).order_by(User.id).execution_options(yield_per=500))


def set_active(user: User, active: bool, *, client: Client) -> None:
    """Open or close an account; closing it ends all its sessions at once."""
    user.is_active = active
    db.session.flush()
    if not active:
        sessions.end_all(user.id)
    event = Event.USER_ACTIVATED if active else Event.USER_DEACTIVATED
    audit.record(event, client, user_id=user.id)
    db.session.commit()


def set_password(user: User, password: str, *, client: Client) -> None:
    """Replace a password on an operator's word, end all sessions, and lift a pause.

    Raises ``InvalidInput``.
    """
    credentials.judge(password, user.email, user.username)
    credentials.replace(user, passwords.hash_password(password), client)
    sessions.end_all(user.id)
    audit.record(Event.PASSWORD_SET, client, user_id=user.id)
    db.session.commit()
    throttle.forget("login.account", str(user.id))


def unlock(user: User, *, client: Client) -> None:
    """Lift the pause that failed logins have earned an account."""
    throttle.forget("login.account", str(user.id))
    audit.record(Event.USER_UNLOCKED, client, user_id=user.id)
    db.session.commit()


def remove(user: User, *, client: Client) -> None:
    """Delete an account with its sessions; the trail keeps what happened and forgets from where."""
    audit.record(Event.USER_DELETED, client, user_id=user.id)
    nowhere = {"ip": None, "user_agent": None, "request_id": None}
    changed(update(AuditEvent).where(AuditEvent.user_id == user.id).values(nowhere))
    changed(delete(User).where(User.id == user.id))
    db.session.commit()
