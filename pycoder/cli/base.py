"""What all commands share: errors as one line, JSON output, password prompts."""

import sys
from typing import Any, NoReturn

import click
from flask import json
from flask.cli import AppGroup
from sqlalchemy.exc import SQLAlchemyError

from pycoder.errors import Problem


class ProblemGroup(AppGroup):
    """A group whose commands end a Problem as one line on standard error and exit 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Problem as problem:
            reasons = [f"{field}: {' '.join(why)}" for field, why in (problem.errors or {}).items()]
            fail(" ".join(reasons) or problem.detail)
        except SQLAlchemyError as error:
            fail(f"the database does not answer: {getattr(error, 'orig', None) or error}")


def fail(reason: str) -> NoReturn:
    click.echo(f"Error: {' '.join(reason.split())}", err=True)
    sys.exit(1)


as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON.")
identifier_argument = click.argument("who", metavar="ID|EMAIL|USERNAME")


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


def show(facts: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(facts) if as_json else "  ".join(f"{k}={v}" for k, v in facts.items()))
