"""The second step of a login: a ticket and a second factor make a session."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pycoder import audit
from pycoder.audit import Event
from pycoder.errors import InvalidCode, InvalidCredentials, TicketInvalid, TooManyRequests
from pycoder.extensions import db
from pycoder.keys.ring import current_ring
from pycoder.mail import queue
from pycoder.mail.queue import Template
from pycoder.mfa import factors, pending, recovery_codes
from pycoder.models.user import User, lock_user
from pycoder.ratelimit import limiter, lockout
from pycoder.sessions import devices
from pycoder.sessions.enrolment import enrol
from pycoder.sessions.login import Created, LoginResult, create_login, login_result
from pycoder.sessions.passkey_login import warn_of_copy
from pycoder.tokens import status_list

NEW_CODE = "new code"  # of an authenticator app that is being added
DAY = 86_400  # seconds in which one mail at most says that a second step failed
WEEK = 7 * DAY


def complete_login(
    ticket: str, factor: Mapping[str, Any], *, remember_device: bool = False
) -> LoginResult:
    """Complete a login by its ticket and a second factor, and create the session.

    With a ticket for enrolment, the code is the first one of a new authenticator app.
    ``factor`` has one of ``code``, ``recovery_code`` and ``passkey``. A ticket has five tries, and
    is used up by the one that succeeds. Wrong codes count for the account, apart from wrong
    passwords, and on a known device or network apart from those of an attacker. Raises
    ``TicketInvalid``, ``InvalidCode``, ``PasskeyInvalid`` and ``TooManyRequests``.
    """
    limiter.hit("second.ip", limiter.client_network())
    step = pending.find(pending.SECOND_STEP, ticket) or pending.find(pending.ENROLMENT, ticket)
    if step is None:
        raise TicketInvalid
    user_id, is_half = step.user_id, step.kind == pending.SECOND_STEP
    method = next(iter(factor)) if is_half else NEW_CODE
    with warn_of_guesses(user_id, is_half), guard(user_id, method):
        created, codes = _consume_and_create(step.kind, ticket, factor, remember_device)
    return login_result(*created)._replace(recovery_codes=codes)


@contextmanager
def warn_of_guesses(user_id: int, has_password: bool) -> Iterator[None]:
    """Mail the owner of a wrong second factor after the password, once a day at most.

    Another person seems to know the password (ASVS 5.0 §6.3.5), unless the device or the network is
    known.
    """
    try:
        yield
    except InvalidCredentials:
        is_unknown = has_password and devices.known_origin(user_id) is None
        if is_unknown and limiter.is_first_in_period(f"second.mail/{user_id}", DAY):
            _warn_owner(user_id)
        raise


@contextmanager
def guard(user_id: int, method: str) -> Iterator[None]:
    """Record failed attempts at a second factor, and limit those at codes of an app.

    Recovery codes and passkeys cannot be guessed, and the first code of a new app protects nothing.
    They are not limited for the account, so that a thief of the password does not keep the owner
    from using them.
    """
    with warn_of_copy(user_id), _limited(user_id) if method == "code" else _noted(user_id, method):
        yield


@contextmanager
def _limited(user_id: int) -> Iterator[None]:
    """Limit the attempts at codes in a ``with`` block.

    Failures count for a known device, or a network that was signed in from with a second factor,
    and not for a session: the password alone makes any number of sessions and of networks on a
    remembered device. ``second.week`` bounds the guesses of an attacker that knows the password and
    is patient (NIST SP 800-63B-4 §3.2.2).
    """
    key = f"{user_id}/code/{devices.known_origin(user_id, devices.WITH_FACTOR) or ''}"
    limiter.require_room("second.week", key)
    try:
        with lockout.guard("second.account", key, Event.SECOND_REFUSED, "wrong code", user_id):
            yield
    except InvalidCode:
        if limiter.count("second.week", key) == limiter.amount_of("second.week"):
            audit.record_separately(Event.LIMIT_REACHED, user_id=user_id, reason="second.week")
        raise


@contextmanager
def _noted(user_id: int, method: str) -> Iterator[None]:
    """Record a failure in a ``with`` block, once an hour for each network."""
    try:
        yield
    except InvalidCredentials:
        db.session.rollback()
        audit.record_hourly(Event.SECOND_REFUSED, user_id=user_id, reason=f"wrong {method}")
        db.session.commit()
        raise


def lift_pauses_after_reset(user_id: int) -> None:
    """Forget the wrong codes of a user, after a password reset.

    A thief of the password may have caused them, also with a copied cookie of a known device. The
    limit of a week is lifted where it was reached, and once in a week, so that a thief of the
    mailbox gains no more than its guesses again.
    """
    for origin in ("", *devices.known_origins(user_id, devices.WITH_FACTOR)):
        _reset("second.account", user_id, origin)
        try:
            limiter.require_room("second.week", f"{user_id}/code/{origin}")
        except TooManyRequests:
            if limiter.is_first_in_period(f"second.lift/{user_id}/{origin}", WEEK):
                _reset("second.week", user_id, origin)


def lift_pauses(user_id: int, origins: set[str]) -> None:
    """Forget the wrong codes of a user on all devices."""
    for origin in ("", *origins):
        for limit in ("second.account", "second.week"):
            _reset(limit, user_id, origin)


def _reset(limit: str, user_id: int, origin: str) -> None:
    lockout.reset(limit, f"{user_id}/code/{origin}")


def _consume_and_create(
    kind: str, ticket: str, factor: Mapping[str, Any], remember: bool
) -> tuple[Created, list[str]]:
    """Use up the ticket and the factor, create the session, and commit.

    All of it is one transaction: whatever ends it early, neither is lost. Return the recovery codes
    of a new authenticator app, too.
    """
    step = pending.count_try(kind, ticket)
    if step is None:
        raise TicketInvalid
    current_ring()  # fails before there is a session for which no token can be signed
    status_idx = status_list.allocate_index()  # in a transaction of its own, before this one writes
    user = lock_user(User.id == step.user_id)
    if user is None or not pending.take(kind, ticket):
        raise TicketInvalid
    codes: list[str] = []
    if kind == pending.ENROLMENT:
        codes, methods = enrol(user, step.data["secret"], factor), factors.OTP
    else:
        methods = factors.consume(user.id, factor)
    record_use(user, factor)
    if remember:
        audit.record(Event.DEVICE_REMEMBERED, user_id=user.id)
    amr = f"{factors.PASSWORD} {methods}"
    transport = step.data["transport"]
    return create_login(user, status_idx, transport, amr, remember=remember), codes


def record_use(user: User, factor: Mapping[str, Any]) -> None:
    """Record the use of a recovery code in the caller's transaction.

    The owner is mailed how many are left.
    """
    if "recovery_code" in factor:
        audit.record(Event.RECOVERY_CODE_USED, user_id=user.id)
        left = recovery_codes.count_left(user.id)
        queue.enqueue(Template.RECOVERY_CODE_USED, user.email, user_id=user.id, codes_left=left)


def _warn_owner(user_id: int) -> None:
    if user := db.session.get(User, user_id):
        queue.enqueue(Template.SECOND_STEP_FAILED, user.email, user_id=user_id)
        db.session.commit()
