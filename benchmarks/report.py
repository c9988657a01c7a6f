"""Write the results as Markdown."""

import platform
import statistics
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import load
from benchmarks.plan import DATABASES, NAMES, PEERS, PYCODER, ROOT, THREADS, WORKERS, is_quick

SHOWN = ("django", "djangorestframework", "flask", "flask-jwt-extended", "flask-security-too")
SHOWN += ("fastapi", "fastapi-users", "uvicorn", "gunicorn", "granian", "sqlalchemy", "pyjwt")
SHOWN += ("bcrypt", "psycopg", "asyncpg", "djangorestframework_simplejwt")
NONE = "n/a"


def table(head, rows):
    if not rows:
        return "not measured\n"
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


class Numbers:
    """The medians of the recorded figures, as text."""

    def __init__(self, record):
        self.numbers = record.numbers

    def median(self, kind, label, what):
        found = self.numbers.get((kind, label, what))
        return statistics.median(found) if found else None

    def show(self, kind, label, what, digits=0):
        return shown(self.median(kind, label, what), digits)

    def ratio(self, over, under, digits=2):
        """Return the quotient of two medians; each is given as (kind, label, what)."""
        one, other = self.median(*over), self.median(*under)
        return shown(one / other, digits) if one is not None and other else NONE

    def systems(self, what):
        """Yield (kind, label) of the systems that have figures for ``what``."""
        there = {(kind, label) for kind, label, name in self.numbers if name == what}
        for kind in DATABASES:
            yield from ((kind, name) for name in NAMES if (kind, name) in there)


def shown(number, digits):
    return NONE if number is None else f"{number:.{digits}f}"


def requests(numbers):
    """Return the main table, with a row for each system on each database."""
    head = ["database", "system"]
    for call in ("GET user", "refresh"):
        head += [f"{call} req/s", "× floor", "× drf", "p50 ms", "p99 ms", "CPU ms"]
    head += ["PSS MiB/worker", "first answer s"]
    rows = []
    for kind, name in numbers.systems("start"):
        row = [kind, name]
        for call in ("user", "refresh"):
            rate = f"{call}.rate"
            row.append(numbers.show(kind, name, rate))
            for other in ("floor", "drf"):
                row.append(numbers.ratio((kind, name, rate), (kind, other, rate)))
            for what, digits in (("p50", 1), ("p99", 1), ("cpu", 2)):
                row.append(numbers.show(kind, name, f"{call}.{what}", digits))
        row.append(numbers.show(kind, name, "memory"))
        row.append(numbers.show(kind, name, "start", 2))
        rows.append(row)
    return table(head, rows)


def login(numbers):
    rows = []
    for kind in DATABASES:
        raw = (kind, "raw bcrypt", "login")
        if numbers.median(*raw):
            rows.append([kind, "raw bcrypt", numbers.show(*raw, 2), "1.00", NONE])
        for _, name in (each for each in numbers.systems("login") if each[0] == kind):
            own = (kind, name, "login")
            refused = numbers.show(kind, name, "login.refused")
            rows.append([kind, name, numbers.show(*own, 2), numbers.ratio(own, raw), refused])
    return table(["database", "system", "logins/s", "× raw bcrypt", "refused (503)"], rows)


def storm(numbers, statuses):
    head = ["database", "system", "call", "calm req/s", "storm req/s", "ratio"]
    head += ["calm p99 ms", "storm p99 ms", "ratio", "login answers"]
    rows = []
    for call in ("user", "refresh"):
        for kind, name in numbers.systems(f"{call}.storm.rate"):
            row = [kind, name, call]
            for what, digits in (("rate", 0), ("p99", 1)):
                calm, beside = f"{call}.calm.{what}", f"{call}.storm.{what}"
                row.append(numbers.show(kind, name, calm, digits))
                row.append(numbers.show(kind, name, beside, digits))
                row.append(numbers.ratio((kind, name, beside), (kind, name, calm)))
            seen = statuses[kind, name, call]
            answers = [f"{count} × {status}" for status, count in sorted(seen.items(), key=str)]
            rows.append([*row, ", ".join(answers)])
    return table(head, rows)


