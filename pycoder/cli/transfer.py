"""``flask users import`` and ``flask users export``."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any

import click
from flask import json

from pycoder.accounts.transfer import sources
from pycoder.accounts.transfer.columns import parse_column_map
from pycoder.accounts.transfer.exporting import export_users
from pycoder.accounts.transfer.importing import ImportOptions, ImportResult, import_users
from pycoder.cli.base import as_json, show
from pycoder.cli.users import account_fields, users

STEPS = 1000  # of the progress bar
LEFT_OUT = (
    "{} of these accounts have a second factor, which is not exported: where they are imported, the"
    " password alone signs in. A backup keeps the factors (flask backup)."
)


@users.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--csv", "as_csv", is_flag=True, help="Read CSV. Default for *.csv and *.tsv.")
@click.option("--map", "columns", default="", help="Columns of other names: email=mail,id=")
@click.option("--ignore-unknown", is_flag=True, help="Ignore columns that PyCoder lacks.")
@click.option("--default-domain", default="", help="The domain of users without an address.")
@click.option("--skip", is_flag=True, help="Skip users without an address.")
@click.option("--from", "system", type=click.Choice(["keycloak", "auth0", "firebase"]))
@click.option("--firebase-parameters", type=click.File(), help="The hash parameters, in a file.")
@click.option("--dry-run", is_flag=True, help="Report, and change nothing.")
@as_json
def import_command(file: str, as_json: bool, **options: Any) -> None:
    """Import users from a file, or from standard input (-).

    The file contains JSON lines, a JSON array, or CSV with a header. Invalid users are reported
    with a reason, and the command exits with status 1. All others are imported. Importing the same
    file again adds nothing.
    """
    counts = Counter(added=0, existing=0, without_password=0, skipped=0, ignored=0, bad=0)
    with click.open_file(file, "rb") as stream:
        for result in with_progress(import_users(stream, _parse(file, **options)), stream):
            counts[result.status] += 1
            counts["without_password"] += result.lost_password
            if result.reason:
                click.echo(f"{result.unit} {result.number}: {result.reason}", err=True)
                if as_json:
                    show({result.unit: result.number, "reason": result.reason}, as_json)
    show(dict(counts), as_json)
    sys.exit(1 if counts["bad"] else 0)


def _parse(file: str, **options: Any) -> ImportOptions:
    """Return the options of an import. Raises ``UsageError`` and ``InvalidInput``."""
    system, parameters = options.pop("system"), options.pop("firebase_parameters")
    options["as_csv"] |= file.lower().endswith((".csv", ".tsv"))
    if system and options["as_csv"]:
        raise click.UsageError("--from reads JSON.")
    if (system == "firebase") != bool(parameters):
        raise click.UsageError("--from firebase and --firebase-parameters need each other.")
    columns = parse_column_map(options.pop("columns"), ignore_unknown=options.pop("ignore_unknown"))
    return ImportOptions(source=_source(system, parameters), columns=columns, **options)


def _source(system: str | None, parameters: IO[str] | None) -> sources.Source | None:
    if parameters:
        return sources.firebase_source(sources.parse_firebase_parameters(parameters.read()))
    kinds = {"keycloak": sources.keycloak_source, "auth0": sources.auth0_source}
    return kinds[system]() if system else None


def with_progress(results: Iterator[ImportResult], stream: IO[bytes]) -> Iterator[ImportResult]:
    """Yield the results, and show how much of a file was read, on a terminal."""
    if not (sys.stderr.isatty() and stream.seekable()):
        yield from results
        return
    size = os.fstat(stream.fileno()).st_size
    with click.progressbar(
        length=size, label="Importing", file=sys.stderr, update_min_steps=size // STEPS + 1
    ) as bar:
        read = 0
        for result in results:
            at = stream.tell()
            bar.update(at - read)
            read = at
            yield result


@users.command("export")
@click.option(
    "--with-password-hashes",
    "hashes",
    is_flag=True,
    help="Include the password hashes. Keep the file secret.",
)
def export_command(hashes: bool) -> None:
    """Write all users as JSON lines, as import reads them.

    Second factors are left out, and counted on standard error.
    """
    left_out = 0
    for user, has_factor in export_users(with_hashes=hashes):
        password = {"password": user.password_hash} if hashes else {}
        click.echo(json.dumps(account_fields(user) | password))
        left_out += has_factor
    if left_out:
        click.echo(LEFT_OUT.format(left_out), err=True)
