"""The commands of ``flask``, run in a process of their own."""

import os
import subprocess
import sys

from tests.support.constants import PRODUCTION, ROOT, SECRET_KEY


def environment(database_url, **settings):
    """Return the environment of a server or command, without the developer's settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYCODER_ENV": "testing",
        "SECRET_KEY": SECRET_KEY,
        "DATABASE_URL": database_url,
        **(PRODUCTION if settings.get("PYCODER_ENV") == "production" else {}),
        **{name: str(value) for name, value in settings.items()},
    }


def flask_command(folder, env, *words, **kwargs):
    """Run ``flask --app wsgi …`` as an operator does."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", *words]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, **kwargs
    )
