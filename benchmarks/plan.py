"""Durations, numbers of rounds, and the options of ``make bench``."""

import os
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
HERE = ROOT / "benchmarks"
VENVS = HERE / ".venvs"
PEERS = HERE / "peers"
RESULTS = HERE / "results"

PYCODER = ("pycoder", "pycoder-hs256", "pycoder-granian")
NAMES = ("floor", "naive", "drf", "fapi", "fsec", *PYCODER)
DATABASES = ("sqlite", "postgresql")
WORKERS, THREADS = 2, 4
CLIENTS = 8  # concurrent connections, and accounts
STORM = 16  # concurrent logins during a storm


class Plan(NamedTuple):
    starts: int  # of each system, to measure the time to its first response
    accounts: int
    rounds: int
    seconds: int  # of one drive of one call of one system
    login_databases: tuple[str, ...]  # on which logins, storms and many rows are measured
    logins: int  # in one round, of each system, and of raw bcrypt
    login_rounds: int
    storm_systems: tuple[str, ...]
    storm_seconds: int
    storm_rounds: int
    refreshes: int  # after which the stored bytes are measured
    rows: tuple[int, ...]
    rows_rounds: int


FULL = Plan(
    starts=3,
    accounts=8,
    rounds=3,
    seconds=5,
    login_databases=DATABASES,
    logins=96,
    login_rounds=1,
    storm_systems=("floor", "drf", "pycoder", "pycoder-granian"),
    storm_seconds=3,
    storm_rounds=3,
    refreshes=1000,
    rows=(1_000, 100_000, 1_000_000),
    rows_rounds=3,
)
QUICK = Plan(
    starts=1,
    accounts=2,
    rounds=1,
    seconds=1,
    login_databases=("sqlite",),
    logins=8,
    login_rounds=1,
    storm_systems=("floor", "pycoder"),
    storm_seconds=1,
    storm_rounds=1,
    refreshes=100,
    rows=(1_000, 10_000),
    rows_rounds=1,
)


def is_quick():
    return os.environ.get("QUICK", "") not in ("", "0")


def plan():
    return QUICK if is_quick() else FULL


def chosen():
    """Return the systems that ``ONLY=pycoder,floor`` selects, by default all."""
    selected = [name.strip() for name in os.environ.get("ONLY", "").split(",") if name.strip()]
    unknown = set(selected) - set(NAMES)
    if unknown:
        raise SystemExit(f"ONLY: unknown system: {', '.join(sorted(unknown))}; choose from {NAMES}")
    return tuple(name for name in NAMES if name in selected) if selected else NAMES


def databases():
    """Return the databases of ``DB=sqlite``; by default both, or SQLite if quick."""
    selected = os.environ.get("DB") or ",".join(DATABASES[:1] if is_quick() else DATABASES)
    unknown = set(selected.split(",")) - set(DATABASES)
    if unknown:
        raise SystemExit(f"DB: unknown database: {', '.join(unknown)}; choose from {DATABASES}")
    return tuple(name for name in DATABASES if name in selected.split(","))
