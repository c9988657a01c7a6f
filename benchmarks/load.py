"""Drive one call of one system with wrk (or autocannon), and see what it cost."""

import os
import shutil
import subprocess
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from benchmarks import process
from benchmarks.plan import CLIENTS, HERE, VENVS
from benchmarks.systems import Failure


class Drive(NamedTuple):
    """What one drive measured; latencies and CPU in milliseconds, none when nothing came back."""

    rate: float
    p50: float | None
    p99: float | None
    cpu: float | None


def generator():
    """Name the load generator, with its version."""
    if shutil.which("wrk") and os.environ.get("LOAD") != "autocannon":
        said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
        return " ".join(said.stdout.split()[:2])
    package = VENVS / "autocannon" / "node_modules" / "autocannon" / "package.json"
    version = package.read_text().partition('"version": "')[2].partition('"')[0]
    return f"autocannon {version} (npm; wrk was not used; storms on kept connections)"


def command(system, call, seconds):
    """Return the generator's command; a refresh has one thread for each connection."""
    url = f"http://127.0.0.1:{system.port}"
    if not generator().startswith("wrk"):
        return ["node", HERE / "load.js", url, str(CLIENTS), str(seconds)]
    threads = CLIENTS if call == "refresh" else 2
    return [
        *("wrk", "--threads", str(threads), "--connections", str(CLIENTS)),
        *("--duration", f"{seconds}s", "--timeout", "60s", "--script", HERE / "load.lua", url),
    ]


def drive(system, call, seconds, *, close=False, beside=None):
    """Ask as fast as 8 connections can, and check before and after that the answers are right.

    ``call`` is ``user`` or ``refresh``; with ``close`` each request comes on a new connection;
    ``beside`` is what goes on meanwhile. Raises ``Failure`` when any answer was not 200 or any
    connection broke.
    """
    check_before(system, call)
    with beside or nullcontext():
        before = process.cpu_seconds(system.process.pid)
        requests, duration, p50, p99 = run(system, call, seconds, close)
        used = process.cpu_seconds(system.process.pid) - before
    check_after(system, call)
    if not requests:  # as in some storms
        return Drive(0, None, None, None)
    return Drive(requests / duration, p50 / 1000, p99 / 1000, 1000 * used / requests)


def check_before(system, call):
    """Try one call; refreshes then start with sessions that nobody has used."""
    if call == "refresh":
        system.sign_in()
        system.sample = system.refresh(system.sample)
    system.check_user(system.tokens[0])


def check_after(system, call):
    """Try the call once more; a refresh token that was traded in must be dead."""
    if call == "refresh":
        used, system.sample = system.sample, system.refresh(system.sample)
        system.check_used(used)
    system.check_user(system.tokens[-1])


def run(system, call, seconds, close):
    """Run the generator; return its requests, seconds, p50 and p99 in microseconds."""
    wire = system.wire
    users = [wire.scheme + each.access for each in system.tokens]
    sent = users if call == "user" else [each.refresh for each in system.tokens]
    path = wire.user if call == "user" else wire.refresh
    with tempfile.TemporaryDirectory(prefix="pycoder-bench-") as folder:
        file = Path(folder) / "calls"
        file.write_text("\n".join([call, path, wire.header, "close" if close else "keep", *sent]))
        said = subprocess.run(
            command(system, call, seconds),
            env={**os.environ, "BENCH_FILE": str(file)},
            capture_output=True,
            text=True,
            timeout=seconds + 90,
        )
    result = [line.split()[1:] for line in said.stdout.splitlines() if line.startswith("RESULT")]
    if not result:
        raise Failure(f"{system.label}, {call}: the load generator said: {said.stderr[-500:]}")
    requests, microseconds, p50, p99, refused, broken = map(float, result[0])
    if refused or broken:
        reason = said.stdout.partition("REFUSED ")[2].partition("\n")[0]
        raise Failure(
            f"{system.label}, {call}: {refused:.0f} of {requests:.0f} answers were errors,"
            f" {broken:.0f} connections broke. {reason}"
        )
    return requests, microseconds / 1_000_000, p50, p99
