"""Strict JSON: reject what two parsers could read differently."""

import json
import math
from typing import Any

from flask.json.provider import DefaultJSONProvider


def strict_loads(text: str | bytes) -> Any:
    """Parse JSON, and refuse what two parsers could read differently.

    That is: anything but UTF-8, a byte order mark, a name twice in one object, NaN, infinities,
    numbers that overflow, lone surrogates, and nesting deeper than the parser's stack
    (RFC 8259 §4, §6, §8; RFC 8725 §2.4). Raises ``ValueError``.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_reject_duplicate_names,
            parse_constant=_reject_constant,
            parse_float=_parse_finite,
        )
        if "\\u" in text:  # the only way in for a lone surrogate; encoding finds it
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _reject_duplicate_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


class StrictJSONProvider(DefaultJSONProvider):
    """Flask's JSON, strict in what it takes."""

    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return strict_loads(s)
