"""Devices that an account has signed in on before (OWASP "Device Cookies").

The cookie grants no access. It only makes login attempts from a known device count by themselves,
so that the failures of an attacker never lock the owner out.
"""

import secrets

from flask import current_app
from itsdangerous import BadData, URLSafeSerializer

from pycoder.client_info import current_client
from pycoder.secret_key import derive_key

MAXIMUM_ACCOUNTS = 5  # remembered by one browser


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(derive_key(current_app.config["SECRET_KEY"], "device cookie"))


def _accounts() -> dict[str, str]:
    """Return the device id by account, or nothing if the signature is invalid."""
    try:
        return dict(_serializer().loads(current_client().device or ""))
    except (BadData, ValueError, TypeError):
        return {}


def known_device(user_id: int) -> str | None:
    """Return the id of the client's device if the account has signed in on it before."""
    return _accounts().get(str(user_id))


def remember_device(user_id: int) -> str:
    """Return the value of the device cookie with this account added as its latest.

    A known device keeps its id. The cookie holds at most ``MAXIMUM_ACCOUNTS``.
    """
    accounts = _accounts()
    device = accounts.pop(str(user_id), None) or secrets.token_urlsafe(12)
    latest = dict(list(accounts.items())[1 - MAXIMUM_ACCOUNTS :])
    return str(_serializer().dumps({**latest, str(user_id): device}))
