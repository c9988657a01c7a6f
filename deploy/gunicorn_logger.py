"""A logger for gunicorn that quotes no request.

gunicorn logs what it cannot parse. After a ``Content-Length`` that is too short, that is the rest
of a body, with its password.
"""

import os
import re
import sys
import traceback

from gunicorn.glogging import Logger as GunicornLogger

WITHOUT_REQUEST = ("Exception in worker process", "Worker exiting")  # messages of a worker itself


class Logger(GunicornLogger):
    """gunicorn's logger, which names the class of an exception in place of its text."""

    def setup(self, cfg):
        """Configure the logger. gunicorn calls this in the master, at start and to reload."""
        super().setup(cfg)
        self.master = os.getpid()
        self.error_log.addFilter(self.hide_request)

    def hide_request(self, record):
        """Replace the text of an exception in a log record of a worker by its class.

        The beginning of the message remains, with the address of the client. The arguments are
        dropped, because the URL is one of them. A traceback keeps the places in the code. A record
        of the master, which reads no request, is kept.
        """
        error, is_master = sys.exception(), record.process == self.master
        if error and not is_master and not str(record.msg).startswith(WITHOUT_REQUEST):
            begin = re.split(": | %", str(record.msg))[0].rstrip(".")
            places = traceback.format_tb(error.__traceback__) if record.exc_info else []
            record.msg = "\n".join([f"{begin}: {type(error).__name__}", *places])
            record.args, record.exc_info = (), None
        return True
