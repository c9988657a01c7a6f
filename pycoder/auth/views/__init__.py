"""The views of the API; importing this package registers them."""

from pycoder.auth.views import (  # noqa: F401
    emails,
    factors,
    forward_auth,
    login,
    passkeys,
    passwords,
    sessions,
    tokens,
    users,
)
