"""E-mail addresses, usernames and names: which are valid, and how they are stored."""

import re
import secrets
import unicodedata
from collections.abc import Iterator

from email_validator import EmailNotValidError, validate_email

from pycoder.errors import FieldError, InvalidInput
from pycoder.models.user import EMAIL_LENGTH, normalize_identifier

USERNAME = re.compile(r"[\w.+-]{3,150}")  # \w: letters and digits of every script, and _
NOT_AN_EMAIL = FieldError("not_an_email", "This is not a valid e-mail address.")
INVALID_USERNAME = FieldError(
    "invalid_username", "Use 3 to 150 letters, digits and . + - _", minimum=3, maximum=150
)
PERSON_NAME = r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,150}\Z"  # no control characters
EMAIL_TAKEN = FieldError("taken", "An account with this e-mail address exists already.")
EMAIL_RESERVED = FieldError(
    "reserved",
    "An account had this e-mail address until a few days ago, and can still return to it.",
)
USERNAME_TAKEN = FieldError("taken", "An account with this username exists already.")
INVALID_NAME = FieldError(
    "invalid_name", "Use at most 150 characters, and no control characters.", maximum=150
)


def trim_identifier(text: str) -> str:
    """Return an e-mail address or username without what invisibly surrounds it.

    Keyboards and clipboards add white space and format characters of Unicode, such as U+00A0,
    U+200B and U+FEFF. Those inside are kept.
    """
    visible = [at for at, letter in enumerate(text) if not _is_invisible(letter)]
    return text[visible[0] : visible[-1] + 1] if visible else ""


def _is_invisible(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cf"


def is_valid_username(username: str, email: str) -> bool:
    """Return whether a username is well-formed.

    An ``@`` is allowed only if the username is the e-mail address of the same account, so that it
    cannot impersonate another account's address.
    """
    is_own_address = normalize_identifier(username) == normalize_identifier(email)
    well_formed = (
        USERNAME.fullmatch(username) is not None and len(normalize_identifier(username)) <= 150
    )
    return is_own_address or well_formed


def suggest_usernames(email: str) -> Iterator[str]:
    """Yield usernames derived from the local part, each less likely to be taken."""
    stem = re.sub(r"[^\w.+-]", "", email.rpartition("@")[0])[:100].ljust(3, "_")
    yield stem
    for length in (2, 4, 8, 16):
        yield f"{stem}-{secrets.token_hex(length // 2)}"


def normalize_email(email: str) -> str:
    """Return an e-mail address in its stored form: lower case and NFC.

    Raises ``InvalidInput`` for invalid syntax. No DNS lookup is done.
    """
    try:
        checked = validate_email(trim_identifier(email), check_deliverability=False)
        email = unicodedata.normalize("NFC", checked.normalized.lower())
        if max(len(email), len(normalize_identifier(email))) > EMAIL_LENGTH:
            raise EmailNotValidError
    except EmailNotValidError:
        raise InvalidInput({"email": [NOT_AN_EMAIL]}) from None
    return email
