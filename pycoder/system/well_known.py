"""Documents for machines: JWK set, status lists, OpenAPI."""

from flask import Response, jsonify, request
from marshmallow import Schema, fields

from pycoder.errors import NotFound
from pycoder.http.openapi import api
from pycoder.keys import store
from pycoder.keys.ring import current_ring
from pycoder.system import bp
from pycoder.tokens import status_list
from pycoder.tokens.status_list import MAX_AGE


class JWKSSchema(Schema):
    keys = fields.List(fields.Dict(keys=fields.String(), values=fields.String()), required=True)


@bp.get("/.well-known/jwks.json")
@bp.response(200, JWKSSchema)
def jwks() -> Response:
    """Return the public keys that verify our tokens (RFC 7517 §5).

    A key is here before it signs, for as long as this answer may be kept; and until the last
    token that it signed has expired.
    """
    answer = jsonify(current_ring().jwks())
    answer.cache_control.public = True
    answer.cache_control.max_age = store.jwks_max_age()
    answer.add_etag()
    answer.make_conditional(request)
    return answer


@bp.get("/.well-known/status/<int:number>.jwt")
@bp.response(200, content_type="application/statuslist+jwt")
@bp.errors(NotFound)
def status(number: int) -> Response:
    """Return a signed list of the sessions that live (draft-ietf-oauth-status-list).

    For services that verify tokens by themselves: a token's claim ``status`` names the list and
    the place in it.
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
    """Return this document."""
    return jsonify(api.document())
