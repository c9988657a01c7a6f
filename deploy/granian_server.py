"""The second way to serve: Granian in its WSGI mode (``make run SERVER=granian``), same settings.

Faster than gunicorn, and slow headers do not hold its threads; slow bodies do.
"""

from granian import Granian
from granian.constants import Interfaces

from config import load_or_exit


def application():
    """Return the application of a worker, which sends mails, too; one of all does so at a time."""
    from pycoder.mail import worker
    from wsgi import app

    worker.start(app)
    return app


if __name__ == "__main__":
    settings = load_or_exit()
    Granian(
        "deploy.granian_server:application",
        factory=True,
        interface=Interfaces.WSGI,
        address="127.0.0.1",
        port=settings.PORT,
        workers=settings.WEB_CONCURRENCY,
        blocking_threads=settings.THREADS,
        respawn_failed_workers=True,
        workers_kill_timeout=30,
    ).serve()
