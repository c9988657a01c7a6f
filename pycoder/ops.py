"""Machine doors: is the process up, can it serve, and what does it serve."""

from functools import cache
from ipaddress import ip_address

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Response, current_app, jsonify, request
from marshmallow import Schema, fields

from pycoder import metrics
from pycoder.errors import MigrationsPending, NotFound
from pycoder.extensions import db, migrate
from pycoder.openapi import Blueprint, api

bp = Blueprint("ops", __name__, description="For load balancers, monitors and tools")


class StatusSchema(Schema):
    status = fields.String(required=True)


@bp.get("/healthz")
@bp.response(200, StatusSchema)
def healthz() -> dict[str, str]:
    """Tell that the process is up; asks nothing else."""
    return {"status": "ok"}


@bp.get("/readyz")
@bp.response(200, StatusSchema)
@bp.refuses(MigrationsPending)
def readyz() -> dict[str, str]:
    """Tell that the database answers and is migrated, so that requests may come."""
    with db.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    if present != _head(current_app.extensions["migrate"].directory):
        raise MigrationsPending
    return {"status": "ok"}


@cache
def _head(directory: str) -> str | None:
    """Return the newest revision in the migrations folder."""
    return ScriptDirectory.from_config(migrate.get_config(directory)).get_current_head()


@bp.get("/metrics")
@bp.response(200, content_type="text/plain")
@bp.refuses(NotFound)
def exposition() -> Response:
    """Return the metrics in Prometheus' text format, to monitors inside only.

    Who comes through a proxy, or from the open internet, finds nothing here.
    """
    if "X-Forwarded-For" in request.headers or ip_address(request.remote_addr or "::").is_global:
        raise NotFound
    return Response(metrics.exposition(), mimetype="text/plain")


@bp.get("/api/openapi.json")
@bp.response(200, {"type": "object"})
def openapi() -> Response:
    """Return this document."""
    return jsonify(api.spec.to_dict())
