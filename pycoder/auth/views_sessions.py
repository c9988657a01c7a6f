"""The devices that somebody is signed in on, and ending them."""

from collections.abc import Sequence
from uuid import UUID

from flask import request

from pycoder import sessions
from pycoder.auth import bp
from pycoder.auth.guards import client_of, signed_in
from pycoder.auth.schemas import SessionSchema
from pycoder.errors import NotFound
from pycoder.models import Session
from pycoder.tokens import current_session


@bp.get("/sessions/")
@signed_in
@bp.response(200, SessionSchema(many=True))
def list_sessions() -> Sequence[Session]:
    """List where the user is signed in, the latest use first."""
    return sessions.listed(current_session().user_id)


@bp.delete("/sessions/<uuid:session_id>/")
@signed_in
@bp.response(204)
@bp.refuses(NotFound)
def end_session(session_id: UUID) -> None:
    """End one session of the user, at once and everywhere."""
    sessions.end(current_session().user_id, session_id, client=client_of(request))


@bp.delete("/sessions/")
@signed_in
@bp.response(204)
def end_other_sessions() -> None:
    """End every session of the user but this one."""
    sessions.end_others(current_session(), client=client_of(request))
