"""Install the load generator, and each system into its own environment.

Needs only the standard library of Python: ``python3 -m benchmarks.install``.
"""

import os
import shutil
import subprocess
import sys

from benchmarks.plan import HERE, PEERS, PYCODER, VENVS, chosen

AUTOCANNON = "autocannon@9.0.0"


def install(name):
    """Install the pinned packages of ``peers/NAME.txt``, unless they are installed."""
    pins = PEERS / f"{name}.txt"
    requirements = pins.read_text()
    venv, stamp = VENVS / name, VENVS / name / "installed"
    if stamp.exists() and stamp.read_text() == requirements:
        return
    print(f"installing {name}", flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    command = [venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*command, "install", "-r", pins], check=True)
    stamp.write_text(requirements)


def install_wrk():
    """Install wrk from Debian as root, else autocannon from npm.

    Raises ``SystemExit`` if neither is possible.
    """
    if not shutil.which("wrk") and shutil.which("apt-get") and os.geteuid() == 0:
        print("installing wrk", flush=True)
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=False)
    if shutil.which("wrk") and os.environ.get("LOAD") != "autocannon":
        return
    if not shutil.which("npm"):
        raise SystemExit("bench: no load generator: install wrk, or Node and npm for autocannon")
    print("using autocannon from npm instead of wrk")
    folder = VENVS / "autocannon"
    if not (folder / "node_modules" / "autocannon").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--prefix", folder, AUTOCANNON], check=True)


def main():
    install_wrk()
    install("tools")
    for name in chosen():
        if name not in PYCODER:  # PyCoder runs from .venv, as `make run` starts it
            install(name)


if __name__ == "__main__":
    print(f"benchmarks: environments in {VENVS.relative_to(HERE.parent)}/", flush=True)
    main()
