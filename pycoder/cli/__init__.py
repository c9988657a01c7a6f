"""The ``flask`` commands: use cases for operators."""

from flask import Flask

from pycoder.cli import transfer  # noqa: F401 - adds its commands to users
from pycoder.cli.backup import backup, restored
from pycoder.cli.clients import services
from pycoder.cli.keys import keys
from pycoder.cli.maintenance import audit_group, doctor, mail, tokens
from pycoder.cli.takeover import takeover
from pycoder.cli.users import users


def init_app(app: Flask) -> None:
    """Register the commands."""
    groups = (users, tokens, keys, mail, services, audit_group, takeover)
    for command in (*groups, doctor, backup, restored):
        app.cli.add_command(command)
