"""A logger for gunicorn that quotes no request.

gunicorn logs what it cannot parse. After a ``Content-Length`` that is too short, that is the rest
of a body, with its password.
"""

import re
import sys
import traceback

from gunicorn.glogging import Logger as GunicornLogger

WITHOUT_REQUEST = "Exception in worker process"  # at the start; its text names the cause


def hide_request(record):
    """Replace the text of an exception in a log record by its class.

    The beginning of the message remains, with the address of the client. The arguments are dropped,
    because the URL is one of them. A traceback keeps the places in the code.
    """
    error = sys.exception()
    if error and not str(record.msg).startswith(WITHOUT_REQUEST):
        begin = re.split(": | %", str(record.msg))[0].rstrip(".")
        places = traceback.format_tb(error.__traceback__) if record.exc_info else []
        record.msg = "\n".join([f"{begin}: {type(error).__name__}", *places])
        record.args, record.exc_info = (), None
    return True


class Logger(GunicornLogger):
    """gunicorn's logger, which names the class of an exception in place of its text."""

    def setup(self, cfg):
        """Configure the logger. gunicorn calls this again when it reloads its settings."""
        super().setup(cfg)
        self.error_log.addFilter(hide_request)
