"""The views of the API; importing this package registers them."""

from pycoder.auth.views import emails, login, passwords, sessions, tokens, users  # noqa: F401
