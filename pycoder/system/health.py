"""Health checks and metrics for load balancers and monitors."""

from functools import cache
from ipaddress import ip_address

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Response, current_app, request
from marshmallow import Schema, fields

from pycoder import metrics
from pycoder.errors import MigrationsPending, NotFound
from pycoder.extensions import db, migrate
from pycoder.keys.ring import current_ring
from pycoder.system import bp


class StatusSchema(Schema):
    status = fields.String(required=True)


@bp.get("/healthz")
@bp.response(200, StatusSchema)
def healthz() -> dict[str, str]:
    """Tell that the process is up; asks nothing else."""
    return {"status": "ok"}


@bp.get("/readyz")
@bp.response(200, StatusSchema)
@bp.errors(MigrationsPending)
def readyz() -> dict[str, str]:
    """Tell that the database answers, is migrated, and holds keys that open: requests may come."""
    with db.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    if present != _head_revision(current_app.extensions["migrate"].directory):
        raise MigrationsPending
    current_ring()
    return {"status": "ok"}


@cache
def _head_revision(directory: str) -> str | None:
    """Return the newest revision in the migrations folder."""
    return ScriptDirectory.from_config(migrate.get_config(directory)).get_current_head()


@bp.get("/metrics")
@bp.response(200, content_type="text/plain")
@bp.errors(NotFound)
def exposition() -> Response:
    """Return the metrics in Prometheus' text format, to monitors inside only.

    Who comes through a proxy, or from the open internet, finds nothing here.
    """
    if "X-Forwarded-For" in request.headers or ip_address(request.remote_addr or "::").is_global:
        raise NotFound
    return Response(metrics.exposition(), mimetype="text/plain")
