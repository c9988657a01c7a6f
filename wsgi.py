"""The WSGI entry point: ``gunicorn wsgi:app``, ``flask --app wsgi``.

What is loaded here stays: to search it for garbage takes a fifth of a start, and some of every
request after it.
"""

import gc

gc.disable()

from config import load_or_exit  # noqa: E402
from pycoder import create_app  # noqa: E402

app = create_app(load_or_exit())
gc.freeze()
gc.enable()
