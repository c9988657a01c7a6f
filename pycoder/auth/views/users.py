"""The account of the current user."""

from collections.abc import Sequence
from typing import Any

from flask import request

from pycoder.accounts import profile
from pycoder.accounts import profile as accounts_profile
from pycoder.auth import bp
from pycoder.auth.decorators import access_token_required
from pycoder.auth.schemas.accounts import (
    EventSchema,
    ProfileSchema,
    ProofSchema,
    UserSchema,
)
from pycoder.auth.schemas.export import ExportSchema
from pycoder.client_info import ClientInfo
from pycoder.errors import (
    InvalidCredentials,
    NotFound,
    Overloaded,
    ReauthenticationRequired,
    TooManyRequests,
)
from pycoder.models.audit import AuditEvent
from pycoder.models.user import User
from pycoder.tokens.jwt import current_token_state
from pycoder.tokens.state import TokenState


@bp.get("/user/")
@access_token_required
@bp.response(200, UserSchema)
def user() -> TokenState:
    """Return the user whose access token this is."""
    return current_token_state()


@bp.patch("/user/")
@access_token_required
@bp.arguments(ProfileSchema, required=False)
@bp.response(200, UserSchema)
@bp.refuses(TooManyRequests)
def update_user(profile: dict[str, str]) -> User:
    """Change the username or the names of the account."""
    return accounts_profile.update_profile(
        current_token_state(), **profile, client=ClientInfo.from_request(request)
    )


@bp.delete("/user/")
@access_token_required
@bp.arguments(ProofSchema, required=False)
@bp.response(204)
@bp.refuses(InvalidCredentials, ReauthenticationRequired, TooManyRequests, Overloaded)
def delete_user(proof: dict[str, str]) -> None:
    """Delete the account, its sessions and personal data. There is no way back."""
    profile.delete_own_account(
        current_token_state(), proof.get("password"), client=ClientInfo.from_request(request)
    )


@bp.get("/user/activity/")
@access_token_required
@bp.response(200, EventSchema(many=True))
def activity() -> Sequence[AuditEvent]:
    """List the last 50 security events of the account, newest first."""
    return profile.list_activity(current_token_state().user_id)


@bp.get("/user/export/")
@access_token_required
@bp.response(200, ExportSchema)
@bp.refuses(NotFound)
def export() -> dict[str, Any]:
    """Return everything that is stored about the account."""
    return profile.export_account(current_token_state().user_id)
