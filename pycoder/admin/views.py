"""The views of the admin API, all of them behind the guard of the blueprint."""

from typing import Any

from marshmallow import RAISE
from sqlalchemy import Row

from pycoder.accounts import admin_actions, directory
from pycoder.accounts.directory import Page
from pycoder.admin import bp
from pycoder.admin.schemas import (
    AdminEventPageSchema,
    AdminUserDetailSchema,
    AdminUserPageSchema,
    AdminUserSchema,
    EventsQuerySchema,
    InvitationSchema,
    UserChangeSchema,
    UsersQuerySchema,
)
from pycoder.auth.schemas.accounts import ProofSchema
from pycoder.errors import (
    InvalidCredentials,
    InvalidInput,
    NotFound,
    Overloaded,
    OwnAccount,
    TooManyRequests,
)
from pycoder.tokens.jwt import current_token_state

ONE = "/users/<int(max=9223372036854775807):user_id>/"  # what the databases can store
REAUTHENTICATION = (InvalidCredentials, TooManyRequests, Overloaded)


@bp.get("/users/")
@bp.arguments(UsersQuerySchema, location="query", unknown=RAISE)
@bp.response(200, AdminUserPageSchema)
@bp.errors(InvalidInput)
def list_users(query: dict[str, Any]) -> Page:
    """List accounts, in the order of their ids."""
    return directory.list_users(**query)


@bp.post("/users/")
@bp.arguments(InvitationSchema)
@bp.response(201, AdminUserSchema)
@bp.errors(*REAUTHENTICATION)
def invite_user(body: dict[str, Any]) -> Row[Any]:
    """Invite a user: create an account without a password, and mail a link to set one.

    Requires the password of the administrator or a proof, as every call that changes something.
    """
    return admin_actions.invite_user(current_token_state(), **body)


@bp.get(ONE)
@bp.response(200, AdminUserDetailSchema)
@bp.errors(NotFound)
def show_user(user_id: int) -> dict[str, Any]:
    """Show an account with its factors, sessions and latest events."""
    return directory.show_user(user_id)


@bp.patch(ONE)
@bp.arguments(UserChangeSchema, required=False)
@bp.response(200, AdminUserSchema)
@bp.errors(NotFound, OwnAccount, *REAUTHENTICATION)
def change_user(body: dict[str, Any], user_id: int) -> Row[Any]:
    """Change the roles of an account, or whether it is active.

    Administrators do not change their own account, so that one always stays.
    """
    return admin_actions.change_user(current_token_state(), user_id, **body)


@bp.delete(f"{ONE}sessions/")
@bp.arguments(ProofSchema, required=False)
@bp.response(204)
@bp.errors(NotFound, *REAUTHENTICATION)
def end_user_sessions(body: dict[str, str], user_id: int) -> None:
    """End every session of an account. Its user is mailed."""
    admin_actions.end_all_sessions(current_token_state(), user_id, **body)


@bp.delete(f"{ONE}factors/")
@bp.arguments(ProofSchema, required=False)
@bp.response(204)
@bp.errors(NotFound, *REAUTHENTICATION)
def reset_user_factors(body: dict[str, str], user_id: int) -> None:
    """Remove the second factors of an account, and end its sessions.

    Its user is mailed.
    """
    admin_actions.reset_factors(current_token_state(), user_id, **body)


@bp.post(f"{ONE}password-reset/")
@bp.arguments(ProofSchema, required=False)
@bp.response(204)
@bp.errors(NotFound, *REAUTHENTICATION)
def reset_user_password(body: dict[str, str], user_id: int) -> None:
    """Void the password of an account, end its sessions, and mail its user a link.

    A user that has not accepted an invitation yet is sent another one.
    """
    admin_actions.void_password(current_token_state(), user_id, **body)


@bp.get("/events/")
@bp.arguments(EventsQuerySchema, location="query", unknown=RAISE)
@bp.response(200, AdminEventPageSchema)
@bp.errors(InvalidInput)
def list_events(query: dict[str, Any]) -> Page:
    """List the audit trail, newest first."""
    return directory.list_events(**query)
