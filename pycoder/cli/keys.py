"""``flask keys``: list, rotate and retire signing keys."""

import time

import click
from flask import current_app

from config_parsers import web_url
from pycoder.cli import key_drill
from pycoder.cli.base import ProblemGroup, as_json, fail, show
from pycoder.keys import rotation, store
from pycoder.keys.store import PROPAGATION_DELAY

keys = ProblemGroup("keys", help="Manage the keys that sign tokens.")


@keys.command("list")
@as_json
def list_keys(as_json: bool) -> None:
    """List the signing keys, newest first."""
    for key in rotation.list_keys():
        show({name: str(value) for name, value in key._asdict().items() if value}, as_json)


@keys.command("rotate")
@as_json
def rotate(as_json: bool) -> None:
    """Create a new signing key. Sessions continue.

    The key signs once every node and every verifier can know it.
    """
    key = rotation.rotate()
    show({"made": key.kid, "signs_from": str(key.signs_from)}, as_json)


@keys.command("retire", context_settings={"ignore_unknown_options": True})  # a KID may be -x
@click.argument("kid")
@as_json
def retire(kid: str, as_json: bool) -> None:
    """Delete a signing key at once, and end all sessions that it signed for.

    The command returns when every node rejects the key. A service that caches the JWK set accepts
    the key for up to jwks_kept_for seconds more.
    """
    ended = rotation.retire(kid)
    time.sleep(PROPAGATION_DELAY)
    max_age = store.jwks_max_age()
    show({"retired": kid, "sessions_ended": ended, "jwks_kept_for": max_age}, as_json)


@keys.command("drill")
@click.option("--url", type=web_url, help="The URL of the running service. Default: PUBLIC_URL.")
@as_json
def drill(url: str | None, as_json: bool) -> None:
    """Rotate the keys, and check a session at the running service.

    Exits with status 1 if a request of the session fails.
    """
    for step in key_drill.run_drill(url or current_app.config["PUBLIC_URL"]):
        show(step, as_json)
    if not step["passed"]:
        fail("the drill failed")
