"""Recovery codes: ten random codes, each of which replaces a lost factor once.

A code has 120 random bits, so that its SHA-256 is enough to store (OWASP ASVS 5.0 §6.5.2).
"""

import secrets
import unicodedata
from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import delete, func, insert, select

from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction
from pycoder.extensions import db
from pycoder.mfa import totp
from pycoder.models.mfa import RecoveryCode

NUMBER = 10
GROUPS, GROUP_LENGTH = 6, 4
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # base32 of Crockford, without I, L, O and U
LOOKALIKES = str.maketrans("OIL", "011")


def replace_codes(user_id: int) -> list[str]:
    """Replace the codes of a user in the caller's transaction.

    Return the new ones. They are shown once, and stored as hashes.
    """
    remove(user_id)
    codes = [_new_code() for _ in range(NUMBER)]
    at = now()
    rows = [{"digest": _digest(user_id, c), "user_id": user_id, "created_at": at} for c in codes]
    db.session.execute(insert(RecoveryCode), rows)
    return codes


def consume_code(user_id: int, code: str) -> bool:
    """Use a code up in the caller's transaction, and return whether it was valid.

    The codes that an authenticator app shows now and next are used up, too: an attacker may have
    seen them.
    """
    own = (RecoveryCode.digest == _digest(user_id, code), RecoveryCode.user_id == user_id)
    if not execute_in_transaction(delete(RecoveryCode).where(*own)):
        return False
    totp.burn_present(user_id)
    return True


def count_left(user_id: int) -> int:
    """Return how many codes a user has left."""
    left = select(func.count(RecoveryCode.digest)).where(RecoveryCode.user_id == user_id)
    return db.session.scalar(left) or 0


def codes_of(user_id: int) -> Sequence[RecoveryCode]:
    """Return the codes that a user has left, as they are stored."""
    left = select(RecoveryCode).where(RecoveryCode.user_id == user_id)
    return db.session.scalars(left.order_by(RecoveryCode.digest)).all()


def remove(user_id: int) -> None:
    """Remove the codes of a user in the caller's transaction."""
    execute_in_transaction(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


def _new_code() -> str:
    letters = "".join(secrets.choice(ALPHABET) for _ in range(GROUPS * GROUP_LENGTH))
    return "-".join(letters[at : at + GROUP_LENGTH] for at in range(0, len(letters), GROUP_LENGTH))


def _digest(user_id: int, code: str) -> str:
    """Return the SHA-256 of a code in any spelling: case, separators, O for 0, …"""
    letters = "".join(filter(str.isalnum, unicodedata.normalize("NFKC", code)))
    letters = letters.upper().translate(LOOKALIKES)
    return sha256(f"{user_id} {letters}".encode()).hexdigest()
