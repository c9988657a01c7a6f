"""``flask services``: manage the services that may introspect tokens."""

import click

from pycoder.cli.base import ProblemGroup, as_json, show
from pycoder.tokens import introspection

services = ProblemGroup("services", help="Manage the services that may introspect tokens.")


@services.command("create")
@click.argument("name")
@as_json
def create_service(name: str, as_json: bool) -> None:
    """Add a service, and print its secret.

    The secret cannot be printed again, because only a hash of it is stored.
    """
    show({"id": name, "secret": introspection.create_client(name)}, as_json)


@services.command("list")
@as_json
def list_services(as_json: bool) -> None:
    """List all services, one per line."""
    for service in introspection.list_clients():
        show({"id": service.name, "created_at": service.created_at.isoformat()}, as_json)


@services.command("delete")
@click.argument("name")
def delete_service(name: str) -> None:
    """Delete a service. Its credentials are invalid at once."""
    introspection.delete_client(name)
