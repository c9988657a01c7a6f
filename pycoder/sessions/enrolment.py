"""Enrolment: the first authenticator app, and what a change of factors ends."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pycoder import audit
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.errors import InvalidCode, TicketInvalid
from pycoder.mail import links, queue
from pycoder.mail.links import Purpose
from pycoder.mail.queue import Template
from pycoder.mfa import factors, pending, recovery_codes, totp
from pycoder.models.user import User
from pycoder.ratelimit import limiter
from pycoder.sessions import devices
from pycoder.sessions.lifecycle import revoke_all_sessions


def show_setup(ticket: str) -> dict[str, str]:
    """Return the authenticator app that waits in a ticket for enrolment.

    It is the same at every call, so that a client can repeat the request. Raises
    ``TicketInvalid`` and ``TooManyRequests``.
    """
    limiter.hit("second.ip", limiter.client_network())
    step = pending.find(pending.ENROLMENT, ticket)
    if step is None:
        raise TicketInvalid
    return totp.describe_setup(step.user_id, step.data["secret"], step.data["email"])


def enrol(user: User, setup: str, factor: Mapping[str, Any]) -> list[str]:
    """Store the first factor of a user that signs in, in the caller's transaction.

    Return ten recovery codes. The caller holds ``lock_user``, and has used up the ticket. Raises
    ``InvalidCode``, and ``TicketInvalid`` if the account has got a factor meanwhile.
    """
    if factors.methods_of(user.id):
        raise TicketInvalid
    codes = confirm_app(user.id, setup, factor.get("code", ""))
    end_other_authentications(user)
    audit.record(Event.FACTOR_ADDED, user_id=user.id, reason="totp")
    announce_first_factor(user, Template.FIRST_FACTOR_ADDED)
    return codes


def announce_first_factor(user: User, template: Template) -> None:
    """Mail a link that removes the first factor again, in the caller's transaction.

    The password is enough to add a first factor, and a thief may know it.
    """
    links.prepare_factors_undo(user.id, user.email)
    queue.enqueue(template, user.email, user_id=user.id)


def confirm_app(user_id: int, setup: str, code: str) -> list[str]:
    """Store an authenticator app by its first code, in the caller's transaction.

    Return ten recovery codes. Raises ``InvalidCode``.
    """
    secret = totp.decrypt_setup(user_id, setup)
    step = totp.matching_step(secret, code, now())
    if step is None:
        raise InvalidCode
    totp.store(user_id, secret, step)
    return recovery_codes.replace_codes(user_id)


def end_other_authentications(user: User, session_id: UUID | None = None) -> None:
    """End what was authenticated before a change of the factors.

    All sessions but the given one, tickets, proofs and changes of address that were not confirmed
    end, in the caller's transaction. All devices but the client's are forgotten: an attacker may
    have signed in on one by the password alone, and would have a counter of wrong codes of its own.
    """
    revoke_all_sessions(user.id, but=session_id)
    devices.forget_other_devices(user.id)
    pending.revoke(user.id)
    links.revoke(user.id, Purpose.CHANGE)
    queue.cancel(user, Template.CHANGE_EMAIL)
