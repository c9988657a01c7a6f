"""The pages: shells without a word about anybody, which the JavaScript client fills."""

from collections.abc import Callable
from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Response, redirect, render_template, send_from_directory
from werkzeug.wrappers import Response as AnyResponse

SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"

ONLY_OURS = "; ".join(
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
NO_STRINGS_AS_MARKUP = "require-trusted-types-for 'script'; trusted-types 'none'"

bp = Blueprint("web", __name__, template_folder="templates", static_folder="static")


def page(template: str, *, policy: str = f"{ONLY_OURS}; {NO_STRINGS_AS_MARKUP}") -> Response:
    """Render a page under its Content-Security-Policy: nothing inline, nothing from elsewhere."""
    return Response(render_template(template), headers={"Content-Security-Policy": policy})


def shell(template: str) -> Callable[[], Response]:
    return lambda: page(template)


for path, name in (
    ("/", "start"),
    ("/register", "register"),
    ("/login", "login"),
    ("/account", "account"),
    ("/forgot-password", "forgot_password"),
    ("/reset-password", "reset_password"),
    ("/verify-email", "verify_email"),
):
    bp.add_url_rule(path, name, shell(f"{name}.html"))


@bp.get("/.well-known/change-password")
def change_password() -> AnyResponse:
    """Show password managers the way (W3C, "A Well-Known URL for Changing Passwords")."""
    return redirect("/account#password")


@bp.get("/api/docs/")
def reference() -> Response:
    """Show the API reference; its script builds markup from strings."""
    return page("reference.html", policy=ONLY_OURS)


@bp.get("/static/reference/<path:file>")
def reference_asset(file: str) -> AnyResponse:
    """Return a file of Swagger UI, from its package."""
    return send_from_directory(SWAGGER_UI, file)
