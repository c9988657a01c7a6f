"""``flask users``: manage accounts."""

from datetime import datetime
from typing import Any

import click

from pycoder.accounts import administration, registration, roles
from pycoder.cli.base import ProblemGroup, as_json, identifier_argument, new_password, show
from pycoder.models.user import User

users = ProblemGroup("users", help="Manage accounts.")


def account_fields(user: User) -> dict[str, Any]:
    """Return what commands show of an account."""
    names = ("id", "email", "username", "first_name", "last_name", "is_active", "email_verified")
    return {name: getattr(user, name) for name in names} | {
        "date_joined": user.date_joined.isoformat(),
        "roles": user.roles,
        "external_id": user.external_id,
    }


@users.command("create")
@click.argument("email")
@click.option("--username", default="", help="Default: derived from the e-mail address.")
@click.option("--first-name", default="")
@click.option("--last-name", default="")
@new_password
@as_json
def create(as_json: bool, **profile: str) -> None:
    """Create an account."""
    show(account_fields(registration.create_user(**profile)), as_json)


@users.command("list")
@click.option("--role", help="List the accounts with this role.")
@as_json
def list_users(role: str | None, as_json: bool) -> None:
    """List all accounts, one per line."""
    for user, has_factor in administration.list_users(role):
        show(account_fields(user) | {"second_factor": has_factor}, as_json)


@users.command("show")
@identifier_argument
@as_json
def show_user(identifier: str, as_json: bool) -> None:
    """Show an account."""
    user = administration.find_user(identifier)
    show(account_fields(user) | {"second_factor": administration.has_factor(user)}, as_json)


@users.command("grant")
@identifier_argument
@click.argument("role")
def grant(identifier: str, role: str) -> None:
    """Grant a role to an account, at once.

    No session ends. The role admin administers all accounts.
    """
    user = administration.find_user(identifier)
    if roles.grant_role(user, role):
        click.echo(f"Granted {role} to {user.email}.")
    else:
        click.echo(f"{user.email} has the role {role} already.")


@users.command("revoke")
@identifier_argument
@click.argument("role")
def revoke(identifier: str, role: str) -> None:
    """Revoke a role of an account, at once. No session ends."""
    user = administration.find_user(identifier)
    if roles.revoke_role(user, role):
        click.echo(f"Revoked {role} from {user.email}.")
    else:
        click.echo(f"{user.email} does not have the role {role}.")


@users.command("factors")
@identifier_argument
@as_json
def show_factors(identifier: str, as_json: bool) -> None:
    """Show the second factors of an account and its remembered devices, one per line."""
    found = administration.list_factors(administration.find_user(identifier))
    lines = [{"kind": "recovery_codes", "left": found.recovery_codes_left}]
    if found.totp:
        lines.insert(0, _factor("totp", found.totp))
    for passkey in found.passkeys:
        own = {"id": passkey.id, "name": passkey.name, "synced": passkey.backed_up}
        lines.append(_factor("passkey", passkey) | own)
    for device in found.remembered_devices:
        until = {"remembered_until": _iso(device.remembered_until)}
        lines.append(_factor("remembered_device", device) | until)
    for line in lines:
        show(line, as_json)


def _factor(kind: str, row: Any) -> dict[str, Any]:
    times = {"created_at": _iso(row.created_at), "last_used_at": _iso(row.last_used_at)}
    return {"kind": kind, **times}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


@users.command("reset-factors")
@identifier_argument
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def reset_factors(identifier: str, yes: bool) -> None:
    """Remove all second factors of an account whose owner has lost them.

    This ends all of its sessions. Its password alone signs in then, so identify the
    owner first.
    """
    user = administration.find_user(identifier)
    if not yes:
        click.confirm(f"Remove all second factors of {user.email}?", abort=True)
    administration.reset_factors(user)
    click.echo(f"Removed all second factors of {user.email}, and ended all its sessions.")


@users.command("activate")
@identifier_argument
def activate(identifier: str) -> None:
    """Activate a deactivated account."""
    user = administration.find_user(identifier)
    administration.set_active(user, True)
    click.echo(f"Activated {user.email}. Its user can log in again.")


@users.command("deactivate")
@identifier_argument
def deactivate(identifier: str) -> None:
    """Deactivate an account. All its sessions end at once."""
    user = administration.find_user(identifier)
    administration.set_active(user, False)
    click.echo(f"Deactivated {user.email}, and ended all its sessions.")


@users.command("unlock")
@identifier_argument
def unlock(identifier: str) -> None:
    """Lift the lockout of an account after failed logins."""
    user = administration.find_user(identifier)
    administration.unlock_user(user)
    click.echo(f"Unlocked {user.email}. Failed logins are counted from zero again.")


@users.command("set-password")
@identifier_argument
@new_password
def set_password(identifier: str, password: str) -> None:
    """Set the password of an account.

    This ends all of its sessions and lifts its lockout.
    """
    user = administration.find_user(identifier)
    administration.set_password(user, password)
    click.echo(f"Set the password of {user.email}, and ended all its sessions.")


@users.command("delete")
@identifier_argument
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def delete(identifier: str, yes: bool) -> None:
    """Delete an account and its sessions. This cannot be undone."""
    user = administration.find_user(identifier)
    if not yes:
        click.confirm(f"Delete {user.email} permanently?", abort=True)
    administration.delete_user(user)
    click.echo(f"Deleted {user.email} and all its sessions.")
