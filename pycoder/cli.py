"""The command line: the same rooms by another door.

Passwords are prompted for, or read from standard input; an argument would stand in the list of
processes. Errors are one line and exit 1; ``--json`` writes for machines.
"""

import sys
import time
from collections import Counter
from typing import Any, NoReturn

import click
from flask import Flask, current_app, json
from flask.cli import AppGroup, with_appcontext
from sqlalchemy.exc import SQLAlchemyError

import config as settings
from pycoder import accounts, audit, keystore, outbox, people, pruning, rotation
from pycoder import drill as played
from pycoder.audit import COMMAND_LINE
from pycoder.errors import Problem
from pycoder.models import User


class ProblemGroup(AppGroup):
    """A group whose commands end a Problem as one line on standard error and exit 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Problem as problem:
            reasons = [f"{field}: {' '.join(why)}" for field, why in (problem.errors or {}).items()]
            _give_up(" ".join(reasons) or problem.detail)
        except SQLAlchemyError as error:
            _give_up(f"the database does not answer: {getattr(error, 'orig', None) or error}")


def _give_up(reason: str) -> NoReturn:
    click.echo(f"Error: {' '.join(reason.split())}", err=True)
    sys.exit(1)


users = ProblemGroup("users", help="Create, look at and change accounts.")
tokens = ProblemGroup("tokens", help="Look after the store of sessions and tokens.")
keys = ProblemGroup("keys", help="Look after the keys that sign tokens.")
mail = ProblemGroup("mail", help="Look after the mails that wait to be sent.")
audit_group = ProblemGroup("audit", help="Read the trail of security events.")

EVENT_FACTS = ("reason", "user_id", "session_id", "ip", "user_agent", "request_id")

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON.")
who = click.argument("who", metavar="ID|EMAIL|USERNAME")


def _read_password(ctx: click.Context, option: click.Parameter, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


new_password = click.option(
    "--password-stdin",
    "password",
    is_flag=True,
    callback=_read_password,
    help="Read the password from standard input instead of asking for it.",
)


def _facts(user: User) -> dict[str, Any]:
    names = ("id", "email", "username", "first_name", "last_name", "is_active", "email_verified")
    return {name: getattr(user, name) for name in names} | {
        "date_joined": user.date_joined.isoformat()
    }


def _show(facts: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(facts) if as_json else "  ".join(f"{k}={v}" for k, v in facts.items()))


@users.command("create")
@click.argument("email")
@click.option("--username", default="", help="Default: from the e-mail address.")
@click.option("--first-name", default="")
@click.option("--last-name", default="")
@new_password
@as_json
def create(as_json: bool, **profile: str) -> None:
    """Create a user."""
    _show(_facts(accounts.create(**profile, client=COMMAND_LINE)), as_json)


@users.command("list")
@as_json
def list_users(as_json: bool) -> None:
    """List all users, one a line."""
    for user in accounts.everyone():
        _show(_facts(user), as_json)


@users.command("show")
@who
@as_json
def show(who: str, as_json: bool) -> None:
    """Show one user."""
    _show(_facts(accounts.find(who)), as_json)


@users.command("activate")
@who
def activate(who: str) -> None:
    """Let a user sign in again."""
    accounts.set_active(accounts.find(who), True, client=COMMAND_LINE)


@users.command("deactivate")
@who
def deactivate(who: str) -> None:
    """Close an account; all its sessions end at once."""
    accounts.set_active(accounts.find(who), False, client=COMMAND_LINE)


@users.command("unlock")
@who
def unlock(who: str) -> None:
    """Let a user try to sign in again after too many failures."""
    accounts.unlock(accounts.find(who), client=COMMAND_LINE)


@users.command("set-password")
@who
@new_password
def set_password(who: str, password: str) -> None:
    """Replace a user's password; all sessions of the user end."""
    accounts.set_password(accounts.find(who), password, client=COMMAND_LINE)


