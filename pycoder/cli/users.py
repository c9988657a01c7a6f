"""``flask users``: create, inspect and change accounts."""

import sys
from collections import Counter
from typing import Any

import click
from flask import json

from pycoder.accounts import administration, registration, transfer
from pycoder.cli.base import ProblemGroup, as_json, identifier_argument, new_password, show
from pycoder.models.user import User

users = ProblemGroup("users", help="Create, look at and change accounts.")


def _fields(user: User) -> dict[str, Any]:
    names = ("id", "email", "username", "first_name", "last_name", "is_active", "email_verified")
    return {name: getattr(user, name) for name in names} | {
        "date_joined": user.date_joined.isoformat()
    }


@users.command("create")
@click.argument("email")
@click.option("--username", default="", help="Default: from the e-mail address.")
@click.option("--first-name", default="")
@click.option("--last-name", default="")
@new_password
@as_json
def create(as_json: bool, **profile: str) -> None:
    """Create a user."""
    show(_fields(registration.create_user(**profile)), as_json)


@users.command("list")
@as_json
def list_users(as_json: bool) -> None:
    """List all users, one a line."""
    for user in administration.list_users():
        show(_fields(user), as_json)


@users.command("show")
@identifier_argument
@as_json
def show_user(who: str, as_json: bool) -> None:
    """Show one user."""
    show(_fields(administration.find_user(who)), as_json)


@users.command("activate")
@identifier_argument
def activate(who: str) -> None:
    """Let a user sign in again."""
    administration.set_active(administration.find_user(who), True)


@users.command("deactivate")
@identifier_argument
def deactivate(who: str) -> None:
    """Close an account; all its sessions end at once."""
    administration.set_active(administration.find_user(who), False)


@users.command("unlock")
@identifier_argument
def unlock(who: str) -> None:
    """Let a user try to sign in again after too many failures."""
    administration.unlock_user(administration.find_user(who))


@users.command("set-password")
@identifier_argument
@new_password
def set_password(who: str, password: str) -> None:
    """Replace a user's password; all sessions of the user end."""
    administration.set_password(administration.find_user(who), password)


@users.command("delete")
@identifier_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(who: str, yes: bool) -> None:
    """Delete a user with all sessions. There is no way back."""
    user = administration.find_user(who)
    if not yes:
        click.confirm(f"Delete {user.email} for good?", abort=True)
    administration.delete_user(user)


@users.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a header; default for *.csv.")
@as_json
def import_users(file: str, as_csv: bool, as_json: bool) -> None:
    """Add the users of a file, one a line, or of standard input (-).

    Lines that do not fit are named with their reason and exit with 1; all others are added.
    Giving the same file again adds nothing.
    """
    verdicts = Counter(added=0, existing=0, bad=0)
    with click.open_file(file, "rb") as lines:
        as_csv = as_csv or file.endswith(".csv")
        for outcome in transfer.import_users(lines, as_csv=as_csv):
            verdicts[outcome.verdict] += 1
            if outcome.reason:
                click.echo(f"line {outcome.line}: {outcome.reason}", err=True)
                if as_json:
                    show({"line": outcome.line, "reason": outcome.reason}, as_json)
    show(dict(verdicts), as_json)
    sys.exit(1 if verdicts["bad"] else 0)


@users.command("export")
@click.option("--with-password-hashes", "hashes", is_flag=True, help="Secrets: keep the file so.")
def export_users(hashes: bool) -> None:
    """Write all users as JSON lines, which import reads."""
    for user in transfer.export_users(with_hashes=hashes):
        password = {"password": user.password_hash} if hashes else {}
        click.echo(json.dumps(_fields(user) | password))
