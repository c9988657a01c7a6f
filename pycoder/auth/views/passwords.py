"""Change and reset passwords."""

from typing import Any

from pycoder.accounts import passwords as account_passwords
from pycoder.auth import bp
from pycoder.auth.cookies import token_pair_response
from pycoder.auth.decorators import access_token_required
from pycoder.auth.schemas.accounts import PasswordChangeSchema, ResetConfirmSchema, ResetSchema
from pycoder.auth.schemas.base import EmptySchema
from pycoder.auth.schemas.sessions import TokensSchema
from pycoder.errors import InvalidCredentials, LinkInvalid, Overloaded, TooManyRequests
from pycoder.http.openapi import SETS_COOKIES
from pycoder.tokens.jwt import current_token_state


@bp.post("/password/change/")
@access_token_required
@bp.arguments(PasswordChangeSchema)
@bp.response(200, TokensSchema, headers=SETS_COOKIES)
@bp.links("/tokens")
@bp.errors(InvalidCredentials, TooManyRequests, Overloaded)
def change_password(body: dict[str, str]) -> dict[str, Any]:
    """Change the password.

    Every other session ends, and this one gets a new token pair.
    """
    current, new = body["current_password"], body["new_password"]
    state = current_token_state()
    pair = account_passwords.change_password(state, current, new)
    return token_pair_response(pair, state.transport)


@bp.post("/password/reset/")
@bp.arguments(ResetSchema)
@bp.response(202, EmptySchema)
def ask_reset(body: dict[str, str]) -> dict[str, str]:
    """Mail a link to set a new password, if the e-mail address belongs to an account.

    The response is the same if it does not, and if the limit is exceeded.
    """
    account_passwords.request_password_reset(body["email"])
    return {}


@bp.post("/password/reset/confirm/")
@bp.arguments(ResetConfirmSchema)
@bp.response(204)
@bp.errors(LinkInvalid, TooManyRequests, Overloaded)
def reset_password(body: dict[str, str]) -> None:
    """Set a new password by the token of a mailed link. Every session ends."""
    account_passwords.reset_password(body["token"], body["new_password"])
