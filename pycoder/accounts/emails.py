"""E-mail addresses of accounts: verification and change."""

from sqlalchemy.exc import IntegrityError

from pycoder import audit
from pycoder.accounts.identifiers import EMAIL_TAKEN, normalize_email
from pycoder.accounts.reauthentication import lock_session_owner, require_recent_authentication
from pycoder.audit import Event
from pycoder.errors import FieldError, InvalidInput, LinkInvalid, TooManyRequests
from pycoder.extensions import db
from pycoder.mail import links, queue
from pycoder.mail.links import Purpose
from pycoder.mail.queue import Template
from pycoder.models.user import User, normalize_identifier
from pycoder.ratelimit import limiter
from pycoder.tokens.state import TokenState

SAME_EMAIL = FieldError("unchanged", "This is your e-mail address already.")


def resend_verification(current: TokenState) -> None:
    """Mail the link that verifies the e-mail address again.

    Requests over the limit are dropped.
    """
    user_id = current.user_id
    try:
        limiter.hit("reset.account", f"verify/{user_id}", user_id)
    except TooManyRequests:
        return
    if not current.user.email_verified:
        queue.enqueue(Template.VERIFY_EMAIL, current.user.email, user_id=user_id)
        db.session.commit()


def request_email_change(current: TokenState, email: str, password: str | None) -> None:
    """Mail a link to a new e-mail address, and a notice to the old one.

    Whether the new address is taken is decided when the link is used, so that only its owner learns
    it. Raises ``InvalidInput``, ``TooManyRequests``, ``TokenRevoked``, and what
    ``require_recent_authentication`` raises.
    """
    email, user_id = normalize_email(email), current.user_id
    key = normalize_identifier(email)
    if key == normalize_identifier(current.user.email):
        raise InvalidInput({"email": [SAME_EMAIL]})
    require_recent_authentication(current, password)
    for subject in (str(user_id), limiter.hash_identifier(key)):
        limiter.hit("reset.account", f"change/{subject}", user_id)
    user = lock_session_owner(current)
    links.revoke(user_id, Purpose.CHANGE)
    queue.cancel(user, Template.CHANGE_EMAIL)
    queue.enqueue(Template.CHANGE_EMAIL, email, user_id=user_id)
    queue.enqueue(Template.EMAIL_CHANGE_ASKED, user.email, user_id=user_id)
    audit.record(Event.EMAIL_CHANGE_ASKED, user_id=user_id, session_id=current.session_id)
    db.session.commit()


def confirm_email(token: str) -> None:
    """Verify the address of a mailed link, or change the account to it.

    Raises ``LinkInvalid``, and ``InvalidInput`` if another account has the address by now.
    """
    link = links.consume(token, Purpose.VERIFY, Purpose.CHANGE)
    if link is None:
        raise LinkInvalid
    if link.email:
        _change_email(link.user, link.email)
    else:
        link.user.email_verified = True
        audit.record(Event.EMAIL_VERIFIED, user_id=link.user.id)
    db.session.commit()


def _change_email(user: User, email: str) -> None:
    """Change the address of an account. The unique index decides between two accounts.

    A username that equals the old address changes along, because no username may be the address of
    another account.
    """
    queue.cancel(user)
    old, old_was_verified = user.email, user.email_verified
    if user.username_key == user.email_key:
        user.username, user.username_key = email, normalize_identifier(email)
    user.email, user.email_key, user.email_verified = email, normalize_identifier(email), True
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise InvalidInput({"email": [EMAIL_TAKEN]}) from None
    links.revoke(user.id)
    queue.enqueue(Template.EMAIL_CHANGED, old, user_id=user.id, confirmed=old_was_verified)
    queue.enqueue(Template.EMAIL_CHANGED, email, user_id=user.id)
    audit.record(Event.EMAIL_CHANGED, user_id=user.id)
