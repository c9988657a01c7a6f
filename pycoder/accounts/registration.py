"""Registration: create an account, by its owner or by an operator."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from flask import current_app
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from pycoder import audit
from pycoder.accounts.identifiers import (
    EMAIL_RESERVED,
    EMAIL_TAKEN,
    INVALID_USERNAME,
    USERNAME_TAKEN,
    is_valid_username,
    name_errors,
    normalize_email,
    suggest_usernames,
    trim_identifier,
)
from pycoder.audit import Event
from pycoder.errors import FieldError, InvalidInput, RegistrationClosed
from pycoder.extensions import db
from pycoder.keys.ring import current_ring
from pycoder.mail import links, queue
from pycoder.mail.queue import Template
from pycoder.models.user import User, normalize_identifier
from pycoder.passwords.hashing import NO_PASSWORD, hash_password
from pycoder.passwords.policy import policy_violations
from pycoder.ratelimit import limiter
from pycoder.sessions import devices
from pycoder.sessions.lifecycle import create_session
from pycoder.sessions.login import LoginResult, login_result
from pycoder.tokens import status_list

PASSWORDS_DIFFER = FieldError("passwords_differ", "The two passwords differ.")
USERNAME_NEEDED = FieldError("required", "Please choose a username.")


def register(*, email: str, password: str, transport: str = "body", **profile: str) -> LoginResult:
    """Create an account and a session for it, in one transaction.

    ``profile`` holds any of ``username``, ``password2``, ``first_name``, ``last_name``. Raises
    ``RegistrationClosed``, ``TooManyRequests``, and ``InvalidInput``, which names each field that
    is invalid or taken. A form that is invalid has a limit of its own. A taken identifier counts as
    a registration, because the response reveals it.
    """
    if not current_app.config["REGISTRATION_OPEN"]:
        raise RegistrationClosed
    current_ring()  # fails before there is an account for which no token can be signed
    try:
        form = _validate(email, password, **profile)
    except InvalidInput:
        limiter.hit("register.form.ip", limiter.client_network())
        raise
    limiter.hit("register.ip", limiter.client_network())
    status_idx = status_list.allocate_index()  # in a transaction of its own, before this one writes
    user = _add_user(**form)
    session = create_session(user.id, status_idx, transport)
    audit.record(Event.USER_REGISTERED, user_id=user.id, session_id=session.id)
    queue.enqueue(Template.VERIFY_EMAIL, user.email, user_id=user.id)
    device, _ = devices.remember_device(user.id)
    db.session.commit()
    return login_result(user, session, device)


def create_user(*, email: str, password: str, **profile: str) -> User:
    """Create an account for an operator, even if registration is closed."""
    user = _add_user(**_validate(email, password, **profile))
    audit.record(Event.USER_CREATED, user_id=user.id)
    db.session.commit()
    return user


def add_invited_user(email: str, username: str = "", **names: str) -> User:
    """Add a user without a password to the caller's transaction.

    Raises ``InvalidInput``.
    """
    form = _validate(email, None, username, **names)
    return _add_user(**form)


def _validate(
    email: str,
    password: str | None,
    username: str = "",
    password2: str | None = None,
    **names: str,
) -> dict[str, Any]:
    """Return the members of a form as they are stored. Raises ``InvalidInput``."""
    username = unicodedata.normalize("NFC", trim_identifier(username))
    errors = name_errors(names)
    if password2 not in (None, password):
        errors["password2"] = [PASSWORDS_DIFFER]
    email = validate_registration(email, password, username, errors)
    return {"email": email, "password": password, "username": username, **names}


def _add_user(email: str, password: str | None, username: str, **names: str) -> User:
    """Add a user to the caller's transaction.

    A taken identifier is rejected before the password is hashed. The unique indexes decide between
    simultaneous attempts. Without a username, one is derived from the e-mail address. An address to
    which another account can return is refused, so that a thief cannot take it to keep the owner
    from returning.
    """
    _reject_taken(email, username)
    password_hash = NO_PASSWORD if password is None else hash_password(password)
    for name in [username] if username else suggest_usernames(email):
        user = User(
            email=email,
            email_key=normalize_identifier(email),
            username=name,
            username_key=normalize_identifier(name),
            password_hash=password_hash,
            roles=[],
            **names,
        )
        db.session.add(user)
        try:
            db.session.flush()
        except IntegrityError:
            db.session.rollback()
            _reject_taken(email, username)
        else:
            if links.is_reserved(email, user.id):
                db.session.rollback()
                raise InvalidInput({"email": [EMAIL_RESERVED]})
            return user
    raise InvalidInput({"username": [USERNAME_NEEDED]})


def validate_registration(
    email: str, password: str | None, username: str, errors: dict[str, Sequence[str]]
) -> str:
    """Return the e-mail address in its stored form.

    Raises ``InvalidInput``, which names each invalid field, those in ``errors`` included.
    """
    try:
        email = normalize_email(email)
    except InvalidInput as invalid:
        errors |= invalid.errors or {}
    if username and not is_valid_username(username, email):
        errors["username"] = [INVALID_USERNAME]
    if password is not None:
        errors |= _password_errors(password, email, username)
    if errors:
        raise InvalidInput(errors)
    return email


def _password_errors(password: str, email: str, username: str) -> dict[str, Sequence[str]]:
    violations = policy_violations(password, email=email, username=username)
    return {"password": violations} if violations else {}


def _reject_taken(email: str, username: str) -> None:
    """Raise ``InvalidInput`` for each identifier that is taken.

    Returns if only a derived username was taken.
    """
    identifiers = {
        "email": (User.email_key, email, EMAIL_TAKEN),
        "username": (User.username_key, username, USERNAME_TAKEN),
    }
    errors = {
        field: [message]
        for field, (column, value, message) in identifiers.items()
        if value and db.session.scalar(select(User.id).where(column == normalize_identifier(value)))
    }
    db.session.rollback()
    if errors:
        raise InvalidInput(errors)
