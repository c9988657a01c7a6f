"""The account as its owner sees it, changes it, and gets it back."""

from collections.abc import Sequence
from typing import Any

from flask import request

from pycoder import accounts, addresses, credentials
from pycoder.auth import bp
from pycoder.auth.delivery import handed_over
from pycoder.auth.guards import client_of, signed_in
from pycoder.auth.schemas import (
    EmailChangeSchema,
    EventSchema,
    ExportSchema,
    LinkSchema,
    NothingSchema,
    PasswordChangeSchema,
    ProfileSchema,
    ProofSchema,
    RenewedSchema,
    ResetConfirmSchema,
    ResetSchema,
    UserSchema,
)
from pycoder.errors import (
    InvalidCredentials,
    LinkInvalid,
    NotFound,
    Overloaded,
    ProofNeeded,
    TooManyRequests,
)
from pycoder.models import AuditEvent, User
from pycoder.tokens import current_session


@bp.patch("/user/")
@signed_in
@bp.arguments(ProfileSchema, required=False)
@bp.response(200, UserSchema)
@bp.refuses(TooManyRequests)
def update_user(profile: dict[str, str]) -> User:
    """Change the username or the names of the account."""
    return accounts.update_profile(current_session(), **profile, client=client_of(request))


@bp.delete("/user/")
@signed_in
@bp.arguments(ProofSchema, required=False)
@bp.response(204)
@bp.refuses(InvalidCredentials, ProofNeeded, TooManyRequests, Overloaded)
def delete_user(proof: dict[str, str]) -> None:
    """Delete the account, its sessions and personal data. There is no way back."""
    accounts.leave(current_session(), proof.get("password"), client=client_of(request))


@bp.get("/user/activity/")
@signed_in
@bp.response(200, EventSchema(many=True))
def activity() -> Sequence[AuditEvent]:
    """List the last 50 security events of the account, newest first."""
    return accounts.activity(current_session().user_id)


@bp.get("/user/export/")
@signed_in
@bp.response(200, ExportSchema)
@bp.refuses(NotFound)
def export() -> dict[str, Any]:
    """Return everything that is stored about the account."""
    return accounts.export(current_session().user_id)


@bp.post("/password/change/")
@signed_in
@bp.arguments(PasswordChangeSchema)
@bp.response(200, RenewedSchema)
@bp.hands_out_tokens("/tokens")
@bp.refuses(InvalidCredentials, TooManyRequests, Overloaded)
def change_password(body: dict[str, str]) -> dict[str, Any]:
    """Replace the password; every other session ends, this one goes on with a new pair."""
    current, new = body["current_password"], body["new_password"]
    session, client = current_session(), client_of(request)
    pair = credentials.change(session, current, new, client=client)
    return handed_over(pair, session.transport)


@bp.post("/password/reset/")
@bp.arguments(ResetSchema)
@bp.response(202, NothingSchema)
def ask_reset(body: dict[str, str]) -> dict[str, str]:
    """Have a link to a new password mailed, if the address is that of an account.

    The answer is the same if it is not, and when it was asked for too often.
    """
    credentials.ask_reset(body["email"], client=client_of(request))
    return {}


@bp.post("/password/reset/confirm/")
@bp.arguments(ResetConfirmSchema)
@bp.response(204)
@bp.refuses(LinkInvalid, Overloaded)
def reset_password(body: dict[str, str]) -> None:
    """Set a new password by the link of a mail; every session ends."""
    credentials.reset(body["token"], body["new_password"], client=client_of(request))


@bp.post("/email/verify/")
@bp.arguments(LinkSchema)
@bp.response(204)
@bp.refuses(LinkInvalid)
def verify_email(body: dict[str, str]) -> None:
    """Confirm an address by the link of a mail, also one that the account is to change to."""
    addresses.verify(body["token"], client=client_of(request))


@bp.post("/email/verify/resend/")
@signed_in
@bp.response(202, NothingSchema)
def resend_verification() -> dict[str, str]:
    """Have the link that confirms the address mailed again."""
    addresses.resend(current_session(), client=client_of(request))
    return {}


@bp.post("/email/change/")
@signed_in
@bp.arguments(EmailChangeSchema)
@bp.response(202, NothingSchema)
@bp.refuses(InvalidCredentials, ProofNeeded, TooManyRequests, Overloaded)
def change_email(body: dict[str, str]) -> dict[str, str]:
    """Have a link mailed to a new address; the account changes to it when the link is used."""
    session, client = current_session(), client_of(request)
    addresses.change(session, body["email"], body.get("password"), client=client)
    return {}
