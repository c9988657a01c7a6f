"""The second factors of an account: list, add, replace, remove and undo them."""

from datetime import timedelta
from typing import Any

from sqlalchemy import update

from pycoder import audit
from pycoder.accounts.reauthentication import (
    lock_reauthenticated_owner,
    lock_session_owner,
    require_proof,
    require_reauthentication,
    revoke_links_and_proofs,
)
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction
from pycoder.errors import EmailUnverified, InvalidCode, LinkInvalid, NotFound
from pycoder.extensions import db
from pycoder.mail import links, queue
from pycoder.mail.links import Purpose
from pycoder.mail.queue import Template
from pycoder.mfa import factors, passkeys, pending, recovery_codes, totp
from pycoder.models.mfa import Totp
from pycoder.models.session import Session
from pycoder.models.user import User, normalize_identifier
from pycoder.passwords.hashing import NO_PASSWORD
from pycoder.sessions import devices
from pycoder.sessions.enrolment import (
    announce_first_factor,
    confirm_app,
    end_other_authentications,
)
from pycoder.sessions.lifecycle import revoke_all_sessions
from pycoder.sessions.second_step import NEW_CODE, guard
from pycoder.tokens.state import TokenState

TOTP_SETUP, SETUP_LIFETIME = "totp_setup", timedelta(minutes=10)


def list_factors(current: TokenState) -> dict[str, Any]:
    """Return the second factors of the current user, and whether one is required."""
    user_id = current.user_id
    return {
        "totp": db.session.get(Totp, user_id),
        "recovery_codes_left": recovery_codes.count_left(user_id),
        "passkeys": passkeys.passkeys_of(user_id),
        "required": factors.is_required(user_id),
    }


def set_up_totp(
    current: TokenState, *, password: str | None = None, proof: str | None = None
) -> dict[str, str]:
    """Create the secret of an authenticator app, which waits for its first code.

    Return the secret in base32, the URI that contains it, and its QR code. Raises
    ``EmailUnverified``, what ``require_reauthentication`` raises, and ``TokenRevoked``.
    """
    require_reauthentication(current, password, proof)
    require_verified_email(current)
    user = lock_reauthenticated_owner(current, proof)
    setup = totp.new_setup(user.id)
    data, session_id = {"secret": setup}, current.session_id
    pending.create(TOTP_SETUP, user.id, SETUP_LIFETIME, session_id=session_id, data=data)
    db.session.commit()
    return totp.describe_setup(user.id, setup, user.email)


def require_verified_email(current: TokenState) -> None:
    """Require an address that the user has proved to read.

    Otherwise an attacker could register the address of another person, and add a factor that the
    person would never get past. Raises ``EmailUnverified``.
    """
    if not current.user.email_verified:
        raise EmailUnverified


def confirm_totp(current: TokenState, code: str) -> list[str]:
    """Store the authenticator app that was set up in this session, by its first code.

    Return ten new recovery codes. An app from before is replaced. Every other session ends. Raises
    ``InvalidCode``, ``TooManyRequests`` and ``TokenRevoked``.
    """
    user_id = current.user_id
    setup = pending.find_of_session(TOTP_SETUP, current.session_id)
    if setup is None:
        raise InvalidCode(NO_SETUP)
    with guard(user_id, NEW_CODE):
        user = lock_session_owner(current)
        if not pending.take_found(setup):  # another request was first
            raise InvalidCode(NO_SETUP)
        is_first = not factors.methods_of(user_id)
        codes = confirm_app(user_id, setup.data["secret"], code)
        if "mfa" not in current.amr.split():  # else the session goes on by its own methods
            own = update(Session).where(Session.id == current.session_id)
            amr = f"{factors.PASSWORD} {factors.OTP}"
            execute_in_transaction(own.values(authenticated_at=now(), amr=amr))
        record_change(user, current, Event.FACTOR_ADDED, "totp", is_first=is_first)
        db.session.commit()
    return codes


NO_SETUP = "There is no authenticator app to confirm, or it waited too long. Please begin again."


def remove_totp(current: TokenState, proof: str | None) -> None:
    """Remove the authenticator app. Every other session ends.

    With the last factor, the recovery codes are removed. Raises ``ReauthenticationRequired``,
    ``NotFound`` and ``TokenRevoked``.
    """
    require_proof(current, proof)
    user = lock_reauthenticated_owner(current, proof)
    if not totp.remove(user.id):
        raise NotFound
    record_removal(user, current, Event.FACTOR_REMOVED, "totp")
    db.session.commit()


