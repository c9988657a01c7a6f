"""Change and reset passwords."""

from typing import Any

from flask import request

from pycoder.accounts import passwords as account_passwords
from pycoder.auth import bp
from pycoder.auth.cookies import token_pair_response
from pycoder.auth.decorators import access_token_required
from pycoder.auth.schemas.accounts import PasswordChangeSchema, ResetConfirmSchema, ResetSchema
from pycoder.auth.schemas.base import EmptySchema
from pycoder.auth.schemas.sessions import TokensSchema
from pycoder.client_info import ClientInfo
from pycoder.errors import InvalidCredentials, LinkInvalid, Overloaded, TooManyRequests
from pycoder.tokens.jwt import current_token_state


@bp.post("/password/change/")
@access_token_required
@bp.arguments(PasswordChangeSchema)
@bp.response(200, TokensSchema)
@bp.hands_out_tokens("/tokens")
@bp.refuses(InvalidCredentials, TooManyRequests, Overloaded)
def change_password(body: dict[str, str]) -> dict[str, Any]:
    """Replace the password; every other session ends, this one goes on with a new pair."""
    current, new = body["current_password"], body["new_password"]
    session, client = current_token_state(), ClientInfo.from_request(request)
    pair = account_passwords.change_password(session, current, new, client=client)
    return token_pair_response(pair, session.transport)


@bp.post("/password/reset/")
@bp.arguments(ResetSchema)
@bp.response(202, EmptySchema)
def ask_reset(body: dict[str, str]) -> dict[str, str]:
    """Have a link to a new password mailed, if the address is that of an account.

    The answer is the same if it is not, and when it was asked for too often.
    """
    account_passwords.request_password_reset(body["email"], client=ClientInfo.from_request(request))
    return {}


@bp.post("/password/reset/confirm/")
@bp.arguments(ResetConfirmSchema)
@bp.response(204)
@bp.refuses(LinkInvalid, Overloaded)
def reset_password(body: dict[str, str]) -> None:
    """Set a new password by the link of a mail; every session ends."""
    account_passwords.reset_password(
        body["token"], body["new_password"], client=ClientInfo.from_request(request)
    )
