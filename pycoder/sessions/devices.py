"""Devices and networks that an account signed in from (OWASP "Device Cookies").

Login attempts from there count by themselves, so that the failures of an attacker never lock the
owner out. Neither grants access.
"""

import secrets
from datetime import timedelta
from hashlib import sha256
from typing import Any

from flask import current_app
from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import Integer, String, bindparam, delete, null, select, update

from pycoder.client_info import current_client, network_of
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, fetch_all, fetch_one
from pycoder.extensions import db
from pycoder.mfa import factors, pending
from pycoder.models.device import Device
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.session import Session
from pycoder.ratelimit import limiter
from pycoder.secret_key import derive_key

REMEMBERED = timedelta(days=30)  # without a second factor, from the login that asked for it
LIFETIME = timedelta(days=180)  # without a login, after which a device is forgotten
RESET, RESET_LIFETIME = "password_reset", timedelta(days=1)
WITH_FACTOR = "%mfa"  # the pattern of amr
MAXIMUM_DEVICES = 10  # remembered for one account
MAXIMUM_ACCOUNTS = 5  # remembered by one browser


def remember_device(user_id: int, *, without_factor: bool = False) -> tuple[str, bool]:
    """Remember the client's device in the caller's transaction.

    Return the value of the device cookie with this account added as its latest, and whether the
    device is new to the account. A known device keeps its id until the password is reset. With
    ``without_factor``, it gets another one, and its logins need no second factor for
    ``REMEMBERED``. The caller holds ``lock_user``, or has added the user in the same transaction.
    """
    accounts, at = _accounts(), now()
    device, renewed = accounts.pop(str(user_id), ""), secrets.token_urlsafe(16)
    known = (Device.digest == _digest(device), Device.user_id == user_id)
    is_current = (Device.last_used_at > at - LIFETIME, Device.reset_at.is_(None))
    values: dict[str, Any] = {"last_used_at": at}
    if without_factor:  # the cookie stands for the factor, so a copy from before must not
        values |= {"digest": _digest(renewed), "remembered_until": at + REMEMBERED}
    is_new = not execute_in_transaction(update(Device).where(*known, *is_current).values(values))
    if is_new:
        if device:
            execute_in_transaction(delete(Device).where(*known))
        execute_in_transaction(_SURPLUS, {"user_id": user_id, "kept": MAXIMUM_DEVICES - 1})
        row = {"digest": _digest(renewed), "user_id": user_id, "created_at": at}
        db.session.add(Device(**row | values))
        db.session.flush()
    if is_new or without_factor:
        device = renewed
    latest = dict(list(accounts.items())[1 - MAXIMUM_ACCOUNTS :])
    return str(_serializer().dumps({**latest, str(user_id): device})), is_new


_SURPLUS = delete(Device).where(
    Device.digest.in_(
        select(Device.digest)
        .where(Device.user_id == bindparam("user_id"))
        .order_by(Device.last_used_at.desc())
        .offset(bindparam("kept", type_=Integer))
    )
)


def is_remembered(user_id: int) -> bool:
    """Return whether logins on the client's device need no second factor."""
    device = _digest(_accounts().get(str(user_id), ""))
    own = (Device.digest == device, Device.user_id == user_id, Device.remembered_until > now())
    return fetch_one(select(Device.digest).where(*own), {}) is not None


def forget_devices(user_id: int) -> None:
    """Forget all devices of an account in the caller's transaction."""
    execute_in_transaction(delete(Device).where(Device.user_id == user_id))


def forget_devices_after_reset(user_id: int) -> None:
    """Forget the devices of an account, but for its second step.

    Devices of an account with a second factor were signed in on with it. A thief of the mailbox,
    who can reset passwords, could otherwise use up the limits of wrong codes for them.
    """
    if factors.methods_of(user_id):
        theirs = update(Device).where(Device.user_id == user_id)
        execute_in_transaction(theirs.values(reset_at=now(), remembered_until=None))
    else:
        forget_devices(user_id)


def know_network_of_reset(user_id: int) -> None:
    """Know the client's network for a day, in the caller's transaction.

    A reset forgets the devices and ends the sessions. A stranger that goes on guessing could
    otherwise keep the owner out. The second step does not know it: the link proves no factor.
    """
    pending.create(RESET, user_id, RESET_LIFETIME, origin=limiter.client_network())


def forget_other_devices(user_id: int) -> None:
    """Forget all devices of an account but the client's, in the caller's transaction.

    The client's stays known, and needs the second factor again.
    """
    own = _digest(_accounts().get(str(user_id), ""))
    theirs = Device.user_id == user_id
    execute_in_transaction(delete(Device).where(theirs, Device.digest != own))
    execute_in_transaction(update(Device).where(theirs).values(remembered_until=None))


def known_origin(user_id: int | None, methods: str = "%") -> str | None:
    """Return the client's device or network if the account knows it, or ``None``.

    A network is known by an active session, or for a day by a reset of the password. ``methods`` is
    the pattern of the ``amr``; with ``WITH_FACTOR``, devices of before a reset count, too, and
    its network does not. The statement is executed without an account, too, so that the answer
    takes as long.
    """
    origins = known_origins(user_id, methods)
    device = _digest(_accounts().get(str(user_id), ""))
    return next((one for one in (device, limiter.client_network()) if one in origins), None)


def lockout_keys(user_id: int) -> list[str]:
    """Return all keys that the failed logins of an account may count for."""
    return [str(user_id), *(f"{user_id}/{origin}" for origin in known_origins(user_id))]


_ORIGINS = (
    select(Device.digest, null().label("ip"))
    .where(
        Device.user_id == bindparam("user_id"),
        Device.last_used_at > bindparam("oldest"),
        Device.reset_at.is_(None) | (bindparam("methods", type_=String) == WITH_FACTOR),
    )
    .union_all(
        select(null(), Session.ip).where(
            Session.user_id == bindparam("user_id"),
            Session.revoked_at.is_(None),
            Session.expires_at > bindparam("at"),
            Session.amr.like(bindparam("methods")),
        ),
        select(PendingAuthentication.origin, null()).where(
            PendingAuthentication.user_id == bindparam("user_id"),
            PendingAuthentication.kind == RESET,
            PendingAuthentication.expires_at > bindparam("at"),
            bindparam("methods", type_=String) != WITH_FACTOR,
        ),
    )
)


def known_origins(user_id: int | None, methods: str = "%") -> set[str]:
    """Return the devices that an account knows, and its networks."""
    at = now()
    values = {"user_id": user_id, "oldest": at - LIFETIME, "at": at, "methods": methods}
    rows = fetch_all(_ORIGINS, values)
    return {row.digest or network_of(row.ip) for row in rows}


def _accounts() -> dict[str, str]:
    """Return the device id by account, or nothing if the signature is invalid."""
    try:
        return dict(_serializer().loads(current_client().device or ""))
    except (BadData, ValueError, TypeError):
        return {}


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(derive_key(current_app.config["SECRET_KEY"], "device cookie"))


def _digest(device: str) -> str:
    return sha256(device.encode()).hexdigest()
