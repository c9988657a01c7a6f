"""Servers and commands that are started with unsafe settings."""

import subprocess
import sys

from tests.support.commands import environment, flask_command
from tests.support.constants import ROOT


def test_gunicorn_and_flask_refuse_to_start_in_words(tmp_path):
    env = environment("", PYCODER_ENV="production", SECRET_KEY="short-but-mine", PORT="x")
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", f"{ROOT}/gunicorn.conf.py", "wsgi:app"]
    served = subprocess.run(
        gunicorn, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    asked = flask_command(tmp_path, env, "doctor")
    for done in (served, asked):
        assert done.returncode != 0
        assert "REFUSED SECRET_KEY" in done.stderr
        assert "REFUSED PORT" in done.stderr
        assert "short-but-mine" not in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
