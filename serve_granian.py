"""The second way to serve: Granian in its WSGI mode (``make run SERVER=granian``), same settings.

Faster than gunicorn, and slow headers do not hold its threads; slow bodies do.
"""

from granian import Granian
from granian.constants import Interfaces

from config import load_or_exit

if __name__ == "__main__":
    settings = load_or_exit()
    Granian(
        "wsgi:app",
        interface=Interfaces.WSGI,
        address="127.0.0.1",
        port=settings.PORT,
        workers=settings.WEB_CONCURRENCY,
        blocking_threads=settings.THREADS,
        respawn_failed_workers=True,
        workers_kill_timeout=30,
    ).serve()
