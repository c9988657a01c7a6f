"""The API blueprint: doors that see the request, call one room, never query, never commit."""

from pycoder.openapi import Blueprint

bp = Blueprint("auth", __name__, url_prefix="/api", description="Accounts, sessions, tokens")

from pycoder.auth import (  # noqa: E402, F401
    guards,
    views,
    views_account,
    views_introspection,
    views_sessions,
)
