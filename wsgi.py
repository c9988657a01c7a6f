"""The WSGI entry point: ``gunicorn wsgi:app``, ``flask --app wsgi``."""

from config import load_or_exit
from pycoder import create_app

app = create_app(load_or_exit())
