"""Read a file of users as a stream: JSON lines, a JSON array, or CSV."""

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from itertools import chain
from typing import IO, Any, NamedTuple

from pycoder.errors import InvalidInput
from pycoder.strict_json import strict_loads

MAXIMUM_RECORD = 64 * 1024  # bytes
TOO_LONG = f"This is longer than {MAXIMUM_RECORD} bytes."
CHUNK = 256 * 1024  # bytes of an array that are read at once
MAXIMUM_TOKEN = 4 * 1024 * 1024  # bytes of an array without the end of a token
DELIMITERS = ",;\t"
# Up to a bracket or a comma, or to the end of a string. It never backtracks.
TOKEN = re.compile(rb'[^"{}\[\],]*+(?:[{}\[\],]|"[^"\\]*+(?:\\.[^"\\]*+)*+")', re.DOTALL)


class Record(NamedTuple):
    """A record of a file: its place, and its values or the reason why it has none.

    The place is a number and what it counts: ``line``, or ``record`` of an array.
    """

    unit: str
    number: int
    values: dict[str, Any] = {}
    error: InvalidInput | None = None


def read_json(file: IO[bytes], member: str | None = None) -> Iterator[Record]:
    """Yield the records of JSON lines, or of a file that is an array.

    With ``member``, a file that is one object has the array as this member. A file without the
    array, or in which it breaks off, ends with a record that has an error.
    """
    pieces = list(_first_pieces(file))
    start = b"".join(pieces).removeprefix(BOM_UTF8).lstrip()[:1]
    if start == b"[" or (member and start):
        unit, records = "record", _read_elements(pieces, file, member)
    else:
        unit, records = "line", _read_lines(pieces, file)
    number = 0
    try:
        for number, data in records:
            yield _parse_record(unit, number, data)
    except InvalidInput as broken:
        yield Record(unit, number + 1, error=broken)


def read_csv(file: IO[bytes]) -> tuple[list[str], Iterator[Record]]:
    """Return the header and the records of a CSV file.

    The delimiter is the one that splits the header into most cells. A record cannot span lines, so
    that an unclosed quote affects only its own line.
    """
    lines = _read_lines([], file)
    _, first = next(lines, (0, b""))
    headers = {delimiter: _parse_cells(first, delimiter) or [] for delimiter in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda delimiter: len(headers[delimiter]))
    header = [name.strip() for name in headers[delimiter]]
    rows = (_parse_row(number, line, header, delimiter) for number, line in lines)
    return header, rows


def _first_pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the first lines, up to one that is not blank."""
    while piece := file.readline(MAXIMUM_RECORD + 1):
        yield piece
        if piece.removeprefix(BOM_UTF8).strip():
            return


def _read_lines(pieces: list[bytes], file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the non-blank lines with their numbers. An overlong one is truncated.

    ``pieces`` are what was read of the file already.
    """
    unread = chain(pieces, iter(lambda: file.readline(MAXIMUM_RECORD + 1), b""))
    for number, line in enumerate(unread, start=1):
        rest = line
        while len(rest) > MAXIMUM_RECORD and not rest.endswith(b"\n"):
            rest = next(unread, b"")
        line = line.removeprefix(BOM_UTF8) if number == 1 else line
        if line.strip():
            yield number, line.rstrip(b"\r\n") if rest is line else line


def _read_elements(
    pieces: list[bytes], file: IO[bytes], member: str | None
) -> Iterator[tuple[int, bytes]]:
    """Yield the elements of an array with their numbers, counted from 1.

    An overlong one is truncated. Brackets alone decide where one ends, so that another error in it
    affects no other.
    """
    depth, within, number, size = 0, 0, 1, 0  # within: the depth in the array, once it was found
    name, key, element = f'"{member}"'.encode(), b"", list[bytes]()
    for text in _read_tokens(chain(pieces, iter(lambda: file.read(CHUNK), b""))):
        token = text[-1:]
        depth += (token in b"[{") - (token in b"]}")
        if not within:
            is_member = depth == 2 and key == name and text.lstrip().startswith(b":")
            within = depth if token == b"[" and (depth == 1 or is_member) else 0
            key = text.strip()
            continue
        ends = depth < within or (depth == within and token == b",")
        if size <= MAXIMUM_RECORD:
            element.append(text[:-1] if ends else text)
        size += len(text)
        if ends:
            data = b"".join(element).strip()
            if data or token == b",":
                yield number, data
            if depth < within:
                return
            element, size, number = [], 0, number + 1
    reason = "The array of users breaks off here." if within else "There is no array of users."
    raise InvalidInput({"file": [reason]})


def _read_tokens(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the text up to each bracket or comma, or to the end of each string.

    Raises ``InvalidInput`` for a text without an end, which would have to be kept in memory.
    """
    buffer, position, offset = b"", 0, 0
    for chunk in chunks:
        offset += position
        buffer, position = buffer[position:] + chunk, 0
        while match := TOKEN.match(buffer, position):
            yield match[0]
            position = match.end()
        if len(buffer) - position > MAXIMUM_TOKEN:
            raise InvalidInput({"file": [f"The string at byte {offset + position} is too long."]})


def _parse_record(unit: str, number: int, data: bytes) -> Record:
    if len(data) > MAXIMUM_RECORD:
        return _unreadable(unit, number, TOO_LONG)
    try:
        values = strict_loads(data)
    except ValueError:
        return _unreadable(unit, number, "This is not JSON in UTF-8.")
    if not isinstance(values, dict):
        return _unreadable(unit, number, "This is not a JSON object.")
    return Record(unit, number, values)


def _parse_row(number: int, line: bytes, header: list[str], delimiter: str) -> Record:
    if len(line) > MAXIMUM_RECORD:
        return _unreadable("line", number, TOO_LONG)
    cells = _parse_cells(line, delimiter)
    if cells is None:
        return _unreadable("line", number, "This is not CSV in UTF-8.")
    if len(cells) != len(header):
        counts = f"This has {len(cells)} cells, the header {len(header)}."
        return _unreadable("line", number, counts)
    return Record("line", number, dict(zip(header, cells, strict=True)))


def _parse_cells(line: bytes, delimiter: str) -> list[str] | None:
    """Return the cells of a line of CSV, or ``None`` if it is not CSV."""
    try:
        return next(csv.reader([line.decode()], delimiter=delimiter, strict=True), [])
    except (csv.Error, UnicodeDecodeError):
        return None


def _unreadable(unit: str, number: int, reason: str) -> Record:
    return Record(unit, number, error=InvalidInput({unit: [reason]}))
