"""Logging to standard error, one JSON object a line.

Clients cannot forge lines, because line breaks in a message are escaped.
"""

import json
import logging
import traceback
from datetime import UTC, datetime

from flask import Flask, has_request_context, request
from flask.logging import default_handler

MAXIMUM_LENGTH = 8_000  # characters of a message or traceback


class JSONLines(logging.Formatter):
    """Format a log record as one line of ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. It has no URL of a request, because that may contain secrets."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "message": record.getMessage()[:MAXIMUM_LENGTH],
        }
        if has_request_context():
            line["request_id"] = request.id  # type: ignore[attr-defined]
        if record.exc_info:
            text = "".join(traceback.format_exception(*record.exc_info))
            line["traceback"] = text[-MAXIMUM_LENGTH:]
        return json.dumps(line)


def init_app(app: Flask) -> None:
    """Configure the logger of the application."""
    default_handler.setFormatter(JSONLines())
    app.logger.setLevel(logging.INFO)
