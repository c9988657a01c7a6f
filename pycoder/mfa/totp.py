"""Authenticator apps: time-based one-time passwords (RFC 6238).

SHA-1, six digits and 30 seconds are what all apps read. A code is valid in its time step and one
step before and after it (RFC 6238 §5.2, §6), and only once.
"""

import secrets
import unicodedata
from base64 import b32encode, b64decode, b64encode
from datetime import datetime
from io import BytesIO

import segno
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from flask import current_app
from sqlalchemy import ColumnElement, delete, not_, select, update

from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, insert_into
from pycoder.errors import KeysUnreadable
from pycoder.extensions import db
from pycoder.models.mfa import Totp
from pycoder.secret_key import decrypt, encrypt

SECRET_BYTES = 20  # the length of a SHA-1 hash (RFC 4226 §4)
DIGITS = 6
STEP = 30  # seconds
DRIFT = 1  # steps by which the clock of a phone may be wrong
PURPOSE = "totp secrets"
ISSUER = "PyCoder"


def new_secret() -> bytes:
    """Return a random secret."""
    return secrets.token_bytes(SECRET_BYTES)


def encrypt_secret(user_id: int, secret: bytes) -> bytes:
    """Encrypt a secret for storage, bound to its user."""
    return encrypt(current_app.config["SECRET_KEY"], PURPOSE, secret, str(user_id).encode())


def decrypt_secret(user_id: int, encrypted: bytes) -> bytes:
    """Decrypt a stored secret. Raises ``KeysUnreadable`` for another ``SECRET_KEY``."""
    try:
        return decrypt(current_app.config["SECRET_KEY"], PURPOSE, encrypted, str(user_id).encode())
    except InvalidTag as error:
        current_app.logger.error(
            "SECRET_KEY does not decrypt the authenticator app of user %d. Set the SECRET_KEY that"
            " it was stored with, or remove it by flask users reset-factors.",
            user_id,
        )
        raise KeysUnreadable from error


def new_setup(user_id: int) -> str:
    """Return a new secret as text, encrypted, that waits for its first code."""
    return b64encode(encrypt_secret(user_id, new_secret())).decode()


def decrypt_setup(user_id: int, setup: str) -> bytes:
    """Return the secret of ``new_setup``."""
    return decrypt_secret(user_id, b64decode(setup))


def describe_setup(user_id: int, setup: str, account: str) -> dict[str, str]:
    """Return the secret in base32, the URI that contains it, and its QR code."""
    secret = decrypt_setup(user_id, setup)
    uri = otpauth_uri(secret, account)
    return {"secret": to_base32(secret), "otpauth_uri": uri, "qr_svg": qr_code(uri)}


def to_base32(secret: bytes) -> str:
    """Return a secret as a user types it into an app (RFC 4648 §6)."""
    return b32encode(secret).decode()


def otpauth_uri(secret: bytes, account: str) -> str:
    """Return the URI that authenticator apps read, with the secret in it."""
    return str(_totp(secret).get_provisioning_uri(account, ISSUER))


def qr_code(uri: str) -> str:
    """Return the QR code of a URI as an SVG document that scales."""
    document = BytesIO()
    code = segno.make(uri, error="m")
    code.save(document, kind="svg", xmldecl=False, omitsize=True, dark="#000", light="#fff")
    return document.getvalue().decode()


def matching_step(secret: bytes, code: str, at: datetime) -> int | None:
    """Return the time step that a code belongs to, or ``None`` if it is wrong.

    Six digits in any script and spacing are a code: apps group them.
    """
    typed = "".join(code.split())
    if len(typed) != DIGITS or not typed.isdecimal():
        return None
    digits = "".join(str(unicodedata.decimal(digit)) for digit in typed)
    current = int(at.timestamp()) // STEP
    matching = None
    for step in range(current - DRIFT, current + DRIFT + 1):  # always all, in the same time
        try:
            _totp(secret).verify(digits.encode(), step * STEP)
        except InvalidToken:
            continue
        matching = step
    return matching


def consume_code(user_id: int, code: str) -> bool:
    """Use a code up in the caller's transaction, and return whether it was valid.

    One conditional UPDATE decides: the code of a step is valid once, and none of an earlier step
    after it, even if the clock is set back.
    """
    row = db.session.execute(select(Totp.encrypted_secret).where(Totp.user_id == user_id)).first()
    step = row and matching_step(decrypt_secret(user_id, row.encrypted_secret), code, now())
    return step is not None and burn(user_id, step)


def burn(user_id: int, step: int) -> bool:
    """Use up all codes until a step, and return whether this step was unused."""
    unused = (Totp.user_id == user_id, Totp.last_step < step, _not_burned(step))
    used = update(Totp).where(*unused).values(last_step=step, last_used_at=now())
    return execute_in_transaction(used) == 1


def burn_present(user_id: int) -> None:
    """Use up the codes that an authenticator app shows now and next.

    Earlier steps stay: a clock that was ahead must not make the codes of its past unusable.
    """
    burned = update(Totp).where(Totp.user_id == user_id).values(burned_step=last_accepted_step())
    execute_in_transaction(burned)


def last_accepted_step() -> int:
    """Return the latest time step whose code is valid now."""
    return int(now().timestamp()) // STEP + DRIFT


def _not_burned(step: int) -> ColumnElement[bool]:
    return not_(Totp.burned_step.between(step, step + 2 * DRIFT))


def store(user_id: int, secret: bytes, step: int) -> None:
    """Store or replace the authenticator app of a user.

    The code of ``step`` was used to confirm it.
    """
    row = {
        "encrypted_secret": encrypt_secret(user_id, secret),
        "last_step": step,
        "burned_step": 0,
        "created_at": now(),
        "last_used_at": None,
    }
    stored = insert_into(Totp).values(user_id=user_id, **row)
    execute_in_transaction(stored.on_conflict_do_update(index_elements=["user_id"], set_=row))


def remove(user_id: int) -> bool:
    """Remove the authenticator app of a user, and return whether there was one."""
    return execute_in_transaction(delete(Totp).where(Totp.user_id == user_id)) == 1


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP)  # noqa: S303 - HMAC-SHA-1 is what RFC 6238 uses
