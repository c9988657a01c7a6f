"""Registration: create an account, by its owner or by an operator."""

import re
import unicodedata

from flask import current_app
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from pycoder import audit
from pycoder.accounts.identifiers import (
    EMAIL_TAKEN,
    INVALID_NAME,
    INVALID_USERNAME,
    PERSON_NAME,
    USERNAME_TAKEN,
    is_valid_username,
    normalize_email,
    suggest_usernames,
)
from pycoder.audit import Event
from pycoder.client_info import ClientInfo
from pycoder.errors import InvalidInput, RegistrationClosed
from pycoder.extensions import db
from pycoder.keys.ring import current_ring
from pycoder.mail import queue
from pycoder.mail.queue import Template
from pycoder.models.user import User, normalize_identifier
from pycoder.passwords.hashing import hash_password
from pycoder.passwords.policy import policy_violations
from pycoder.ratelimit import limiter
from pycoder.sessions import lifecycle
from pycoder.sessions.login import LoginResult, login_result
from pycoder.tokens import status_list


def register(
    *, email: str, password: str, client: ClientInfo, transport: str = "body", **profile: str
) -> LoginResult:
    """Make an account and sign it in, in one transaction.

    ``profile`` holds any of ``username``, ``first_name``, ``last_name``. Raises
    ``RegistrationClosed``, ``TooManyRequests``, and ``InvalidInput``, which names each field that
    does not fit or is taken.
    """
    if not current_app.config["REGISTRATION_OPEN"]:
        raise RegistrationClosed
    current_ring()  # or an account would begin whose owner is told that it did not
    limiter.hit(limiter.count, "register.ip", limiter.client_network(client.ip), client)
    place = status_list.allocate_index()
    user = _add_user(email, password, **profile)
    session = lifecycle.create_session(user.id, user.password_hash, place, client, transport)
    audit.record(Event.USER_REGISTERED, client, user_id=user.id, session_id=session.id)
    queue.enqueue(Template.VERIFY_EMAIL, user.email, client, user_id=user.id)
    db.session.commit()
    return login_result(user, session, client)


def create_user(*, email: str, password: str, client: ClientInfo, **profile: str) -> User:
    """Make an account on an operator's word, also where registration is closed."""
    user = _add_user(email, password, **profile)
    audit.record(Event.USER_CREATED, client, user_id=user.id)
    db.session.commit()
    return user


def _add_user(email: str, password: str, username: str = "", **names: str) -> User:
    """Add a user to the transaction; the unique indexes decide who comes first.

    The hash is made before anybody looks whether the address is taken, so that both answers
    take as long.
    """
    username = unicodedata.normalize("NFC", username)
    email = validate_registration(email, password, username, names)
    hashed = hash_password(password)
    for name in [username] if username else suggest_usernames(email):
        user = User(
            email=email,
            email_key=normalize_identifier(email),
            username=name,
            username_key=normalize_identifier(name),
            password_hash=hashed,
            **names,
        )
        db.session.add(user)
        try:
            db.session.flush()
        except IntegrityError:
            db.session.rollback()
            _reject_taken(email, username)
        else:
            return user
    raise InvalidInput({"username": ["Please choose a username."]})


def validate_registration(email: str, password: str, username: str, names: dict[str, str]) -> str:
    """Return the e-mail in its stored form; raises ``InvalidInput`` with all that does not fit."""
    unfit = [field for field, name in names.items() if not re.match(PERSON_NAME, name)]
    errors = {field: [INVALID_NAME] for field in unfit}
    try:
        email = normalize_email(email)
    except InvalidInput as invalid:
        errors |= invalid.errors or {}
    if username and not is_valid_username(username, email):
        errors["username"] = [INVALID_USERNAME]
    if reasons := policy_violations(password, email=email, username=username):
        errors["password"] = reasons
    if errors:
        raise InvalidInput(errors)
    return email


def _reject_taken(email: str, username: str) -> None:
    """Raise ``InvalidInput`` for what is taken; return if it was only a derived username."""
    taken = {"email": (User.email_key, email), "username": (User.username_key, username)}
    errors = {
        field: [EMAIL_TAKEN if field == "email" else USERNAME_TAKEN]
        for field, (column, value) in taken.items()
        if value and db.session.scalar(select(User.id).where(column == normalize_identifier(value)))
    }
    db.session.rollback()
    if errors:
        raise InvalidInput(errors)
