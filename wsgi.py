"""The WSGI entry point: ``gunicorn wsgi:app``, ``flask --app wsgi``."""

import sys

from config import ConfigError
from pycoder import create_app

try:
    app = create_app()
except ConfigError as refusal:
    sys.exit(f"PyCoder refuses to start with these settings:\n{refusal}")
