"""Documents for machines: metadata, JWK set, status lists, OpenAPI."""

from flask import Response, current_app, jsonify, request, url_for
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


class MetadataSchema(Schema):
    """Authorization server metadata (RFC 8414 §2), as far as it applies to PyCoder."""

    issuer = fields.String(required=True)
    jwks_uri = fields.String(required=True)
    introspection_endpoint = fields.String(required=True)
    introspection_endpoint_auth_methods_supported = fields.List(fields.String(), required=True)
    revocation_endpoint = fields.String(required=True)
    revocation_endpoint_auth_methods_supported = fields.List(fields.String(), required=True)
    response_types_supported = fields.List(fields.String(), required=True)
    grant_types_supported = fields.List(fields.String(), required=True)


class PasskeyEndpointsSchema(Schema):
    """Where users add and manage passkeys."""

    enroll = fields.String(required=True, metadata={"format": "uri"})
    manage = fields.String(required=True, metadata={"format": "uri"})


@bp.get("/.well-known/oauth-authorization-server")
@bp.response(200, MetadataSchema)
def metadata() -> Response:
    """Return where verifiers find the keys, introspection and revocation (RFC 8414).

    PyCoder has no authorization endpoint and no OAuth grants, so both lists of these are empty.
    """
    return _metadata()


@bp.get("/.well-known/openid-configuration")
@bp.response(200, MetadataSchema)
def openid_configuration() -> Response:
    """Return the same metadata where OpenID Connect Discovery looks for it.

    PyCoder issues no ID tokens.
    """
    return _metadata()


def _metadata() -> Response:
    url = current_app.config["PUBLIC_URL"]
    return _cacheable(
        jsonify(
            issuer=current_app.config["JWT_ISSUER"],
            jwks_uri=url + url_for("system.jwks"),
            introspection_endpoint=url + url_for("auth.introspect"),
            introspection_endpoint_auth_methods_supported=["client_secret_basic"],
            revocation_endpoint=url + url_for("auth.revoke"),
            revocation_endpoint_auth_methods_supported=["none"],
            response_types_supported=[],
            grant_types_supported=[],
        ),
        store.jwks_max_age(),
    )


@bp.get("/.well-known/passkey-endpoints")
@bp.response(200, PasskeyEndpointsSchema)
def passkey_endpoints() -> Response:
    """Return the page on which users add and manage passkeys, for password managers.

    It is that of W3C's "Passkey Endpoints Well-Known URL".
    """
    page = current_app.config["PUBLIC_URL"] + "/account#passkeys"
    return _cacheable(jsonify(enroll=page, manage=page), store.jwks_max_age())


@bp.get("/.well-known/jwks.json")
@bp.response(200, JWKSSchema, headers=CACHEABLE)
@bp.alt_response(304, headers=CACHEABLE)
def jwks() -> Response:
    """Return the public keys that verify tokens (RFC 7517 §5).

    A key is published before it signs, for longer than this response may be cached. It stays until
    the last token that it signed has expired.
    """
    return _cacheable(jsonify(current_ring().jwks()), store.jwks_max_age())


@bp.get("/.well-known/status/<int:number>.jwt")
@bp.response(200, TEXT, content_type="application/statuslist+jwt", headers=CACHEABLE)
@bp.alt_response(304, headers=CACHEABLE)
@bp.errors(NotFound)
def status(number: int) -> Response:
    """Return a signed list of active sessions (draft-ietf-oauth-status-list).

    For services that verify tokens offline. The claim status of a token names the list and the
    index of its session. A list has one URL: any other spelling of its number is not found.
    """
    if request.path != status_list.PATH.format(number):
        raise NotFound
    token = status_list.status_list_token(number)
    return _cacheable(Response(token, mimetype="application/statuslist+jwt"), MAX_AGE)


def _cacheable(response: Response, max_age: int) -> Response:
    response.cache_control.public = True
    response.cache_control.max_age = max_age
    response.add_etag()
    response.make_conditional(request)
    return response


@bp.get("/api/openapi.json")
@bp.response(200, {"type": "object"})
def openapi() -> Response:
    """Return this OpenAPI document."""
    return jsonify(api.document())
