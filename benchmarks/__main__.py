"""Run the benchmark, print the report, and store it in results/latest.md."""

import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import databases, measure, process, report
from benchmarks.plan import HERE, RESULTS, chosen, plan
from benchmarks.plan import databases as chosen_databases


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    record, numbers, engines = measure.Record(), plan(), []
    with tempfile.TemporaryDirectory(prefix="pycoder-bench-") as name:
        for kind in chosen_databases():
            folder = Path(name) / kind
            folder.mkdir()
            with databases.server(kind, folder) as (make, version):
                engines.append(version)
                try:
                    on_one_database(record, numbers, kind, make, folder)
                finally:
                    process.stop_all()
    minutes = (time.monotonic() - record.began) / 60
    text = report.markdown(record, numbers, engines, minutes)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.md").write_text(text)
    print(text)
    print(f"stored in {(RESULTS / 'latest.md').relative_to(HERE.parent)}", file=sys.stderr)
    return bool(record.failures)


def on_one_database(record, numbers, kind, make, folder):
    """Measure all systems on one database."""
    systems = measure.ready(record, numbers, chosen(), make, folder)
    for system in list(systems):
        record.attempt(system, restart)
        if not system.process:
            systems.remove(system)
    if systems:
        measure.rounds(record, systems, numbers.rounds, numbers.seconds)
        if kind in numbers.login_databases:
            measure.login(record, systems, numbers)
            measure.storm(record, systems, numbers)
        measure.stored(record, systems, numbers)
    for system in systems:
        system.stop()
    if measure.ROWS_FROM in chosen() and kind in numbers.login_databases:
        measure.many_rows(record, numbers, make, folder)


def restart(system):
    """Start a system that was stopped, so that all systems run at the same time."""
    if not system.process:
        system.start()
    system.sign_in()


if __name__ == "__main__":
    sys.exit(main())
