"""E-mail addresses of accounts: verification and change."""

from sqlalchemy.exc import IntegrityError

from pycoder import audit
from pycoder.accounts import reauthentication
from pycoder.accounts.identifiers import EMAIL_TAKEN, normalize_email
from pycoder.audit import Event
from pycoder.client_info import ClientInfo
from pycoder.errors import InvalidInput, LinkInvalid, TooManyRequests
from pycoder.extensions import db
from pycoder.mail import links, queue
from pycoder.mail.links import Purpose
from pycoder.mail.queue import Template
from pycoder.models.user import User, normalize_identifier
from pycoder.ratelimit import limiter
from pycoder.tokens.state import TokenState


def resend_verification(session: TokenState, *, client: ClientInfo) -> None:
    """Mail the link that verifies an address once more; the surplus of an hour is dropped."""
    subject = f"verify/{session.user_id}"
    try:
        limiter.hit(limiter.count, "reset.account", subject, client, session.user_id)
    except TooManyRequests:
        return
    if not session.email_verified:
        user_id = session.user_id
        queue.enqueue(Template.VERIFY_EMAIL, session.email, client, user_id=user_id)
        db.session.commit()


def request_email_change(
    session: TokenState, email: str, password: str | None, *, client: ClientInfo
) -> None:
    """Mail a link to a new address, whose use makes it the account's; tell the old one.

    Whether the new one is taken is not asked now, so nobody learns it but who reads its mail.
    Raises ``InvalidInput``, ``TooManyRequests``, ``TokenRevoked``, and what ``prove`` raises.
    """
    email = normalize_email(email)
    if normalize_identifier(email) == normalize_identifier(session.email):
        raise InvalidInput({"email": ["This is your e-mail address already."]})
    reauthentication.require_recent_authentication(session, password, client=client)
    for whose in (str(session.user_id), limiter.hash_identifier(normalize_identifier(email))):
        subject = f"change/{whose}"
        limiter.hit(limiter.count, "reset.account", subject, client, session.user_id)
    user = reauthentication.lock_session_owner(session)
    links.revoke(user.id, Purpose.CHANGE)
    queue.cancel(user, Template.CHANGE_EMAIL)
    queue.enqueue(Template.CHANGE_EMAIL, email, client, user_id=user.id)
    queue.enqueue(Template.EMAIL_CHANGE_ASKED, user.email, client, user_id=user.id)
    audit.record(Event.EMAIL_CHANGE_ASKED, client, user_id=user.id, session_id=session.sid)
    db.session.commit()


def confirm_email(secret: str, *, client: ClientInfo) -> None:
    """Take the word of a link: its address is the account's, or becomes it.

    Raises ``LinkInvalid``, and ``InvalidInput`` if another account has the address by now.
    """
    link = links.consume(secret, Purpose.VERIFY, Purpose.CHANGE)
    if link is None:
        raise LinkInvalid
    if link.email:
        _change_email(link.user, link.email, client)
    else:
        link.user.email_verified = True
        audit.record(Event.EMAIL_VERIFIED, client, user_id=link.user.id)
    db.session.commit()


def _change_email(user: User, email: str, client: ClientInfo) -> None:
    """Give an account its new address; the unique index decides who has it.

    A username that was the old address becomes the new one, since no name may pose as another's
    address.
    """
    queue.cancel(user)
    old = user.email
    if user.username_key == user.email_key:
        user.username, user.username_key = email, normalize_identifier(email)
    user.email, user.email_key, user.email_verified = email, normalize_identifier(email), True
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise InvalidInput({"email": [EMAIL_TAKEN]}) from None
    links.revoke(user.id)
    for address in (old, email):
        queue.enqueue(Template.EMAIL_CHANGED, address, client, user_id=user.id)
    audit.record(Event.EMAIL_CHANGED, client, user_id=user.id)
