"""``flask tokens``, ``mail``, ``audit`` and ``doctor``: maintain an installation."""

from datetime import timedelta
from importlib.metadata import version

import click
from flask import current_app, json
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

import config as settings
from pycoder import audit
from pycoder.accounts import administration
from pycoder.audit import Event
from pycoder.cli.base import ProblemGroup, as_json, fail, show
from pycoder.clock import now
from pycoder.db import files
from pycoder.mail import worker
from pycoder.mfa import passkeys
from pycoder.sessions import pruning, refresh
from pycoder.takeover import configuration

tokens = ProblemGroup("tokens", help="Maintain the tables of sessions and tokens.")
mail = ProblemGroup("mail", help="Send queued mails.")
audit_group = ProblemGroup("audit", help="Read the audit trail.")
WEEK = timedelta(days=7)

EVENT_FIELDS = (
    *("id", "at", "event", "reason", "user_id", "actor_id", "session_id"),
    *("ip", "user_agent", "request_id"),
)


@tokens.command("prune")
@as_json
def prune(as_json: bool) -> None:
    """Delete expired sessions, blocklist entries, proofs and audit events.

    Events of accounts that were deleted 30 days ago lose their clients. The command is safe at any
    time.
    """
    show({"deleted": pruning.prune()}, as_json)


@audit_group.command("tail")
@click.option("-n", "count", default=20, show_default=True, help="The number of events.")
@click.option("--user", "identifier", metavar="ID|EMAIL|USERNAME", help="Only events of this user.")
@as_json
def tail(count: int, identifier: str | None, as_json: bool) -> None:
    """Print the latest security events, with the newest one last."""
    user_id = administration.find_user(identifier).id if identifier else None
    for event in reversed(audit.latest_events(count, user_id)):
        fields = {name: getattr(event, name) for name in EVENT_FIELDS}
        texts = {name: v if isinstance(v, int) else str(v) for name, v in fields.items()}
        show({name: v for name, v in texts.items() if fields[name] is not None}, as_json)


@mail.command("send")
@as_json
def send(as_json: bool) -> None:
    """Send the queued mails that are due. The server does so by itself."""
    sent, failed = worker.send_due()
    show({"sent": sent, "waiting": worker.count_queued()}, as_json)
    if failed:
        fail("a mail could not be sent, and will be retried; the log has the reason")


def _orphaned_passkeys() -> list[tuple[str, str, str, str]]:
    """Return a complaint for each former ``PASSKEY_RP_ID`` in the database."""
    try:
        found = passkeys.orphaned()
    except SQLAlchemyError:
        return []
    setting = current_app.config["PASSKEY_RP_ID"]
    complaint = "no browser offers the passkeys of {} any more, of which there are {}; set it again"
    return [
        ("PASSKEY_RP_ID", setting, "database", complaint.format(rp_id, count))
        for rp_id, count in found.items()
    ]


def _rotation_hint() -> list[tuple[str, str, str, str]]:
    """Return a line on sessions whose client may need ``until_used``, if any."""
    try:
        count = audit.count_events(Event.SESSION_REUSED, refresh.UNUSED, now() - WEEK)
    except SQLAlchemyError:
        return []
    text = f"{count} sessions ended in 7 days whose client may need REFRESH_ROTATION=until_used"
    return [("session.reused", text, "database", "")] if count else []


def _running_takeover() -> list[tuple[str, str, str, str]]:
    """Return a complaint for a takeover that runs."""
    try:
        found = configuration.describe()
    except SQLAlchemyError:
        return []
    if found is None or found.state != configuration.RUNS:
        return []
    complaint = f"the key of another platform signs users in until {found.until:%Y-%m-%d %H:%M}"
    return [("takeover", found.mode, "database", f"{complaint}; see flask takeover status")]


@click.command("doctor")
@as_json
@with_appcontext
def doctor(as_json: bool) -> None:
    """Print the version, every setting with its source, and exposed files.

    With an unsafe setting, every command prints this list and exits. Names that look like a
    misspelt setting, exposed files, and passkeys of another ``PASSKEY_RP_ID`` are listed, too;
    then this command exits with status 1. Sessions whose client may need another
    ``REFRESH_ROTATION`` are counted.
    """
    config = current_app.extensions["pycoder.config"]
    report = [("version", version("pycoder"), "package", ""), *config.report()]
    report += _orphaned_passkeys() + _rotation_hint() + _running_takeover()
    exposed = [
        (str(path), mode, "file", f"every user can open it; run chmod o-rwx {path}")
        for path, mode in files.exposed_files(config)
    ]
    if as_json:
        names = ("name", "value", "source", "complaint")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in report + exposed]))
    else:
        click.echo(settings.format_report(report))
        for path, mode, _, complaint in exposed:
            click.echo(f"{'WARNING':8}{path} has the mode {mode}: {complaint}")
    if exposed or any(complaint for *_, complaint in report):
        click.get_current_context().exit(1)
