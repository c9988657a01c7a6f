"""E-mail addresses, usernames and names: which are valid, and how they are stored."""

import re
import secrets
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

import idna
from email_validator import EmailNotValidError, validate_email
from flask import current_app

from pycoder.errors import FieldError, InvalidInput
from pycoder.models.user import EMAIL_LENGTH, normalize_identifier

USERNAME = re.compile(r"[\w.+-]{3,150}")  # \w: letters and digits of every script, and _
ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
PLAIN_LOCAL = re.compile(rf"{ATOM}(\.{ATOM})*", re.ASCII)  # RFC 5322 §3.2.3
NOT_AN_EMAIL = FieldError("not_an_email", "This is not a valid e-mail address.")
SPECIAL_USE_DOMAINS = {
    name: FieldError(
        "special_use_domain",
        f"Addresses of the special-use domain .{name} are refused.",
        domain=name,
    )
    for name in ("test", "local", "localhost")  # RFC 6761, RFC 6762
}
INVALID_USERNAME = FieldError(
    "invalid_username",
    "Use 3 to 150 letters, digits and . + - _, and not digits alone.",
    minimum=3,
    maximum=150,
)
NAME_LENGTH = 150
UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, surrogate, line, paragraph
BLANK_LETTERS = "\u034f\u115f\u1160\u2800\u3164\uffa0"  # without a glyph, in other categories
JOINERS = "\u200c\u200d"
FLOOD = "M" * 5  # more combining marks in a row than any script writes
EMAIL_TAKEN = FieldError("taken", "An account with this e-mail address exists already.")
EMAIL_RESERVED = FieldError(
    "reserved",
    "An account had this e-mail address until a few days ago, and can still return to it.",
)
USERNAME_TAKEN = FieldError("taken", "An account with this username exists already.")
INVALID_NAME = FieldError(
    "invalid_name",
    "Use at most 150 characters, and no control or invisible characters.",
    maximum=150,
)


def trim_identifier(text: str) -> str:
    """Return an e-mail address or username without what invisibly surrounds it.

    Keyboards and clipboards add white space and format characters of Unicode, such as U+00A0,
    U+200B and U+FEFF. Those inside are kept.
    """
    if text.isascii():  # nothing else is invisible there
        return text.strip()
    visible = [at for at, letter in enumerate(text) if not _is_invisible(letter)]
    return text[visible[0] : visible[-1] + 1] if visible else ""


def _is_invisible(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cf"


def is_valid_username(username: str, email: str) -> bool:
    """Return whether a username is well-formed.

    An ``@`` is allowed only if the username is the e-mail address of the same account, so that it
    cannot impersonate another account's address. Digits alone would be taken for an id.
    """
    key = normalize_identifier(username)
    is_own_address = key == normalize_identifier(email)
    well_formed = USERNAME.fullmatch(username) is not None and len(key) <= 150
    well_formed = well_formed and not any(char in BLANK_LETTERS for char in username)
    return is_own_address or (well_formed and not is_number(username))


def is_number(username: str) -> bool:
    """Return whether a username consists of digits alone, of any script."""
    return normalize_identifier(username).isdigit()


def name_errors(names: dict[str, str]) -> dict[str, Sequence[str]]:
    """Return the errors of first and last names, by field."""
    return {field: [INVALID_NAME] for field, name in names.items() if not is_valid_name(name)}


def is_valid_name(name: str) -> bool:
    """Return whether a first or last name is well-formed.

    It must not change how the text beside it is displayed, as a bidirectional override does, nor
    look like another name. Joiners are valid where a script requires them (RFC 5892, Appendix A).
    """
    if name.isascii():
        return len(name) <= NAME_LENGTH and name.isprintable()
    name = unicodedata.normalize("NFC", name)
    kinds = [unicodedata.category(char) for char in name]
    marks = "".join(kind[0] for kind in kinds)
    return (
        len(name) <= NAME_LENGTH
        and not marks.startswith("M")
        and FLOOD not in marks
        and not any(char in BLANK_LETTERS for char in name)
        and all(kind not in UNPRINTABLE or _is_joiner(name, n) for n, kind in enumerate(kinds))
    )


def _is_joiner(name: str, position: int) -> bool:
    within = 0 < position < len(name) - 1
    return within and name[position] in JOINERS and idna.valid_contextj(name, position)


def suggest_usernames(email: str) -> Iterator[str]:
    """Yield usernames derived from the local part, each less likely to be taken."""
    stem = re.sub(r"[^\w.+-]", "", email.rpartition("@")[0])[:100].ljust(3, "_")
    stem += "_" if is_number(stem) else ""
    yield stem
    for length in (2, 4, 8, 16):
        yield f"{stem}-{secrets.token_hex(length // 2)}"


def normalize_email(email: str) -> str:
    """Return an e-mail address in its stored form: lower case and NFC.

    Compatibility characters, such as a full-width ``a`` or the ligature ``fi``, become plain ones,
    so that a mail goes to the address that the account is compared by. Raises ``InvalidInput`` for
    invalid syntax, and for a special-use domain unless ``EMAIL_DOMAINS_SPECIAL`` is on. No DNS
    lookup is done.
    """
    try:
        plain = unicodedata.normalize("NFKC", trim_identifier(email))
        if "=?" in plain:  # mail programs decode it to another address (RFC 2047 §5)
            raise EmailNotValidError
        local, _, domain = plain.lower().rpartition("@")
        is_plain = PLAIN_LOCAL.fullmatch(local) and _is_plain_domain(domain)
        email = plain.lower() if is_plain else _validate_email(plain)
        if max(len(email), len(normalize_identifier(email))) > EMAIL_LENGTH:
            raise EmailNotValidError
    except EmailNotValidError:
        raise InvalidInput({"email": [NOT_AN_EMAIL]}) from None
    return email


@lru_cache(4096)
def _is_plain_domain(domain: str) -> bool:
    """Return whether a domain is valid and in ASCII as it is.

    email-validator takes 150 µs for an address, most of it for the domain. An import has millions
    of addresses at few domains.
    """
    try:
        checked = validate_email(f"x@{domain}", check_deliverability=False)
    except EmailNotValidError:
        return False
    return checked.domain == checked.ascii_domain == domain


def _validate_email(email: str) -> str:
    """Return any valid address in lower case and NFC. Raises ``EmailNotValidError``."""
    parent = ".com" if _is_special(email) else ""  # email-validator has no way to accept them
    checked = validate_email(email + parent, check_deliverability=False)
    return unicodedata.normalize("NFC", checked.normalized.lower()).removesuffix(parent)


def _is_special(email: str) -> bool:
    """Return whether an address has an accepted special-use domain.

    Raises ``InvalidInput`` for one that is not accepted.
    """
    _, at, domain = email.lower().rpartition("@")
    error = SPECIAL_USE_DOMAINS.get(domain.rpartition(".")[2])
    if not at or error is None:
        return False
    if current_app.config["EMAIL_DOMAINS_SPECIAL"]:
        return True
    if current_app.config["PYCODER_ENV"] != "production":
        sentence = f"{error[:-1]}; EMAIL_DOMAINS_SPECIAL=on accepts them in development."
        error = FieldError("special_use_domain", sentence, domain=error.parameters["domain"])
    raise InvalidInput({"email": [error]})
