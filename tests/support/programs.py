"""Programs of the system, and the files of ``deploy/`` that configure them."""

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

from tests.support.constants import ROOT


def program(name, module=None):
    """Return the command of the system's own program, or of that in a wheel.

    Skips the test if there is neither.
    """
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if path:
        return [path]
    if module and importlib.util.find_spec(module):
        return [sys.executable, "-m", module]
    return pytest.skip(f"there is no {name} here; Debian: apt-get install {name}")


def deployed(name, changes):
    """Return a file of ``deploy/``, changed; raises AssertionError for a text that is missing."""
    text = (ROOT / "deploy" / name).read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def running(command, folder, port):
    """Run a program. Enter the block once its port answers, and stop it at the end."""
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"{command[0]} did not answer within 10 s"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)
