"""Serve PyCoder with Granian in WSGI mode (``make run SERVER=granian``).

The settings are the same as for gunicorn. Granian answers reads faster than gunicorn, and
refreshes more slowly. Slow request headers do not occupy its threads, but slow bodies do.
"""

from granian import Granian
from granian.constants import Interfaces

from config import load_or_exit


def application():
    """Return the application for a worker, and start the mail sender in this process."""
    from pycoder.mail import worker
    from wsgi import app

    worker.start(app)
    return app


if __name__ == "__main__":
    settings = load_or_exit()
    server = Granian(
        "deploy.granian_server:application",
        factory=True,
        interface=Interfaces.WSGI,
        address="127.0.0.1",
        port=settings.PORT,
        workers=settings.WEB_CONCURRENCY,
        blocking_threads=settings.THREADS,
        respawn_failed_workers=True,
        workers_kill_timeout=30,
    )
    try:
        server.serve()
    finally:
        from pycoder.db.files import checkpoint

        checkpoint(settings)  # after the last worker
