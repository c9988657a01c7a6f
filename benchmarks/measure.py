"""The measurements, one function each. They record figures and do not judge them."""

import os
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

from benchmarks import databases, load, logins, process
from benchmarks.systems import Failure, System

CALLS = ("user", "refresh")
ROWS_FROM = "pycoder"  # the system whose tables are filled with many rows


class Record:
    """Figures by database, system and measurement, and all failures."""

    def __init__(self):
        self.numbers = defaultdict(list)
        self.failures = []
        self.left_out = {}
        self.statuses = defaultdict(Counter)
        self.began, self.load = time.monotonic(), os.getloadavg()[0]

    def add(self, system, what, number):
        self.numbers[system.database.kind, system.label, what].append(number)

    def add_drive(self, system, what, drive):
        for name, number in drive._asdict().items():
            if number is not None:
                self.add(system, f"{what}.{name}", number)

    def say(self, text):
        print(f"[{time.monotonic() - self.began:5.0f} s] {text}", file=sys.stderr, flush=True)

    def attempt(self, system, work, *args, **kwargs):
        """Run a measurement. A failure is recorded for the report, and the run continues."""
        try:
            return work(system, *args, **kwargs)
        except (Failure, OSError) as error:
            reason = error if isinstance(error, Failure) else f"{system.label}: {error!r}"
            self.failures.append(f"{system.database.kind}: {reason}")
            self.say(f"FAILED: {reason}")


def ready(record, plan, names, make, folder):
    """Prepare each system, measure it alone, and return the ones that work."""
    systems = []
    for name in names:
        place = folder / name
        place.mkdir()
        system = System(name, make(place), place)
        record.say(f"{system.database.kind}: {name} alone")
        try:
            alone(system, record, plan)
            systems.append(system)
        except (Failure, OSError) as failure:
            system.stop()
            record.left_out[name] = str(failure)
            record.say(f"LEFT OUT: {failure}")
            if name != "pycoder-granian":
                record.failures.append(str(failure))
    return systems


def alone(system, record, plan):
    """Measure the start of a system several times, and its memory after some load."""
    system.prepare()
    for _ in range(plan.starts):
        system.stop()
        record.add(system, "start", system.start())
    populate(system, plan)
    load.drive(system, "user", 1)
    record.add(system, "memory", process.memory_per_worker(system.process.pid))
    if plan.starts > 1:  # a quick run leaves it running, to save time
        system.stop()


def populate(system, plan):
    for _ in range(plan.accounts):
        system.register()
    system.sign_in()


def rounds(record, systems, count, seconds):
    """Measure each call of each system in turn, ``count`` times."""
    for number in range(count):
        for call in CALLS:
            record.say(f"round {number + 1} of {count}: {call}")
            for system in having(systems, call):
                drive = record.attempt(system, load.drive, call, seconds)
                if drive:
                    record.add_drive(system, call, drive)


def having(systems, call):
    return [system for system in systems if call == "user" or system.api.refresh]


def login(record, systems, plan):
    """Measure logins, and bcrypt alone in the same rounds."""
    for number in range(plan.login_rounds):
        record.say(f"login, round {number + 1} of {plan.login_rounds}")
        raw = logins.raw_rate(plan.logins)
        record.numbers[systems[0].database.kind, "raw bcrypt", "login"].append(raw)
        for system in systems:
            refused = system.refused
            rate = record.attempt(system, logins.rate, plan.logins)
            if rate:
                record.add(system, "login", rate)
                record.add(system, "login.refused", system.refused - refused)


def storm(record, systems, plan):
    """Measure each call in calm and during 16 concurrent logins, on new connections."""
    chosen = [system for system in systems if system.name in plan.storm_systems]
    for number in range(plan.storm_rounds):
        for system in chosen:
            record.say(f"storm, round {number + 1} of {plan.storm_rounds}: {system.label}")
            for call in CALLS:
                if call == "user" or system.api.refresh:
                    record.attempt(system, storm_call, record, call, plan.storm_seconds)


def storm_call(system, record, call, seconds):
    calm = load.drive(system, call, seconds, close=True)
    seen = record.statuses[system.database.kind, system.label, call]
    beside = logins.storm(system, seen)
    stormy = load.drive(system, call, seconds, close=True, beside=beside)
    record.add_drive(system, f"{call}.calm", calm)
    record.add_drive(system, f"{call}.storm", stormy)


def stored(record, systems, plan):
    """Measure the bytes that refreshes leave, before and after a vacuum."""
    for system in having(systems, "refresh"):
        record.say(f"bytes stored: {system.label}")
        record.attempt(system, stored_by, record, plan.refreshes)


def stored_by(system, record, refreshes):
    system.sign_in()
    before = system.database.size()
    chains = system.tokens[:4]
    with ThreadPoolExecutor(len(chains)) as clients:
        list(clients.map(lambda tokens: chain(system, tokens, refreshes // len(chains)), chains))
    after = system.database.size()
    record.add(system, "stored.raw", 1000 * (after.raw - before.live) / refreshes)
    record.add(system, "stored.live", 1000 * (after.live - before.live) / refreshes)


def chain(system, tokens, count):
    for _ in range(count):
        tokens = system.refresh(tokens)


def many_rows(record, plan, make, folder):
    """Measure PyCoder with few and with many sessions and blocklist entries."""
    systems = []
    for rows in plan.rows:
        place = folder / f"rows-{rows}"
        place.mkdir()
        system = System(ROWS_FROM, make(place), place, label=f"{rows:,} rows")
        record.say(f"{system.database.kind}: {system.label}")
        if record.attempt(system, fill, rows, plan):
            systems.append(system)
    rounds(record, systems, plan.rows_rounds, plan.seconds)
    for system in systems:
        system.stop()


def fill(system, rows, plan):
    system.prepare()
    system.start()
    populate(system, plan)
    system.revoke_one()
    databases.grow(system.database, rows)
    system.sign_in()
    return True
