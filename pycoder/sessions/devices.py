"""Devices that an account has signed in on before (OWASP "Device Cookies").

The cookie opens nothing. It only says that tries from here are counted by themselves, so that a
stranger's failures never lock the owner out.
"""

import secrets

from flask import current_app
from itsdangerous import BadData, URLSafeSerializer

from pycoder.keys.key import derive_key

MAXIMUM_ACCOUNTS = 5  # remembered by one browser


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(derive_key(current_app.config["SECRET_KEY"], "device cookie"))


def _accounts(cookie: str | None) -> dict[str, str]:
    """Return account id to device id as the cookie has them; none if it is not ours."""
    try:
        return dict(_serializer().loads(cookie or ""))
    except (BadData, ValueError, TypeError):
        return {}


def known_device(cookie: str | None, user_id: int) -> str | None:
    """Return the id of this device if the account has signed in on it before."""
    return _accounts(cookie).get(str(user_id))


def remember_device(cookie: str | None, user_id: int) -> str:
    """Return the cookie with this account among its latest; a known device keeps its id."""
    accounts = _accounts(cookie)
    device = accounts.pop(str(user_id), None) or secrets.token_urlsafe(12)
    latest = dict(list(accounts.items())[1 - MAXIMUM_ACCOUNTS :])
    return str(_serializer().dumps({**latest, str(user_id): device}))
