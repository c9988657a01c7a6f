"""The ``admin`` blueprint: accounts and the audit trail under ``/api/admin``.

One guard stands before all of its views.
"""

from collections.abc import Callable
from typing import Any

from flask import current_app, request

from pycoder.auth.decorators import role_required
from pycoder.client_info import bind_actor
from pycoder.errors import Forbidden, ReauthenticationRequired
from pycoder.http.openapi import ACCESS_TOKEN_PROBLEMS, Blueprint
from pycoder.models.role import ADMIN
from pycoder.tokens.jwt import current_token_state

FACTOR_NEEDED = (
    "Administrators sign in with a second factor here. Please confirm that it is you with yours, or"
    " add one to your account."
)

View = Callable[..., Any]


class GuardedBlueprint(Blueprint):
    """A blueprint whose views document what its guard requires."""

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Register a view that needs an access token of an administrator."""
        register = super().route(rule, **options)

        def decorate(view: View) -> View:
            documented = self.doc(security=[{"bearer": []}, {"cookie": []}])(view)
            problems = (*ACCESS_TOKEN_PROBLEMS, ReauthenticationRequired, Forbidden)
            return register(self.errors(*problems)(documented))

        return decorate


bp = GuardedBlueprint(
    "admin", __name__, url_prefix="/api/admin", description="Accounts of others, audit trail"
)


@bp.before_request
def guard() -> None:
    """Require an administrator for every view, but not for CORS preflights."""
    if request.method != "OPTIONS":  # which Flask answers, without a view
        require_admin()


@role_required(ADMIN)
def require_admin() -> None:
    """Require the role ``admin``, and act on behalf of its user from here on.

    Unless ``SECOND_FACTOR`` is ``optional``, the session must have authenticated with a second
    factor. Raises ``Forbidden`` and ``ReauthenticationRequired``.
    """
    current = current_token_state()
    with_factor = "mfa" in current.amr.split()
    if current_app.config["SECOND_FACTOR"] != "optional" and not with_factor:
        raise ReauthenticationRequired(needs_factor=True, detail=FACTOR_NEEDED)
    bind_actor(current.user_id)


from pycoder.admin import views  # noqa: E402, F401
