"""``flask keys``: list, rotate and retire signing keys."""

import time

import click
from flask import current_app

import config as settings
from pycoder.cli import key_drill
from pycoder.cli.base import ProblemGroup, as_json, fail, show
from pycoder.keys import rotation, store
from pycoder.keys.store import PROPAGATION_DELAY

keys = ProblemGroup("keys", help="Look after the keys that sign tokens.")


@keys.command("list")
@as_json
def list_keys(as_json: bool) -> None:
    """List the keys that sign tokens, the newest first."""
    for key in rotation.list_keys():
        show({name: str(fact) for name, fact in key._asdict().items() if fact}, as_json)


@keys.command("rotate")
@as_json
def rotate(as_json: bool) -> None:
    """Make a new key, which signs once everybody has it. Nobody is signed out."""
    key = rotation.rotate()
    show({"made": key.kid, "signs_from": str(key.signs_from)}, as_json)


@keys.command("retire", context_settings={"ignore_unknown_options": True})  # a KID may be -x
@click.argument("kid")
@as_json
def retire(kid: str, as_json: bool) -> None:
    """Withdraw a key at once, and end all sessions that it signed for.

    Returns when every node has followed. Who verifies by the JWK set follows when it looks again.
    """
    ended = rotation.retire(kid)
    time.sleep(PROPAGATION_DELAY)
    kept_for = store.jwks_max_age()
    show({"retired": kid, "sessions_ended": ended, "jwks_kept_for": kept_for}, as_json)


@keys.command("drill")
@click.option("--url", type=settings.web_url, help="Where the service runs. Default: PUBLIC_URL.")
@as_json
def drill(url: str | None, as_json: bool) -> None:
    """Rotate, and follow a session through it at the running service; exits with 1 if it fails."""
    for seen in key_drill.run_drill(url or current_app.config["PUBLIC_URL"]):
        show(seen, as_json)
    if not seen["passed"]:
        fail("the drill failed")
