"""Verify and change e-mail addresses."""

from pycoder.accounts import emails
from pycoder.auth import bp
from pycoder.auth.decorators import access_token_required
from pycoder.auth.schemas.accounts import EmailChangeSchema, LinkSchema
from pycoder.auth.schemas.base import EmptySchema
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
@bp.errors(LinkInvalid)
def verify_email(body: dict[str, str]) -> None:
    """Confirm an e-mail address by the token of a mailed link.

    This also completes a change of address.
    """
    emails.confirm_email(body["token"])


@bp.post("/email/undo/")
@bp.arguments(LinkSchema)
@bp.response(204)
@bp.errors(LinkInvalid, Overloaded)
def undo_email_change(body: dict[str, str]) -> None:
    """Undo a change of address by the token of the link mailed to the address before.

    Every session ends, and the password with them. A link to set a new one is mailed to the
    restored address.
    """
    emails.undo_email_change(body["token"])


@bp.post("/email/verify/resend/")
@access_token_required
@bp.response(202, EmptySchema)
def resend_verification() -> dict[str, str]:
    """Mail the link that confirms the e-mail address again."""
    emails.resend_verification(current_token_state())
    return {}


@bp.post("/email/change/")
@access_token_required
@bp.arguments(EmailChangeSchema)
@bp.response(202, EmptySchema)
@bp.errors(InvalidCredentials, ReauthenticationRequired, TooManyRequests, Overloaded)
def change_email(body: dict[str, str]) -> dict[str, str]:
    """Mail a link to a new e-mail address.

    The account changes to the address when the link is used, if this session is still active.
    Requires the password or a proof.
    """
    emails.request_email_change(current_token_state(), **body)
    return {}