def record_removal(user: User, current: TokenState, event: Event, kind: str | None = None) -> None:
    """Record that a factor was removed, in the caller's transaction.

    A session that was authenticated by the last of a kind goes on as one of the password alone.
    """
    if factors.end_without_factor(user.id):
        links.end_with_factors(user.id)
    factors.lower_session(user.id, current.session_id)
    record_change(user, current, event, kind)


def record_change(
    user: User,
    current: TokenState,
    event: Event,
    kind: str | None = None,
    *,
    is_first: bool = False,
) -> None:
    """Record a change of the factors in the caller's transaction, and mail the owner.

    What was authenticated before without the new factor, or with the removed one, ends: all other
    sessions, tickets, proofs, and remembered devices. The notice of the first factor has a link
    that removes it.
    """
    end_other_authentications(user, current.session_id)
    audit.record(event, user_id=user.id, session_id=current.session_id, reason=kind)
    if is_first:
        announce_first_factor(user, FIRST_NOTICES[event])
    else:
        queue.enqueue(NOTICES[event], user.email, user_id=user.id)


NOTICES = {
    Event.FACTOR_ADDED: Template.FACTOR_ADDED,
    Event.FACTOR_REMOVED: Template.FACTOR_REMOVED,
    Event.PASSKEY_ADDED: Template.PASSKEY_ADDED,
    Event.PASSKEY_REMOVED: Template.PASSKEY_REMOVED,
}
FIRST_NOTICES = {
    Event.FACTOR_ADDED: Template.FIRST_FACTOR_ADDED,
    Event.PASSKEY_ADDED: Template.FIRST_PASSKEY_ADDED,
}


def replace_recovery_codes(current: TokenState, proof: str | None) -> list[str]:
    """Replace the recovery codes of the current user, and return the new ones.

    Raises ``ReauthenticationRequired``, ``NotFound`` without a factor, and ``TokenRevoked``.
    """
    require_proof(current, proof)
    user = lock_reauthenticated_owner(current, proof)
    if not factors.methods_of(user.id):
        raise NotFound
    codes = recovery_codes.replace_codes(user.id)
    session_id = current.session_id
    audit.record(Event.RECOVERY_CODES_CREATED, user_id=user.id, session_id=session_id)
    queue.enqueue(Template.NEW_RECOVERY_CODES, user.email, user_id=user.id)
    db.session.commit()
    return codes


def forget_devices(current: TokenState) -> None:
    """Ask for the second factor on every device again. Raises ``TokenRevoked``."""
    user = lock_session_owner(current)
    if factors.forget_remembered_devices(user.id):
        session_id = current.session_id
        audit.record(Event.DEVICES_FORGOTTEN, user_id=user.id, session_id=session_id)
    db.session.commit()


def undo_factors(token: str) -> None:
    """Remove all second factors by the link in the notice of the first one.

    A thief of the password may have added it: all sessions, links, proofs, known devices and the
    password end, too. A link to set a new password is mailed. Raises ``LinkInvalid``, also while
    the account has another address than the one that the link was mailed to.
    """
    link = links.consume(token, Purpose.UNDO_FACTORS)
    if link is None or normalize_identifier(link.email or "") != link.user.email_key:
        db.session.rollback()
        raise LinkInvalid(UNDO_INVALID)
    user = link.user
    user.password_hash = NO_PASSWORD
    remove_all_factors(user)
    devices.forget_devices(user.id)
    revoke_links_and_proofs(user)
    revoke_all_sessions(user.id)
    queue.enqueue(Template.ACCOUNT_RECOVERED, user.email, user_id=user.id, factors_removed=1)
    audit.record(Event.FACTORS_UNDONE, user_id=user.id)
    db.session.commit()


UNDO_INVALID = (
    "This link was used before, or is no longer valid. If the e-mail address of your account was"
    " changed, please use the link in the e-mail about that change. If you still cannot sign in,"
    " please contact the operator of this service."
)


def remove_all_factors(user: User) -> bool:
    """Remove all second factors in the caller's transaction, and revoke their link.

    Return whether there were any.
    """
    had_any = bool(factors.methods_of(user.id))
    factors.remove_all(user.id)
    links.end_with_factors(user.id)
    return had_any
