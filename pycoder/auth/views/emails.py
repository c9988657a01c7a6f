"""Verify and change e-mail addresses."""

from flask import request

from pycoder.accounts import emails
from pycoder.auth import bp
from pycoder.auth.decorators import access_token_required
from pycoder.auth.schemas.accounts import EmailChangeSchema, LinkSchema
from pycoder.auth.schemas.base import EmptySchema
from pycoder.client_info import ClientInfo
from pycoder.errors import (
    InvalidCredentials,
    LinkInvalid,
    Overloaded,
    ReauthenticationRequired,
    TooManyRequests,
)
from pycoder.tokens.jwt import current_token_state


@bp.post("/email/verify/")
@bp.arguments(LinkSchema)
@bp.response(204)
@bp.refuses(LinkInvalid)
def verify_email(body: dict[str, str]) -> None:
    """Confirm an address by the link of a mail, also one that the account is to change to."""
    emails.confirm_email(body["token"], client=ClientInfo.from_request(request))


@bp.post("/email/verify/resend/")
@access_token_required
@bp.response(202, EmptySchema)
def resend_verification() -> dict[str, str]:
    """Have the link that confirms the address mailed again."""
    emails.resend_verification(current_token_state(), client=ClientInfo.from_request(request))
    return {}


@bp.post("/email/change/")
@access_token_required
@bp.arguments(EmailChangeSchema)
@bp.response(202, EmptySchema)
@bp.refuses(InvalidCredentials, ReauthenticationRequired, TooManyRequests, Overloaded)
def change_email(body: dict[str, str]) -> dict[str, str]:
    """Have a link mailed to a new address; the account changes to it when the link is used."""
    session, client = current_token_state(), ClientInfo.from_request(request)
    emails.request_email_change(session, body["email"], body.get("password"), client=client)
    return {}
