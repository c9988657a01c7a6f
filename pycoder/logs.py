"""The log: one JSON line an event, bounded, so that nobody can write a line of his own into it."""

import json
import logging
import traceback
from datetime import UTC, datetime

from flask import Flask, has_request_context, request
from flask.logging import default_handler

LONGEST = 8_000  # characters of one text


class JSONLines(logging.Formatter):
    """Write a record as one line of ASCII: line breaks and escapes in it stay text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; the request is told by its id alone, since URLs may hold secrets."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "message": record.getMessage()[:LONGEST],
        }
        if has_request_context():
            line["request_id"] = request.id  # type: ignore[attr-defined]
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))[-LONGEST:]
        return json.dumps(line)


def init_app(app: Flask) -> None:
    """Have the application log to standard error in JSON lines."""
    default_handler.setFormatter(JSONLines())
    app.logger.setLevel(logging.INFO)
