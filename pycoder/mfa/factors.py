"""The second factors of an account, whatever their kind."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import current_app
from sqlalchemy import ColumnElement, delete, exists, false, or_, select, update

from pycoder.db.queries import execute_in_transaction, fetch_one
from pycoder.errors import InvalidCode
from pycoder.extensions import db
from pycoder.mfa import passkeys, recovery_codes, totp
from pycoder.models.device import Device
from pycoder.models.mfa import Passkey, RecoveryCode, Totp
from pycoder.models.role import ADMIN, UserRole
from pycoder.models.session import Session
from pycoder.models.user import User

PASSWORD, OTP, PASSKEY = "pwd", "otp mfa", "pop user mfa"  # RFC 8176
_KINDS = {"totp": "otp", "passkey": "pop"}
WRONG_RECOVERY_CODE = "This recovery code is wrong, or was used before. Please use another one."

_METHODS: dict[str, Any] = {"totp": Totp, "recovery_code": RecoveryCode, "passkey": Passkey}


def has_factor() -> ColumnElement[bool]:
    """Return the condition that a user has an authenticator app or a passkey."""
    return or_(*(exists().where(each.user_id == User.id) for each in (Totp, Passkey)))


def is_required(user_id: int) -> bool:
    """Return whether a login of a user requires a second factor."""
    setting = current_app.config["SECOND_FACTOR"]
    return setting == "required" or (setting == "admins" and _is_admin(user_id))


def _is_admin(user_id: int) -> bool:
    """Return whether a user is an administrator, outside the caller's transaction."""
    role = select(UserRole.role).where(UserRole.user_id == user_id, UserRole.role == ADMIN)
    return fetch_one(role, {}) is not None


def methods_of(user_id: int) -> list[str]:
    """Return the methods of a user's second step, in the caller's transaction.

    Without an authenticator app or a passkey, there is no second step.
    """
    columns = [
        exists().where(model.user_id == user_id).label(name) for name, model in _METHODS.items()
    ]
    row = db.session.execute(select(*columns)).one()
    return [name for name in _METHODS if getattr(row, name)] if row.totp or row.passkey else []


def consume(user_id: int, factor: Mapping[str, Any]) -> str:
    """Use a second factor up in the caller's transaction.

    Return its methods (RFC 8176). ``factor`` has one of ``code``, ``recovery_code`` and
    ``passkey``. The caller holds ``lock_user``. Raises ``InvalidCode`` and ``PasskeyInvalid``.
    """
    if "passkey" in factor:
        passkeys.use(passkeys.verify_assertion(**factor["passkey"], user_id=user_id))
        return PASSKEY
    if "code" in factor:
        if not totp.consume_code(user_id, factor["code"]):
            raise InvalidCode
    elif not recovery_codes.consume_code(user_id, factor["recovery_code"]):
        raise InvalidCode(WRONG_RECOVERY_CODE)
    return OTP


def end_without_factor(user_id: int) -> bool:
    """Remove the recovery codes once the last factor is gone.

    Return whether it was the last one.
    """
    if methods_of(user_id):
        return False
    recovery_codes.remove(user_id)
    return True


def lower_session(user_id: int, session_id: UUID) -> None:
    """Lower a session whose kind of factor is gone, in the caller's transaction.

    It goes on as one of the password alone.
    """
    left = methods_of(user_id)
    gone = [method for kind, method in _KINDS.items() if kind not in left]
    by_gone = or_(false(), *(Session.amr.contains(method) for method in gone))
    own = update(Session).where(Session.id == session_id, by_gone)
    execute_in_transaction(own.values(amr=PASSWORD))


def forget_remembered_devices(user_id: int) -> int:
    """Require the second factor on every device, and return how many had none."""
    theirs = (Device.user_id == user_id, Device.remembered_until.is_not(None))
    return execute_in_transaction(update(Device).where(*theirs).values(remembered_until=None))


def remove_all(user_id: int) -> None:
    """Remove the factors and recovery codes of a user in the caller's transaction."""
    for model in _METHODS.values():
        execute_in_transaction(delete(model).where(model.user_id == user_id))
    forget_remembered_devices(user_id)