@users.command("delete")
@who
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(who: str, yes: bool) -> None:
    """Delete a user with all sessions. There is no way back."""
    user = accounts.find(who)
    if not yes:
        click.confirm(f"Delete {user.email} for good?", abort=True)
    accounts.remove(user, client=COMMAND_LINE)


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
        for outcome in people.take_over(lines, as_csv=as_csv, client=COMMAND_LINE):
            verdicts[outcome.verdict] += 1
            if outcome.reason:
                click.echo(f"line {outcome.line}: {outcome.reason}", err=True)
                if as_json:
                    _show({"line": outcome.line, "reason": outcome.reason}, as_json)
    _show(dict(verdicts), as_json)
    sys.exit(1 if verdicts["bad"] else 0)


@users.command("export")
@click.option("--with-password-hashes", "hashes", is_flag=True, help="Secrets: keep the file so.")
def export_users(hashes: bool) -> None:
    """Write all users as JSON lines, which import reads."""
    for user in people.leave(with_hashes=hashes, client=COMMAND_LINE):
        password = {"password": user.password_hash} if hashes else {}
        click.echo(json.dumps(_facts(user) | password))


@tokens.command("prune")
@as_json
def prune(as_json: bool) -> None:
    """Delete sessions and blocklist entries whose time is over; safe at any time."""
    _show({"deleted": pruning.prune()}, as_json)


@audit_group.command("tail")
@click.option("-n", "count", default=20, show_default=True, help="How many events.")
@click.option("--user", "who", metavar="ID|EMAIL|USERNAME", help="Of one user only.")
@as_json
def tail(count: int, who: str | None, as_json: bool) -> None:
    """Print the latest security events, the newest last."""
    user_id = accounts.find(who).id if who else None
    for event in reversed(audit.latest(count, user_id)):
        facts = {name: getattr(event, name) for name in ("id", "at", "event", *EVENT_FACTS)}
        _show({name: str(fact) for name, fact in facts.items() if fact is not None}, as_json)


@keys.command("list")
@as_json
def list_keys(as_json: bool) -> None:
    """List the keys that sign tokens, the newest first."""
    for key in rotation.listed():
        _show({name: str(fact) for name, fact in key._asdict().items() if fact}, as_json)


@keys.command("rotate")
@as_json
def rotate(as_json: bool) -> None:
    """Make a new key, which signs once everybody has it. Nobody is signed out."""
    key = rotation.rotate(client=COMMAND_LINE)
    _show({"made": key.kid, "signs_from": str(key.signs_from)}, as_json)


@keys.command("retire", context_settings={"ignore_unknown_options": True})  # a KID may be -x
@click.argument("kid")
@as_json
def retire(kid: str, as_json: bool) -> None:
    """Withdraw a key at once, and end all sessions that it signed for.

    Returns when every node has followed. Who verifies by the JWK set follows when it looks again.
    """
    ended = rotation.retire(kid, client=COMMAND_LINE)
    time.sleep(keystore.FOLLOWED)
    kept_for = keystore.cache_lifetime()
    _show({"retired": kid, "sessions_ended": ended, "jwks_kept_for": kept_for}, as_json)


@keys.command("drill")
@click.option("--url", type=settings.web_url, help="Where the service runs. Default: PUBLIC_URL.")
@as_json
def drill(url: str | None, as_json: bool) -> None:
    """Rotate, and follow a session through it at the running service; exits with 1 if it fails."""
    for seen in played.play(url or current_app.config["PUBLIC_URL"], client=COMMAND_LINE):
        _show(seen, as_json)
    if not seen["passed"]:
        _give_up("the drill failed")


@mail.command("send")
@as_json
def send(as_json: bool) -> None:
    """Send the mails that are due now; the server does so by itself."""
    sent, failed = outbox.send_due()
    _show({"sent": sent, "waiting": outbox.waiting()}, as_json)
    if failed:
        _give_up("a mail could not be sent; the log says why, and it is tried again later")


@click.command("doctor")
@as_json
@with_appcontext
def doctor(as_json: bool) -> None:
    """Print every setting with its source.

    An unsafe one is refused before any command runs, with this same list.
    """
    report = current_app.extensions["pycoder.config"].report()
    if as_json:
        names = ("name", "value", "source", "complaint")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in report]))
    else:
        click.echo(settings.in_words(report))


def init_app(app: Flask) -> None:
    for command in (users, tokens, keys, mail, audit_group, doctor):
        app.cli.add_command(command)
