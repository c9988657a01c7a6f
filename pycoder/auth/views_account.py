"""The account as its owner sees it."""

from collections.abc import Sequence
from typing import Any

from pycoder import accounts
from pycoder.auth import bp
from pycoder.auth.guards import signed_in
from pycoder.auth.schemas import EventSchema, ExportSchema
from pycoder.models import AuditEvent
from pycoder.tokens import current_session


@bp.get("/user/activity/")
@signed_in
@bp.response(200, EventSchema(many=True))
def activity() -> Sequence[AuditEvent]:
    """List the last 50 security events of the account, newest first."""
    return accounts.activity(current_session().user_id)


@bp.get("/user/export/")
@signed_in
@bp.response(200, ExportSchema)
def export() -> dict[str, Any]:
    """Return everything that is stored about the account."""
    return accounts.export(current_session().user_id)
