"""``flask takeover``: take over signed-in users of django-simplejwt."""

import re
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from pycoder.cli.base import ProblemGroup, as_json, fail, show
from pycoder.takeover import configuration, outstanding

takeover = ProblemGroup("takeover", help="Take over signed-in users of django-simplejwt.")

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
NONE = "there is no takeover"


class Duration(click.ParamType[timedelta]):
    """A duration such as ``1d``, ``12h``, ``30m`` or ``900s``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> timedelta:
        """Return the duration of a text."""
        match = re.fullmatch(r"([0-9]{1,9})([smhd])", value)
        if not match:
            self.fail(f"{value!r} is no duration. Use 1d, 12h, 30m or 900s.", param, ctx)
        return timedelta(seconds=int(match[1]) * SECONDS[match[2]])


class UtcTime(click.DateTime):
    """A date or a time in UTC."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> datetime:
        """Return the time of a text."""
        return super().convert(value, param, ctx).replace(tzinfo=UTC)


def _read_key(ctx: click.Context, option: click.Parameter, from_stdin: bool) -> str:
    """Return the key from standard input.

    Other users of the machine can see the arguments of a command.
    """
    if not from_stdin:
        raise click.UsageError("Send the key by standard input, with --key-stdin.", ctx)
    return sys.stdin.read().rstrip("\r\n")


@takeover.command("start")
@click.option(
    "--key-stdin", "key", is_flag=True, callback=_read_key, help="Read the key from standard input."
)
@click.option("--until", type=UtcTime(), required=True, help="When it ends by itself, in UTC.")
@click.option(
    "--refresh-lifetime",
    type=Duration(),
    required=True,
    help="REFRESH_TOKEN_LIFETIME of the platform: 1d, 12h, 30m.",
)
@click.option(
    "--algorithm",
    type=click.Choice(configuration.ALGORITHMS),
    default="HS256",
    show_default=True,
    help="ALGORITHM of the platform.",
)
@click.option("--claim", default="user_id", show_default=True, help="USER_ID_CLAIM.")
@click.option("--audience", help="AUDIENCE, if the platform has one.")
@click.option("--issuer", help="ISSUER, if the platform has one.")
@click.option("--key-only", is_flag=True, help="Trade all well-signed tokens, without a list.")
@as_json
def start(as_json: bool, until: datetime, key_only: bool, **platform: Any) -> None:
    """Trade refresh tokens that the platform has issued, from now on.

    Stop the platform from issuing tokens first. Only tokens of the imported list are traded, unless
    --key-only. A takeover that runs is replaced.
    """
    configuration.start(configuration.Platform(**platform), until, key_only=key_only)
    _show_status(as_json)


@takeover.command("status")
@as_json
def status(as_json: bool) -> None:
    """Print what was traded and refused, and when the last token was traded."""
    _show_status(as_json)


@takeover.command("stop")
@as_json
def stop(as_json: bool) -> None:
    """Trade no more tokens, at once, and delete the key. Sessions go on."""
    configuration.stop()
    _show_status(as_json)


def _show_status(as_json: bool) -> None:
    found = configuration.describe()
    if found is None:
        fail(NONE)
    fields = {name: value for name, value in found._asdict().items() if value is not None}
    refused = fields.pop("refused")
    times = {n: v.isoformat() for n, v in fields.items() if isinstance(v, datetime)}
    counts = refused if as_json else [f"{reason}: {n}" for reason, n in refused.items()]
    show(fields | times | {"refused": counts}, as_json)


@takeover.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@as_json
def import_tokens(file: str, as_json: bool) -> None:
    """Import the list of outstanding tokens from a file, or from standard input (-).

    Each line is a JSON object with jti, user_id and exp, and never with the token itself. Invalid
    lines are reported with a reason, and the command exits with status 1. All other lines are
    imported. Importing the same file again adds nothing.
    """
    counts = Counter(added=0, existing=0, bad=0)
    with click.open_file(file, "rb") as lines:
        for result in outstanding.import_tokens(lines):
            counts.update(added=result.added, existing=result.existing, bad=len(result.bad))
            for number, reason in result.bad:
                click.echo(f"line {number}: {reason}", err=True)
    show(dict(counts), as_json)
    sys.exit(1 if counts["bad"] else 0)
