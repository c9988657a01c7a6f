"""``flask backup`` and ``flask restored``: copy the database, and put a copy back."""

import shlex
import sqlite3
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import URL, make_url

from pycoder.cli.base import ProblemCommand, as_json, fail, show
from pycoder.db.backup import back_up
from pycoder.keys import store
from pycoder.sessions import restoration

CONFIRMATION = (
    "This signs all users out, and withdraws all signing keys. Has a backup been put back, and is"
    " the service stopped?"
)
REMINDER = (
    "What changed after the backup is lost: old passwords, addresses and roles are valid again, and"
    " accounts that were deactivated or deleted are active again. Ask users who have changed their"
    " password since to reset it, and look at: flask users list --role admin"
)


@click.command("backup", cls=ProblemCommand)
@click.argument("file", type=click.Path(path_type=Path))
@as_json
@with_appcontext
def backup(file: Path, as_json: bool) -> None:
    """Copy the SQLite database to a new file. The server may run meanwhile.

    For PostgreSQL, the command prints the pg_dump command to run, and exits with status 1.
    """
    url = make_url(current_app.config["DATABASE_URL"])
    if url.get_backend_name() == "postgresql":
        fail(f"PostgreSQL is backed up by its own program. Run: {_pg_dump(url, file)}")
    try:
        revision = back_up(file)
    except (OSError, sqlite3.Error) as error:
        fail(f"{file} was not written: {getattr(error, 'strerror', None) or error}")
    show({"file": str(file), "bytes": file.stat().st_size, "revision": revision}, as_json)
    click.echo(f"Keep the SECRET_KEY, too, in another place: {_secret_place()}.", err=True)


def _pg_dump(url: URL, file: Path) -> str:
    """Return the command that dumps a PostgreSQL database to a private file.

    It does not contain the password.
    """
    plain = url._replace(drivername="postgresql", password=None)
    address = str(plain.difference_update_query(["password"]))
    command = shlex.join(["pg_dump", "--format=custom", f"--file={file}", address])
    return f"(umask 077 && {command})"


def _secret_place() -> str:
    config = current_app.extensions["pycoder.config"]
    places = {"default": config.instance / "secret_key", ".env": config.dotenv}
    return str(places.get(config.source("SECRET_KEY"), "it is in the environment"))


@click.command("restored", cls=ProblemCommand)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--gap",
    type=click.IntRange(1, 10**9),
    default=restoration.GAP,
    show_default=True,
    help="The number of ids to leave out: more than were generated after the backup.",
)
@as_json
@with_appcontext
def restored(yes: bool, gap: int, as_json: bool) -> None:
    """Finish the restoration of a backup, before the service is started.

    This ends all sessions, and all links but those that undo a change of address or a first factor.
    It replaces the signing keys, and leaves out ids that may have been generated after the backup.
    A service that caches the JWK set accepts old tokens for up to jwks_kept_for seconds. Repeating
    the command is safe, and signs all users out again.
    """
    if not yes:
        click.confirm(CONFIRMATION, abort=True)
    ended = restoration.finish_restoration(gap)
    show({"sessions_ended": ended, "jwks_kept_for": store.jwks_max_age()}, as_json)
    click.echo(REMINDER, err=True)
