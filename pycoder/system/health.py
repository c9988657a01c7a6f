"""Health checks and metrics for load balancers and monitors."""

from ipaddress import ip_address

from flask import Response, request
from marshmallow import Schema, fields

from pycoder import metrics
from pycoder.db.revision import is_up_to_date
from pycoder.errors import MigrationsPending, NotFound
from pycoder.http.openapi import TEXT
from pycoder.keys.ring import current_ring
from pycoder.system import bp


class StatusSchema(Schema):
    """The response of a health check."""

    status = fields.String(required=True)


@bp.get("/healthz")
@bp.response(200, StatusSchema)
def healthz() -> dict[str, str]:
    """Respond 200 while the process is running. No other system is checked."""
    return {"status": "ok"}


@bp.get("/readyz")
@bp.response(200, StatusSchema)
def readyz() -> dict[str, str]:
    """Respond 200 if the node is ready to serve requests.

    The database must respond and be migrated, and the signing keys must be readable.
    """
    if not is_up_to_date():
        raise MigrationsPending
    current_ring()
    return {"status": "ok"}


@bp.get("/metrics")
@bp.response(200, TEXT, content_type="text/plain")
@bp.errors(NotFound)
def exposition() -> Response:
    """Return the metrics in Prometheus' text format, for the internal network only.

    A request through a proxy or from a public address gets 404.
    """
    if "X-Forwarded-For" in request.headers or ip_address(request.remote_addr or "::").is_global:
        raise NotFound
    return Response(metrics.exposition(), mimetype="text/plain")
