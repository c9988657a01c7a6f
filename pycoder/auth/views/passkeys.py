"""Passkeys: add, list, rename and remove them, and sign in by one."""

from typing import Any

from pycoder.accounts import passkeys as account_passkeys
from pycoder.auth import bp
from pycoder.auth.cookies import token_response
from pycoder.auth.decorators import access_token_required, same_origin_required
from pycoder.auth.schemas.accounts import ProofSchema
from pycoder.auth.schemas.factors import (
    AddedPasskeySchema,
    NewPasskeySchema,
    OnlyProofSchema,
    PasskeyLoginSchema,
    PasskeyNameSchema,
    PasskeyOptionsSchema,
    PasskeySchema,
    PasskeySignalsSchema,
)
from pycoder.auth.schemas.sessions import LoginResultSchema
from pycoder.errors import (
    EmailUnverified,
    InvalidCredentials,
    LastCredential,
    NotFound,
    Overloaded,
    PasskeyExists,
    PasskeyInvalid,
    PasskeyUnknown,
    ReauthenticationRequired,
    TooManyPasskeys,
    TooManyRequests,
)
from pycoder.http.openapi import SETS_COOKIES
from pycoder.mfa import passkeys
from pycoder.models.mfa import Passkey
from pycoder.sessions.passkey_login import log_in_by_passkey
from pycoder.tokens.jwt import current_token_state

ONE = "/passkeys/<int:passkey_id>/"


@bp.post("/login/passkey/options/")
@bp.response(200, PasskeyOptionsSchema)
def passkey_login_options() -> dict[str, Any]:
    """Return a ticket and the options to use a passkey, alike for every user.

    The ticket is also the one of a passkey as second factor, and of a reauthentication. It is
    valid once, for five minutes.
    """
    return passkeys.request_options()


@bp.post("/login/passkey/")
@bp.arguments(PasskeyLoginSchema)
@same_origin_required
@bp.response(200, LoginResultSchema, headers=SETS_COOKIES)
@bp.links("/tokens")
@bp.errors(PasskeyInvalid, PasskeyUnknown, TooManyRequests)
def passkey_login(body: dict[str, Any]) -> dict[str, Any]:
    """Sign in with a passkey, which is both factors."""
    return token_response(log_in_by_passkey(**body))


@bp.get("/passkeys/")
@access_token_required
@bp.response(200, PasskeySchema(many=True))
def list_passkeys() -> Any:
    """List the passkeys of the account, oldest first."""
    return passkeys.passkeys_of(current_token_state().user_id)


@bp.get("/passkeys/signals/")
@access_token_required
@bp.response(200, PasskeySignalsSchema)
def signal_passkeys() -> dict[str, Any]:
    """Return what keeps a browser's passkeys in step with those of the account.

    For PublicKeyCredential.signalAllAcceptedCredentials() and signalCurrentUserDetails().
    """
    return account_passkeys.signal_passkeys(current_token_state())


@bp.post("/passkeys/options/")
@access_token_required
@bp.arguments(ProofSchema, required=False)
@bp.response(200, PasskeyOptionsSchema)
@bp.errors(InvalidCredentials, ReauthenticationRequired, EmailUnverified, TooManyPasskeys)
@bp.errors(TooManyRequests, Overloaded)
def passkey_options(proof: dict[str, str]) -> dict[str, Any]:
    """Return a ticket and the options to create a passkey.

    Requires a proof, or the password while the account has no second factor.
    """
    return account_passkeys.begin_passkey(current_token_state(), **proof)


@bp.post("/passkeys/")
@access_token_required
@bp.arguments(NewPasskeySchema)
@bp.response(201, AddedPasskeySchema)
@bp.errors(PasskeyInvalid, PasskeyExists, TooManyPasskeys)
def add_passkey(body: dict[str, Any]) -> dict[str, Any]:
    """Add the passkey that was created for a ticket.

    With the first factor of an account, every other session ends, and the response has recovery
    codes.
    """
    added = account_passkeys.add_passkey(current_token_state(), **body)
    passkey = added.pop("passkey")
    shown = ("id", "name", "created_at", "last_used_at", "backed_up")
    return added | {name: getattr(passkey, name) for name in shown}


@bp.patch(ONE)
@access_token_required
@bp.arguments(PasskeyNameSchema)
@bp.response(200, PasskeySchema)
@bp.errors(ReauthenticationRequired, NotFound)
def rename_passkey(body: dict[str, str], passkey_id: int) -> Passkey:
    """Rename a passkey. Requires a proof."""
    state, proof = current_token_state(), body.get("proof")
    return account_passkeys.rename_passkey(state, passkey_id, body["name"], proof)


@bp.delete(ONE)
@access_token_required
@bp.arguments(OnlyProofSchema, required=False)
@bp.response(204)
@bp.errors(ReauthenticationRequired, NotFound, LastCredential)
def remove_passkey(body: dict[str, str], passkey_id: int) -> None:
    """Remove a passkey. Every other session ends. Requires a proof."""
    account_passkeys.remove_passkey(current_token_state(), passkey_id, body.get("proof"))
