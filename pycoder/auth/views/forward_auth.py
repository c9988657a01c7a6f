"""Authentication for applications behind a reverse proxy."""

from urllib.parse import quote

from pycoder.auth import bp
from pycoder.auth.decorators import access_token_required
from pycoder.auth.schemas.tokens import ForwardAuthSchema
from pycoder.errors import Forbidden, InvalidInput
from pycoder.http.openapi import IDENTITY
from pycoder.tokens.jwt import current_token_state


@bp.get("/forward-auth/")
@access_token_required
@bp.arguments(ForwardAuthSchema, location="query")
@bp.response(204, headers=IDENTITY)
@bp.errors(InvalidInput, Forbidden)
def forward_auth(query: dict[str, str | None]) -> tuple[None, dict[str, str]]:
    """Name the user of a request to a reverse proxy, such as nginx or Traefik.

    The application behind the proxy receives the headers. All three are always present, so that
    none that a client has sent remains. A username is percent-encoded (RFC 3986 §2.1), so it is
    one ASCII word, whatever its script.
    """
    user = current_token_state().user
    if query["role"] not in (None, *user.roles):
        raise Forbidden
    username = quote(user.username, safe="@+")
    names = {"X-Auth-User": str(user.id), "X-Auth-Username": username}
    return None, {**names, "X-Auth-Roles": " ".join(user.roles)}
