"""Send requests with wrk or autocannon; measure rate, latency and CPU."""

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
    """The figures of one run; latency and CPU in ms, or None without responses."""

    rate: float
    p50: float | None
    p99: float | None
    cpu: float | None


def generator():
    """Return the name and version of the load generator."""
    if shutil.which("wrk") and os.environ.get("LOAD") != "autocannon":
        done = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
        return " ".join(done.stdout.split()[:2])
    package = VENVS / "autocannon" / "node_modules" / "autocannon" / "package.json"
    version = package.read_text().partition('"version": "')[2].partition('"')[0]
    return f"autocannon {version} (npm, instead of wrk; storms on persistent connections)"


def command(system, call, seconds):
    """Return the generator's command. A refresh needs one thread for each connection."""
    url = f"http://127.0.0.1:{system.port}"
    if not generator().startswith("wrk"):
        return ["node", HERE / "load.js", url, str(CLIENTS), str(seconds)]
    threads = CLIENTS if call == "refresh" else 2
    return [
        *("wrk", "--threads", str(threads), "--connections", str(CLIENTS)),
        *("--duration", f"{seconds}s", "--timeout", "60s", "--script", HERE / "load.lua", url),
    ]


def drive(system, call, seconds, *, close=False, beside=None):
    """Send requests on 8 connections at full speed for some seconds.

    Calls before and after check that the responses are right. ``call`` is ``user`` or
    ``refresh``. With ``close``, each request uses a new connection. ``beside`` is a context
    manager that causes other load meanwhile. Raises ``Failure`` if a response is not 200 or a
    connection breaks.
    """
    check_before(system, call)
    with beside or nullcontext():
        before = process.cpu_seconds(system.process.pid)
        requests, duration, p50, p99 = run(system, call, seconds, close)
        used = process.cpu_seconds(system.process.pid) - before
    check_after(system, call)
    if not requests:  # possible during a storm
        return Drive(0, None, None, None)
    return Drive(requests / duration, p50 / 1000, p99 / 1000, 1000 * used / requests)


def check_before(system, call):
    """Check one call. Before refreshes, sign in again to get unused tokens."""
    if call == "refresh":
        system.sign_in()
        system.sample = system.refresh(system.sample)
    system.check_user(system.tokens[0])


def check_after(system, call):
    """Check the call once more. A refresh token that has been used must be rejected."""
    if call == "refresh":
        used, system.sample = system.sample, system.refresh(system.sample)
        system.check_used(used)
    system.check_user(system.tokens[-1])


def run(system, call, seconds, close):
    """Run the generator. Return its requests, seconds, p50 and p99 (in µs)."""
    api = system.api
    users = [api.scheme + each.access for each in system.tokens]
    sent = users if call == "user" else [each.refresh for each in system.tokens]
    path = api.user if call == "user" else api.refresh
    with tempfile.TemporaryDirectory(prefix="pycoder-bench-") as folder:
        file = Path(folder) / "calls"
        file.write_text("\n".join([call, path, api.header, "close" if close else "keep", *sent]))
        done = subprocess.run(
            command(system, call, seconds),
            env={**os.environ, "BENCH_FILE": str(file)},
            capture_output=True,
            text=True,
            timeout=seconds + 90,
        )
    result = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not result:
        raise Failure(f"{system.label}, {call}: the load generator printed: {done.stderr[-500:]}")
    requests, microseconds, p50, p99, refused, broken = map(float, result[0])
    if refused or broken:
        reason = done.stdout.partition("REFUSED ")[2].partition("\n")[0]
        raise Failure(
            f"{system.label}, {call}: {refused:.0f} of {requests:.0f} responses were errors,"
            f" {broken:.0f} connections broke. {reason}"
        )
    return requests, microseconds / 1_000_000, p50, p99
