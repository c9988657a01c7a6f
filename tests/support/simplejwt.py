"""The Django platforms that a takeover replaces, with real versions of django-simplejwt."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from textwrap import dedent
from uuid import uuid4

import jwt

from pycoder.clock import now
from tests.support.constants import PASSWORD, ROOT
from tests.support.tokens import claims_of
from tests.support.tools import PINNED, SIMPLEJWT, Missing

VERSIONS = tuple(name for name in PINNED if name != "rest_framework")
KEY = "django-s3cr3t-key-of-fifty-characters-0123456789abcd"
PLATFORM = ROOT / "tests" / "support" / "simplejwt_platform.py"


def snippet():
    """Return the program of the documents that writes the list of outstanding tokens."""
    page = (ROOT / "docs" / "operations.md").read_text()
    return dedent(re.search(r"manage\.py shell -c '\n(.*?)   '\n", page, re.DOTALL)[1])


def options(*, rotation, blacklist, **more):
    """Return the options of a platform."""
    return {
        "key": KEY,
        "rotation": rotation,
        "blacklist": blacklist,
        "password": PASSWORD,
        "snippet": snippet(),
        "ids": [501, 502],
        "ids_of_others": {},
        "keys": {},
        **more,
    }


def platform(version, command, choices, folder):
    """Start a process of a platform."""
    packages = [SIMPLEJWT / version, SIMPLEJWT / "rest_framework"]
    if not all(package.exists() for package in packages):
        raise Missing(f"django-simplejwt {version} is not installed: run make .venv/tools")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, packages))}
    return subprocess.Popen(
        [sys.executable, PLATFORM, command, json.dumps(choices)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def output(process):
    """Return what a platform wrote, once it has ended."""
    written, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return written


def earlier_token(number, key=KEY, algorithm="HS256", headers=None, **claims):
    """Sign a refresh token as simplejwt does."""
    at = int(now().timestamp())
    payload = {"token_type": "refresh", "exp": at + 86_400, "iat": at, "jti": uuid4().hex}
    return jwt.encode(payload | {"user_id": str(number)} | claims, key, algorithm, headers)


def in_days(days):
    return (now() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S")


def start(flask, *words, key=KEY, until=None, lifetime="1d"):
    """Start a takeover as an operator does, and return the result of the command."""
    times = ("--until", until or in_days(14), "--refresh-lifetime", lifetime)
    return flask("takeover", "start", "--key-stdin", *times, *words, stdin=key)


def listed(*tokens):
    """Return the lines of a list of outstanding tokens."""
    claims = [claims_of(token) for token in tokens]
    members = ("jti", "user_id", "exp")
    lines = [json.dumps({name: claim[name] for name in members}) for claim in claims]
    return "".join(f"{line}\n" for line in lines)


def import_list(flask, text):
    return flask("takeover", "import", "-", stdin=text)