def many_rows(numbers, plan):
    labels = [f"{rows:,} rows" for rows in plan.rows]
    head = ["database", "call", *labels, f"{labels[0]} ÷ {labels[-1]}"]
    rows = []
    for kind in DATABASES:
        for call in ("user", "refresh"):
            rate = f"{call}.rate"
            if numbers.median(kind, labels[-1], rate):
                speeds = [numbers.show(kind, label, rate) for label in labels]
                ratio = numbers.ratio((kind, labels[0], rate), (kind, labels[-1], rate))
                rows.append([kind, call, *speeds, ratio])
    return table(head, rows)


def stored(numbers):
    rows = []
    for kind, name in numbers.systems("stored.live"):
        live, raw = (numbers.show(kind, name, f"stored.{what}") for what in ("live", "raw"))
        rows.append([kind, name, live, raw])
    return table(["database", "system", "bytes kept", "bytes before a vacuum"], rows)


def versions(name):
    """Return the names and versions of the main packages of a system."""
    file = ROOT / "requirements.lock" if name in PYCODER else PEERS / f"{name}.txt"
    pins = [line.split()[0] for line in file.read_text().splitlines() if line.strip()]
    chosen = [pin for pin in pins if pin.partition("==")[0].lower() in SHOWN and "==" in pin]
    return ", ".join(pin.replace("==", " ") for pin in chosen)


def machine():
    info = Path("/proc/cpuinfo").read_text()
    model = info.partition("model name\t: ")[2].partition("\n")[0]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024**2
    cores = info.count("\nprocessor") + info.startswith("processor")
    switch = Path("/proc/sys/kernel/sched_autogroup_enabled")
    grouped = switch.read_text().strip() if switch.exists() else "n/a"
    return (
        f"{cores} × {model or platform.machine()}, {memory:.0f} GiB, Linux {platform.release()},"
        f" sched_autogroup_enabled={grouped}"
    )


def commit():
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


def about(record, plan, engines, minutes):
    kind = "QUICK run, to check that all works; its figures are noise" if is_quick() else "full run"
    return f"""{kind}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {minutes:.0f} minutes

- machine: {machine()}; Python {platform.python_version()}; {"; ".join(engines)}
- load average before the run: {record.load:.1f}; above 0.3 the figures are unreliable
- PyCoder: commit {commit()}, as `make run` starts it, with RATE_LIMITS=off (development)
- load: {load.generator()}, on the same machine; rounds: {plan.rounds}, of {plan.seconds} s a call
- every server: {WORKERS} workers; gunicorn: gthread, {THREADS} threads, preloaded;
  PyCoder: as gunicorn.conf.py or deploy/granian_server.py configures it
- SQLite: WAL and synchronous=FULL everywhere; PostgreSQL with the configuration of its wheel
- CPU is the server's, without PostgreSQL's; medians over the rounds
- n/a: not supported by the system, or not measured
"""


def markdown(record, plan, engines, minutes):
    numbers = Numbers(record)
    used = sorted({label for _, label, _ in record.numbers if label in NAMES}, key=NAMES.index)
    packages = "".join(f"- {name}: {versions(name)}\n" for name in used)
    left = "".join(f"- left out, {name}: {reason}\n" for name, reason in record.left_out.items())
    failed = "".join(f"- FAILED: {failure}\n" for failure in record.failures)
    failed = failed or "Every response was correct.\n"
    return f"""# Benchmark

{about(record, plan, engines, minutes)}
{packages}{left}
## Checks

{failed}
## GET user and refresh

{requests(numbers)}
## Login, 8 at a time

{login(numbers)}
## During a storm of 16 logins, 8 clients, each request on a new connection

{storm(numbers, record.statuses)}
## PyCoder with many rows in sessions and in token_blocklist, req/s

{many_rows(numbers, plan)}
## Bytes stored for 1 000 refreshes

{stored(numbers)}"""
