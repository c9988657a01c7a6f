"""The ``auth`` blueprint: accounts, sessions and tokens under ``/api``."""

from pycoder.http.openapi import Blueprint

bp = Blueprint("auth", __name__, url_prefix="/api", description="Accounts, sessions, tokens")

from pycoder.auth import views  # noqa: E402, F401
