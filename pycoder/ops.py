"""Machine doors: is the process up, can it serve, and what does it serve."""

from functools import cache
from ipaddress import ip_address

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Response, current_app, jsonify, request
from marshmallow import Schema, fields

from pycoder import keys, keystore, metrics
from pycoder.errors import MigrationsPending, NotFound
from pycoder.extensions import db, migrate
from pycoder.openapi import Blueprint, api

bp = Blueprint("ops", __name__, description="For load balancers, monitors and tools")


class StatusSchema(Schema):
    status = fields.String(required=True)


class JWKSSchema(Schema):
    keys = fields.List(fields.Dict(keys=fields.String(), values=fields.String()), required=True)


@bp.get("/healthz")
@bp.response(200, StatusSchema)
def healthz() -> dict[str, str]:
    """Tell that the process is up; asks nothing else."""
    return {"status": "ok"}


@bp.get("/readyz")
@bp.response(200, StatusSchema)
@bp.refuses(MigrationsPending)
def readyz() -> dict[str, str]:
    """Tell that the database answers, is migrated, and holds keys that open: requests may come."""
    with db.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    if present != _head(current_app.extensions["migrate"].directory):
        raise MigrationsPending
    keys.ring()
    return {"status": "ok"}


@cache
def _head(directory: str) -> str | None:
    """Return the newest revision in the migrations folder."""
    return ScriptDirectory.from_config(migrate.get_config(directory)).get_current_head()


@bp.get("/.well-known/jwks.json")
@bp.response(200, JWKSSchema)
def jwks() -> Response:
    """Return the public keys that verify our tokens (RFC 7517 §5).

    A key is here before it signs, for as long as this answer may be kept; and until the last
    token that it signed has expired.
    """
    answer = jsonify(keys.ring().jwks())
    answer.cache_control.public = True
    answer.cache_control.max_age = keystore.cache_lifetime()
    answer.add_etag()
    answer.make_conditional(request)
    return answer


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
