"""The web pages: static shells without user data, filled by the JavaScript client."""

from collections.abc import Callable
from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Response, redirect, render_template, send_from_directory
from werkzeug.wrappers import Response as AnyResponse

SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"

SELF_ONLY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
TRUSTED_TYPES = "require-trusted-types-for 'script'; trusted-types 'none'"

bp = Blueprint("web", __name__, template_folder="templates", static_folder="static")


def page(template: str, *, policy: str = f"{SELF_ONLY}; {TRUSTED_TYPES}") -> Response:
    """Render a page under a Content-Security-Policy.

    By default, the policy forbids inline code, other origins, and markup built from strings.
    """
    return Response(render_template(template), headers={"Content-Security-Policy": policy})


def page_view(template: str) -> Callable[[], Response]:
    """Return a view that renders a template without variables."""
    return lambda: page(template)


for path, name in (
    ("/", "start"),
    ("/register", "register"),
    ("/login", "login"),
    ("/account", "account"),
    ("/forgot-password", "forgot_password"),
    ("/reset-password", "reset_password"),
    ("/verify-email", "verify_email"),
    ("/undo-email", "undo_email"),
    ("/undo-factors", "undo_factors"),
    ("/accept-invitation", "accept_invitation"),
    ("/admin", "admin_people"),
    ("/admin/events", "admin_events"),
):
    bp.add_url_rule(path, name, page_view(f"{name}.html"))


@bp.get("/admin/users/<int:user_id>")
def admin_person(user_id: int) -> Response:
    """Show the page of one account. Its script reads the id from the address."""
    return page("admin_person.html")


@bp.get("/.well-known/change-password")
def change_password() -> AnyResponse:
    """Redirect to the password form (W3C, "A Well-Known URL for Changing Passwords")."""
    return redirect("/account#password")


@bp.get("/api/docs/")
def reference() -> Response:
    """Show the API reference.

    Its policy has no Trusted Types, because Swagger UI builds markup from strings.
    """
    return page("reference.html", policy=SELF_ONLY)


@bp.get("/static/reference/<path:file>")
def reference_asset(file: str) -> AnyResponse:
    """Serve a file of Swagger UI from the package ``flask-swagger-ui``."""
    return send_from_directory(SWAGGER_UI, file)
