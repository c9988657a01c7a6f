"""Shared parts of the commands: error output, JSON output, password prompts."""

import re
import sys
from typing import Any, NoReturn

import click
from flask import json
from flask.cli import AppGroup, ScriptInfo
from sqlalchemy.exc import SQLAlchemyError

from pycoder.db.faults import is_unmigrated
from pycoder.errors import Problem

UNQUOTED = re.compile(r"[!#-&(-<>-\[\]-~]*")  # ASCII without blank, quotes, = and backslash


class ProblemCommand(click.Command):
    """A command that reports an error in one line and exits with status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and report a ``Problem`` or a fault of the database."""
        try:
            return super().invoke(ctx)
        except Problem as problem:
            errors = (problem.errors or {}).items()
            reasons = [f"{field}: {' '.join(messages)}" for field, messages in errors]
            fail(" ".join(reasons) or problem.detail)
        except SQLAlchemyError as error:
            if is_unmigrated(error):
                app = ctx.ensure_object(ScriptInfo).load_app()
                place = app.extensions["pycoder.config"].shown("DATABASE_URL")
                fail(f"the database {place} has no tables; run flask db upgrade first")
            fail(f"the database does not answer: {getattr(error, 'orig', None) or error}")


class ProblemGroup(ProblemCommand, AppGroup):
    """A group of such commands."""


def fail(reason: str) -> NoReturn:
    """Write an error as one line to standard error, and exit with status 1."""
    click.echo(f"Error: {' '.join(reason.split())}", err=True)
    sys.exit(1)


as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON.")
identifier_argument = click.argument("identifier", metavar="ID|EMAIL|USERNAME")


def _read_password(ctx: click.Context, option: click.Parameter, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


new_password = click.option(
    "--password-stdin",
    "password",
    is_flag=True,
    callback=_read_password,
    help="Read the password from standard input instead of a prompt.",
)


def show(fields: dict[str, Any], as_json: bool) -> None:
    """Write fields as one line: a JSON object, or ``name=value`` pairs."""
    plain = "  ".join(f"{name}={_quote(_as_text(value))}" for name, value in fields.items())
    click.echo(json.dumps(fields) if as_json else plain)


def _as_text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def _quote(text: str) -> str:
    """Return a value that can neither forge a field nor drive the terminal.

    It is a JSON string unless it is plain ASCII without blanks, quotes and ``=``. Letters of every
    script remain readable. What is not printable is escaped.
    """
    if UNQUOTED.fullmatch(text):
        return text
    escaped = (c if c.isprintable() and c not in '"\\' else json.dumps(c)[1:-1] for c in text)
    return f'"{"".join(escaped)}"'
