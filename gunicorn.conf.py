"""Settings of gunicorn, which finds this file by itself in a checkout."""

from deploy.gunicorn_conf import *  # noqa: F403
