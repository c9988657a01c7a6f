"""E-mail addresses of accounts: verification, change, and the way back."""

from sqlalchemy.exc import IntegrityError

from pycoder import audit
from pycoder.accounts.factors import remove_all_factors
from pycoder.accounts.identifiers import EMAIL_RESERVED, EMAIL_TAKEN, normalize_email
from pycoder.accounts.reauthentication import (
    lock_reauthenticated_owner,
    require_reauthentication,
    revoke_links_and_proofs,
)
from pycoder.audit import Event
from pycoder.errors import FieldError, InvalidInput, LinkInvalid, TooManyRequests
from pycoder.extensions import db
from pycoder.mail import links, queue
from pycoder.mail.links import Purpose
from pycoder.mail.queue import Template
from pycoder.mfa import factors
from pycoder.models.user import User, normalize_identifier
from pycoder.passwords.hashing import NO_PASSWORD
from pycoder.ratelimit import limiter
from pycoder.sessions import devices
from pycoder.sessions.enrolment import announce_first_factor
from pycoder.sessions.lifecycle import revoke_all_sessions
from pycoder.tokens.state import TokenState

UNDO_INVALID = (
    "This link was used before, or is no longer valid."
    " If you still cannot sign in, please contact the operator of this service."
)
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


def request_email_change(
    current: TokenState, email: str, *, password: str | None = None, proof: str | None = None
) -> None:
    """Mail a link to a new e-mail address, and a notice to the old one.

    The link is valid as long as the session is active. Whether the new address is taken is decided
    when the link is used, so that only its owner learns it. Raises ``InvalidInput``,
    ``TooManyRequests``, ``TokenRevoked``, and what ``require_reauthentication`` raises.
    """
    email, user_id = normalize_email(email), current.user_id
    key = normalize_identifier(email)
    if key == normalize_identifier(current.user.email):
        raise InvalidInput({"email": [SAME_EMAIL]})
    require_reauthentication(current, password, proof)
    for subject in (str(user_id), limiter.hash_identifier(key)):
        limiter.hit("reset.account", f"change/{subject}", user_id)
    user = lock_reauthenticated_owner(current, proof)
    links.revoke(user_id, Purpose.CHANGE)
    queue.cancel(user, Template.CHANGE_EMAIL)
    queue.enqueue(Template.CHANGE_EMAIL, email, user_id=user_id, session_id=current.session_id)
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
    """Change the address of an account, and mail the old one a link that undoes it.

    A change to an address that could undo an earlier one is a way back, as by that link: the
    address that is left gets no link. It is reserved if it was verified. Otherwise an attacker
    could register the address of another person, leave it, and so bar it.

    A first factor that the old address could still undo does not count as one that the account had:
    the link that undoes the change removes it, too.
    """
    if links.is_reserved(email, user.id):  # its owner has to be able to return
        raise InvalidInput({"email": [EMAIL_RESERVED]})
    old, was_verified = user.email, user.email_verified
    keeps_factors = not links.can_undo_factors(user.id, user.email_key)
    keeps_factors = keeps_factors and bool(factors.methods_of(user.id))
    _set_email(user, email)
    former = {link.email: (link.id, link.keeps_factors) for link in links.undo_links(user.id)}
    if email in former:
        link_id, keeps_factors = former[email]
        links.revoke_undo_since(user.id, link_id)
        if not keeps_factors:
            _announce_added_factors(user)
        queue.enqueue(Template.EMAIL_CHANGE_UNDONE, old, user_id=user.id, confirmed=was_verified)
    else:
        links.prepare_undo(user.id, old, reserve=was_verified, keeps_factors=keeps_factors)
        queue.enqueue(Template.UNDO_EMAIL, old, user_id=user.id, confirmed=was_verified)
        queue.enqueue(Template.EMAIL_CHANGED, email, user_id=user.id)  # tells of that link
    audit.record(Event.EMAIL_CHANGED, user_id=user.id)


def _announce_added_factors(user: User) -> None:
    """Mail a returned address a link that removes factors which were added meanwhile.

    The link that would have undone the change, and removed them, is gone. Otherwise a thief of the
    password could end the right of the mailbox by two changes.
    """
    methods = factors.methods_of(user.id)
    if methods and not links.can_undo_factors(user.id, user.email_key):
        has_app = "code" in methods
        announce_first_factor(
            user, Template.FIRST_FACTOR_ADDED if has_app else Template.FIRST_PASSKEY_ADDED
        )


def undo_email_change(token: str) -> None:
    """Restore a former address by the token of the link that was mailed to it.

    The account may be in the hands of a thief: all sessions, links, proofs and the password end,
    and so do the second factors of an account that had none before the change, or a first one that
    the address could undo. A link to set a new password is mailed to the restored address. Raises
    ``LinkInvalid``, and ``InvalidInput`` if another account has the address by now.
    """
    link = links.consume(token, Purpose.UNDO)
    if link is None or link.email is None:
        raise LinkInvalid(UNDO_INVALID)
    user, undone = link.user, link.user.email
    _set_email(user, link.email)
    user.password_hash = NO_PASSWORD
    # If it keeps them, every change since then has passed the factor.
    factors_removed = not link.keeps_factors and remove_all_factors(user)
    if factors_removed:
        audit.record(Event.FACTORS_UNDONE, user_id=user.id)
    devices.forget_devices_after_reset(user.id)
    links.revoke_undo_since(user.id, link.id)
    revoke_all_sessions(user.id)
    template = Template.ACCOUNT_RECOVERED
    queue.enqueue(template, user.email, user_id=user.id, factors_removed=int(factors_removed))
    queue.enqueue(Template.EMAIL_CHANGE_UNDONE, undone, user_id=user.id)
    audit.record(Event.EMAIL_CHANGE_UNDONE, user_id=user.id)
    db.session.commit()


def _set_email(user: User, email: str) -> None:
    """Set a verified address in the caller's transaction, and revoke links and proofs.

    The unique index decides between two accounts: raises ``InvalidInput``. A username that equals
    the old address changes along, because no username may be the address of another account.
    """
    revoke_links_and_proofs(user)
    key = normalize_identifier(email)
    if user.username_key == user.email_key:
        user.username, user.username_key = email, key
    user.email, user.email_key, user.email_verified = email, key, True
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise InvalidInput({"email": [EMAIL_TAKEN]}) from None
