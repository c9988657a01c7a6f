"""Settings of gunicorn: ``gunicorn -c python:deploy.gunicorn_conf wsgi:app``.

In a checkout, gunicorn finds them by itself, through gunicorn.conf.py. ``GUNICORN_CMD_ARGS`` and
command-line options override them.
"""

import os
import shutil

from config import load_or_exit
from deploy.gunicorn_logger import Logger
from deploy.gunicorn_worker import Worker

settings = load_or_exit()

# Only this machine can connect: a proxy, or a browser during development. To accept connections
# from other machines, set GUNICORN_CMD_ARGS="--bind 0.0.0.0:8000".
bind = f"127.0.0.1:{settings.PORT}"
workers = settings.WEB_CONCURRENCY
worker_class = Worker
logger_class = Logger
threads = settings.THREADS
preload_app = True  # workers share memory, and an unsafe setting stops the master at once
max_requests = 0
timeout = 30
graceful_timeout = 30
keepalive = 5
# By default gunicorn trusts SCRIPT_NAME and PATH_INFO, which a proxy may pass on from a client.
forwarder_headers = ""
control_socket_disable = True  # gunicorn would create the socket outside the project folder

metrics = settings.instance / f"metrics-{os.getpid()}"  # counters of the workers of this master
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
settings.instance.mkdir(0o700, exist_ok=True)  # contains the database, too
metrics.mkdir(0o700, exist_ok=True)


def on_starting(server):
    """Delete the counters of masters that were killed."""
    for folder in settings.instance.glob("metrics-*"):
        if not is_running(int(folder.name.rpartition("-")[2])):
            shutil.rmtree(folder, ignore_errors=True)


def is_running(pid):
    """Return whether a process exists, also one of another user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def pre_fork(server, worker):
    """Assign a core to each worker, unless another worker class is configured."""
    if isinstance(worker, Worker):
        worker.choose_core(server.num_workers, server.WORKERS.values())


def post_worker_init(worker):
    """Start the mail sender in each worker. A lease lets one of all send at a time."""
    from pycoder.mail import worker as mail_worker

    mail_worker.start(worker.wsgi)


def child_exit(server, worker):
    """Remove an exited worker from the gauges that add up live workers."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)


def on_exit(server):
    """Delete the counters of this master."""
    shutil.rmtree(metrics, ignore_errors=True)
