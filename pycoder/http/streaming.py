"""Stream JSON documents that are too long for memory."""

from collections.abc import Generator
from contextlib import closing
from typing import Any

from flask import Response, json, request, stream_with_context
from marshmallow import Schema


def stream_json(schema: Schema, document: dict[str, Any], name: str) -> Response:
    """Return a JSON object whose last member ``name`` is read in batches.

    ``document[name]`` is a generator of them. The first batch is read at once, so that a fault is
    answered as a problem. A later fault cuts the response off, which is then no JSON.
    """
    chunks = _write(schema, document, name)
    next(chunks)
    if request.method == "HEAD":  # nothing would read them to the end
        chunks.close()
    return Response(stream_with_context(chunks), mimetype="application/json")


def _write(schema: Schema, document: dict[str, Any], name: str) -> Generator[str]:
    with closing(document.pop(name)) as batches:
        batch: list[Any] = next(batches, [])
        yield ""
        yield f"{json.dumps(schema.dump(document))[:-1]}, {json.dumps(name)}: ["
        separator = ""
        while batch:
            yield separator + json.dumps(schema.dump({name: batch})[name])[1:-1]
            separator = ", "
            batch = next(batches, [])
        yield "]}\n"
