"""Change and reset passwords, and exchange them for proofs."""

from typing import Any

from pycoder.accounts import passwords as account_passwords
from pycoder.accounts import reauthentication
from pycoder.auth import bp
from pycoder.auth.cookies import token_pair_response
from pycoder.auth.decorators import access_token_required
from pycoder.auth.schemas.accounts import (
    CreatedProofSchema,
    PasswordChangeSchema,
    ReauthenticationSchema,
    ResetConfirmSchema,
    ResetSchema,
)
from pycoder.auth.schemas.base import EmptySchema
from pycoder.auth.schemas.factors import factor_of
from pycoder.auth.schemas.sessions import TokensSchema
from pycoder.errors import (
    InvalidCode,
    InvalidCredentials,
    LinkInvalid,
    Overloaded,
    PasskeyInvalid,
    PasskeyUnknown,
    ReauthenticationRequired,
    SecondFactorRequired,
    TooManyRequests,
)
from pycoder.http.openapi import SETS_COOKIES
from pycoder.tokens.jwt import current_token_state


@bp.post("/reauthenticate/")
@access_token_required
@bp.arguments(ReauthenticationSchema)
@bp.response(200, CreatedProofSchema)
@bp.errors(InvalidCredentials, InvalidCode, PasskeyInvalid, PasskeyUnknown)
@bp.errors(SecondFactorRequired, TooManyRequests, Overloaded)
def reauthenticate(body: dict[str, Any]) -> dict[str, Any]:
    """Exchange the password for a proof, which later requests send in its place.

    An account with a second factor needs one beside the password. The proof is valid for five
    minutes, for any number of requests of this session.
    """
    proof = reauthentication.create_proof(
        current_token_state(), body.get("password"), factor_of(body)
    )
    return {"proof": proof, "expires_in": reauthentication.PROOF_LIFETIME.total_seconds()}


@bp.post("/password/change/")
@access_token_required
@bp.arguments(PasswordChangeSchema)
@bp.response(200, TokensSchema, headers=SETS_COOKIES)
@bp.links("/tokens")
@bp.errors(InvalidCredentials, ReauthenticationRequired, TooManyRequests, Overloaded)
def change_password(body: dict[str, str]) -> dict[str, Any]:
    """Change the password.

    Every session ends, this one included. The response has the token pair of a new session.
    Requires the current password or a proof.
    """
    state, proof = current_token_state(), body.get("proof")
    pair = account_passwords.change_password(
        state, body["new_password"], password=body.get("current_password"), proof=proof
    )
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
