"""List and revoke the sessions of the current user."""

from collections.abc import Sequence
from uuid import UUID

from pycoder.auth import bp
from pycoder.auth.decorators import access_token_required
from pycoder.auth.schemas.sessions import SessionSchema
from pycoder.errors import NotFound, TooManyRequests
from pycoder.models.session import Session
from pycoder.sessions import lifecycle
from pycoder.tokens.jwt import current_token_state


@bp.get("/sessions/")
@access_token_required
@bp.response(200, SessionSchema(many=True))
def list_sessions() -> Sequence[Session]:
    """List the active sessions of the user, latest use first."""
    return lifecycle.list_active(current_token_state())


@bp.delete("/sessions/<uuid:session_id>/")
@access_token_required
@bp.response(204)
@bp.errors(NotFound, TooManyRequests)
def end_session(session_id: UUID) -> None:
    """End a session of the user, at once on every node."""
    lifecycle.revoke_session(current_token_state(), session_id)


@bp.delete("/sessions/")
@access_token_required
@bp.response(204)
@bp.errors(TooManyRequests)
def end_other_sessions() -> None:
    """End every session of the user except this one."""
    lifecycle.revoke_other_sessions(current_token_state())
