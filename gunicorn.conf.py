"""How gunicorn serves PyCoder. Any of it can be overridden by GUNICORN_CMD_ARGS."""

import os
import shutil

from config import load_or_exit
from deploy.gunicorn_worker import Worker

settings = load_or_exit()

# Before a proxy on the same machine, or for one's own browser. To be reached from other
# machines: GUNICORN_CMD_ARGS="--bind 0.0.0.0:8000"
bind = f"127.0.0.1:{settings.PORT}"
workers = settings.WEB_CONCURRENCY
worker_class = Worker
threads = settings.THREADS
preload_app = True  # read once, shared by all workers; an unsafe setting ends the master at once
max_requests = 0
timeout = 30
graceful_timeout = 30
keepalive = 5
forwarder_headers = ""  # of gunicorn's, SCRIPT_NAME and PATH_INFO, which a proxy may let through
control_socket_disable = True  # nothing outside the project's folder

metrics = settings.instance / f"metrics-{settings.PORT}"  # where the workers keep theirs
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
metrics.mkdir(parents=True, exist_ok=True)


def on_starting(server):
    """Forget the counts of the last start."""
    for file in metrics.iterdir():
        file.unlink()


def pre_fork(server, worker):
    """Have each worker run on a core of its own."""
    if isinstance(worker, Worker):
        worker.choose_core(server.num_workers, server.WORKERS.values())


def post_worker_init(worker):
    """Have each worker send mails; one of all does so at a time."""
    from pycoder.mail import worker as mail_worker

    mail_worker.start(worker.wsgi)


def child_exit(server, worker):
    """Take a worker that ended out of the sums that count the living."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)


def on_exit(server):
    shutil.rmtree(metrics, ignore_errors=True)
