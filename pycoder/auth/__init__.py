"""The API blueprint: doors that see the request, call one room, never query, never commit."""

from pycoder.openapi import Blueprint

bp = Blueprint("auth", __name__, url_prefix="/api", description="Accounts, sessions, tokens")

from pycoder.auth import guards, views, views_account, views_sessions  # noqa: E402, F401
