"""The views of the admin API. The guard of the blueprint stands before all of them."""

from typing import Any

from marshmallow import RAISE

from pycoder.accounts import directory
from pycoder.accounts.directory import Page
from pycoder.admin import bp
from pycoder.admin.schemas import (
    AdminEventPageSchema,
    AdminUserDetailSchema,
    AdminUserPageSchema,
    EventsQuerySchema,
    UsersQuerySchema,
)
from pycoder.errors import InvalidInput, NotFound

ONE = "/users/<int(max=9223372036854775807):user_id>/"  # what the databases can store


@bp.get("/users/")
@bp.arguments(UsersQuerySchema, location="query", unknown=RAISE)
@bp.response(200, AdminUserPageSchema)
@bp.errors(InvalidInput)
def list_users(query: dict[str, Any]) -> Page:
    """List accounts, in the order of their ids."""
    return directory.list_users(**query)


@bp.get(ONE)
@bp.response(200, AdminUserDetailSchema)
@bp.errors(NotFound)
def show_user(user_id: int) -> dict[str, Any]:
    """Show an account with its factors, sessions and latest events."""
    return directory.show_user(user_id)


@bp.get("/events/")
@bp.arguments(EventsQuerySchema, location="query", unknown=RAISE)
@bp.response(200, AdminEventPageSchema)
@bp.errors(InvalidInput)
def list_events(query: dict[str, Any]) -> Page:
    """List the audit trail, newest first."""
    return directory.list_events(**query)
