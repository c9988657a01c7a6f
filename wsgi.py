"""The WSGI entry point: ``gunicorn wsgi:app``, ``flask --app wsgi``.

Objects created at import live as long as the process. Excluding them from garbage collection makes
a start a fifth faster, and saves time in every request.
"""

import gc

gc.disable()

from config import load_or_exit  # noqa: E402
from pycoder import create_app  # noqa: E402
from pycoder.mail import worker  # noqa: E402

app = create_app(load_or_exit())
worker.start_with_first_request(app)
gc.freeze()
gc.enable()
