"""What services ask about tokens."""

from functools import wraps
from typing import Any

from flask import request

from pycoder import introspection
from pycoder.auth import bp
from pycoder.auth.guards import View, client_of
from pycoder.auth.schemas import IntrospectedSchema, IntrospectSchema
from pycoder.errors import InvalidClient, TooManyRequests


def for_services(view: View) -> View:
    """Let in a service, by HTTP Basic (RFC 7617); a list of credentials is none."""

    @wraps(view)
    def enter(*args: Any, **kwargs: Any) -> Any:
        given = request.authorization
        name, secret = "", ""
        if given and given.type == "basic" and "," not in request.headers["Authorization"]:
            name, secret = given.username or "", given.password or ""
        introspection.authenticate(name, secret, client=client_of(request))
        return view(*args, **kwargs)

    return bp.refuses(InvalidClient, TooManyRequests)(bp.doc(security=[{"basic": []}])(enter))


@bp.post("/token/introspect/")
@for_services
@bp.arguments(IntrospectSchema)
@bp.response(200, IntrospectedSchema)
def introspect(body: dict[str, str]) -> dict[str, Any]:
    """Tell a service whether an access token is good, and whose it is (RFC 7662).

    Of a token that is revoked, has expired, is a refresh token or none of ours, it is only told
    that it is not active.
    """
    return introspection.introspect(body["token"])
