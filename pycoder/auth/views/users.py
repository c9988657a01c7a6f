"""The account of the current user."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response

from pycoder.accounts import profile as account
from pycoder.auth import bp
from pycoder.auth.decorators import access_token_required
from pycoder.auth.schemas.accounts import (
    EventSchema,
    ProfileSchema,
    ProofSchema,
    UserSchema,
)
from pycoder.auth.schemas.export import ExportSchema
from pycoder.errors import (
    InvalidCredentials,
    LastAdmin,
    Overloaded,
    ReauthenticationRequired,
    TooManyRequests,
)
from pycoder.http.streaming import stream_json
from pycoder.models.user import User
from pycoder.tokens.jwt import current_token_state


@bp.get("/user/")
@access_token_required
@bp.response(200, UserSchema)
def user() -> dict[str, Any]:
    """Return the user of the access token."""
    return current_token_state().user._asdict()


@bp.patch("/user/")
@access_token_required
@bp.arguments(ProfileSchema, required=False)
@bp.response(200, UserSchema)
@bp.errors(TooManyRequests)
def update_user(profile: dict[str, str]) -> User:
    """Change the username or the names of the account."""
    return account.update_profile(current_token_state(), **profile)


@bp.delete("/user/")
@access_token_required
@bp.arguments(ProofSchema, required=False)
@bp.response(204)
@bp.errors(InvalidCredentials, ReauthenticationRequired, LastAdmin, TooManyRequests, Overloaded)
def delete_user(proof: dict[str, str]) -> None:
    """Delete the account, its sessions and its personal data. This cannot be undone.

    Requires the password or a proof. The last active administrator has to stay.
    """
    account.delete_own_account(current_token_state(), **proof)


@bp.get("/user/activity/")
@access_token_required
@bp.response(200, EventSchema(many=True))
def activity() -> Sequence[Mapping[str, Any]]:
    """List the last 50 security events of the account, newest first."""
    return account.list_activity(current_token_state().user_id)


@bp.get("/user/export/")
@access_token_required
@bp.response(200, ExportSchema)
@bp.errors(TooManyRequests)
def export() -> Response:
    """Return everything that is stored about the account, without secrets."""
    document = account.export_account(current_token_state())
    return stream_json(ExportSchema(), document, "events")
