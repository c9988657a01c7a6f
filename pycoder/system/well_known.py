"""Documents for machines: JWK set, status lists, OpenAPI."""

from flask import Response, jsonify, request
from marshmallow import Schema, fields

from pycoder.errors import NotFound
from pycoder.http.openapi import CACHEABLE, TEXT, api
from pycoder.keys import store
from pycoder.keys.ring import current_ring
from pycoder.system import bp
from pycoder.tokens import status_list
from pycoder.tokens.status_list import MAX_AGE


class JWKSSchema(Schema):
    """A JWK set (RFC 7517 §5)."""

    keys = fields.List(fields.Dict(keys=fields.String(), values=fields.String()), required=True)


@bp.get("/.well-known/jwks.json")
@bp.response(200, JWKSSchema, headers=CACHEABLE)
@bp.alt_response(304, headers=CACHEABLE)
def jwks() -> Response:
    """Return the public keys that verify tokens (RFC 7517 §5).

    A key is published before it signs, for longer than this response may be cached. It stays until
    the last token that it signed has expired.
    """
    response = jsonify(current_ring().jwks())
    response.cache_control.public = True
    response.cache_control.max_age = store.jwks_max_age()
    response.add_etag()
    response.make_conditional(request)
    return response


@bp.get("/.well-known/status/<int:number>.jwt")
@bp.response(200, TEXT, content_type="application/statuslist+jwt", headers=CACHEABLE)
@bp.alt_response(304, headers=CACHEABLE)
@bp.errors(NotFound)
def status(number: int) -> Response:
    """Return a signed list of active sessions (draft-ietf-oauth-status-list).

    For services that verify tokens offline. The claim status of a token names the list and the
    index of its session.
    """
    response = Response(
        status_list.status_list_token(number), mimetype="application/statuslist+jwt"
    )
    response.headers["Cache-Control"] = f"public, max-age={MAX_AGE}"
    response.add_etag()
    response.make_conditional(request)
    return response


@bp.get("/api/openapi.json")
@bp.response(200, {"type": "object"})
def openapi() -> Response:
    """Return this OpenAPI document."""
    return jsonify(api.document())
