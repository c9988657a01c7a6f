"""E-mail addresses of accounts: their form, and what proves that one is somebody's."""

import unicodedata

from email_validator import EmailNotValidError, validate_email
from sqlalchemy.exc import IntegrityError

from pycoder import attempts, audit, credentials, mail, onetime, throttle
from pycoder.audit import Client, Event
from pycoder.errors import InvalidInput, LinkInvalid, TooManyRequests
from pycoder.extensions import db
from pycoder.mail import Template
from pycoder.models import EMAIL_LENGTH, User, canonical
from pycoder.onetime import Purpose
from pycoder.tokens import Standing

TAKEN = "An account with this e-mail address exists already."


def stored_address(email: str) -> str:
    """Return an e-mail address in its stored form; raises ``InvalidInput``."""
    try:
        checked = validate_email(email, check_deliverability=False)
        email = unicodedata.normalize("NFC", checked.normalized.lower())
        if max(len(email), len(canonical(email))) > EMAIL_LENGTH:
            raise EmailNotValidError
    except EmailNotValidError:
        raise InvalidInput({"email": ["This is not a valid e-mail address."]}) from None
    return email


def resend(session: Standing, *, client: Client) -> None:
    """Mail the link that verifies an address once more; the surplus of an hour is dropped."""
    subject = f"verify/{session.user_id}"
    try:
        attempts.limited(throttle.count, "reset.account", subject, client, session.user_id)
    except TooManyRequests:
        return
    if not session.email_verified:
        user_id = session.user_id
        mail.queue(Template.VERIFY_EMAIL, session.email, client, user_id=user_id)
        db.session.commit()


def change(session: Standing, email: str, password: str | None, *, client: Client) -> None:
    """Mail a link to a new address, whose use makes it the account's; tell the old one.

    Whether the new one is taken is not asked now, so nobody learns it but who reads its mail.
    Raises ``InvalidInput``, ``TooManyRequests``, ``TokenRevoked``, and what ``prove`` raises.
    """
    email = stored_address(email)
    if canonical(email) == canonical(session.email):
        raise InvalidInput({"email": ["This is your e-mail address already."]})
    credentials.prove(session, password, client=client)
    for whose in (str(session.user_id), throttle.anonymous(canonical(email))):
        subject = f"change/{whose}"
        attempts.limited(throttle.count, "reset.account", subject, client, session.user_id)
    user = credentials.held(session)
    onetime.forget(user.id, Purpose.CHANGE)
    mail.withdraw(user, Template.CHANGE_EMAIL)
    mail.queue(Template.CHANGE_EMAIL, email, client, user_id=user.id)
    mail.queue(Template.EMAIL_CHANGE_ASKED, user.email, client, user_id=user.id)
    audit.record(Event.EMAIL_CHANGE_ASKED, client, user_id=user.id, session_id=session.sid)
    db.session.commit()


def verify(secret: str, *, client: Client) -> None:
    """Take the word of a link: its address is the account's, or becomes it.

    Raises ``LinkInvalid``, and ``InvalidInput`` if another account has the address by now.
    """
    link = onetime.redeem(secret, Purpose.VERIFY, Purpose.CHANGE)
    if link is None:
        raise LinkInvalid
    if link.email:
        _move(link.user, link.email, client)
    else:
        link.user.email_verified = True
        audit.record(Event.EMAIL_VERIFIED, client, user_id=link.user.id)
    db.session.commit()


def _move(user: User, email: str, client: Client) -> None:
    """Give an account its new address; the unique index decides who has it.

    A username that was the old address becomes the new one, since no name may pose as another's
    address.
    """
    mail.withdraw(user)
    old = user.email
    if user.username_key == user.email_key:
        user.username, user.username_key = email, canonical(email)
    user.email, user.email_key, user.email_verified = email, canonical(email), True
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise InvalidInput({"email": [TAKEN]}) from None
    onetime.forget(user.id)
    for address in (old, email):
        mail.queue(Template.EMAIL_CHANGED, address, client, user_id=user.id)
    audit.record(Event.EMAIL_CHANGED, client, user_id=user.id)
