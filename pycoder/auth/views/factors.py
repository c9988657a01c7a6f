"""Second factors: the second step of a login, authenticator apps, recovery codes."""

from typing import Any

from pycoder.accounts import factors as account_factors
from pycoder.auth import bp
from pycoder.auth.cookies import token_response
from pycoder.auth.csrf import check_origin
from pycoder.auth.decorators import access_token_required
from pycoder.auth.schemas.accounts import LinkSchema, ProofSchema
from pycoder.auth.schemas.factors import (
    CodeSchema,
    FactorsSchema,
    OnlyProofSchema,
    RecoveryCodesSchema,
    SecondStepSchema,
    TicketSchema,
    TotpSetupSchema,
    factor_of,
)
from pycoder.auth.schemas.sessions import SecondStepResultSchema
from pycoder.errors import (
    CsrfFailed,
    EmailUnverified,
    InvalidCode,
    InvalidCredentials,
    LinkInvalid,
    NotFound,
    Overloaded,
    PasskeyInvalid,
    PasskeyUnknown,
    ReauthenticationRequired,
    TicketInvalid,
    TooManyRequests,
)
from pycoder.http.openapi import SETS_COOKIES
from pycoder.sessions.enrolment import show_setup
from pycoder.sessions.second_step import complete_login
from pycoder.tokens.jwt import current_token_state


@bp.post("/login/second-step/")
@bp.arguments(SecondStepSchema)
@bp.response(200, SecondStepResultSchema, headers=SETS_COOKIES)
@bp.links("/tokens")
@bp.errors(InvalidCode, PasskeyInvalid, PasskeyUnknown, TicketInvalid, CsrfFailed, TooManyRequests)
def second_step(body: dict[str, Any]) -> dict[str, Any]:
    """Complete a login by its ticket and a second factor."""
    check_origin()  # the transport is known by the ticket
    return token_response(
        complete_login(body["ticket"], factor_of(body), remember_device=body["remember_device"])
    )


@bp.post("/login/enrol/")
@bp.arguments(TicketSchema)
@bp.response(200, TotpSetupSchema)
@bp.errors(TicketInvalid, TooManyRequests)
def enrol(body: dict[str, str]) -> dict[str, str]:
    """Set up an authenticator app by the ticket of a login that requires one.

    Its first code, sent to ``POST /api/login/second-step/`` with the same ticket, completes the
    login. That response has the recovery codes.
    """
    return show_setup(body["ticket"])


@bp.get("/factors/")
@access_token_required
@bp.response(200, FactorsSchema)
def list_factors() -> dict[str, Any]:
    """List the second factors of the account."""
    return account_factors.list_factors(current_token_state())


@bp.post("/factors/totp/")
@access_token_required
@bp.arguments(ProofSchema, required=False)
@bp.response(200, TotpSetupSchema)
@bp.errors(
    InvalidCredentials, ReauthenticationRequired, EmailUnverified, TooManyRequests, Overloaded
)
def set_up_totp(proof: dict[str, str]) -> dict[str, str]:
    """Set up an authenticator app. It counts once its first code is confirmed.

    Requires the password or a proof.
    """
    return account_factors.set_up_totp(current_token_state(), **proof)


@bp.post("/factors/totp/confirm/")
@access_token_required
@bp.arguments(CodeSchema)
@bp.response(200, RecoveryCodesSchema)
@bp.errors(InvalidCode, TooManyRequests)
def confirm_totp(body: dict[str, str]) -> dict[str, Any]:
    """Confirm the authenticator app by its first code. Every other session ends."""
    codes = account_factors.confirm_totp(current_token_state(), body["code"])
    return {"recovery_codes": codes}


@bp.delete("/factors/totp/")
@access_token_required
@bp.arguments(OnlyProofSchema, required=False)
@bp.response(204)
@bp.errors(ReauthenticationRequired, NotFound)
def remove_totp(body: dict[str, str]) -> None:
    """Remove the authenticator app. Every other session ends. Requires a proof."""
    account_factors.remove_totp(current_token_state(), body.get("proof"))


@bp.post("/factors/recovery-codes/")
@access_token_required
@bp.arguments(OnlyProofSchema, required=False)
@bp.response(200, RecoveryCodesSchema)
@bp.errors(ReauthenticationRequired, NotFound)
def replace_recovery_codes(body: dict[str, str]) -> dict[str, Any]:
    """Replace the recovery codes. Requires a proof."""
    codes = account_factors.replace_recovery_codes(current_token_state(), body.get("proof"))
    return {"recovery_codes": codes}


@bp.post("/factors/undo/")
@bp.arguments(LinkSchema)
@bp.response(204)
@bp.errors(LinkInvalid, Overloaded)
def undo_factors(body: dict[str, str]) -> None:
    """Remove all second factors by the link in the notice of the first one.

    Every session ends, and the password with them. A link to set a new one is mailed.
    """
    account_factors.undo_factors(body["token"])


@bp.delete("/devices/")
@access_token_required
@bp.response(204)
def forget_devices() -> None:
    """Require the second step on every device again."""
    account_factors.forget_devices(current_token_state())
