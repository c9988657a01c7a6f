"""Strict JSON: reject input that two parsers could read differently."""

import json
import math
from typing import Any

from flask.json.provider import DefaultJSONProvider


def strict_loads(text: str | bytes) -> Any:
    """Parse JSON, and reject input that two parsers could read differently.

    Rejected are encodings other than UTF-8, a byte order mark, duplicate names in an object, NaN,
    infinities, numbers that overflow, lone surrogates, and nesting deeper than the parser's stack
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
        if "\\u" in text:  # only an escape can be a lone surrogate, which cannot be encoded
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _reject_duplicate_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate name in an object")
    return members


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


class StrictJSONProvider(DefaultJSONProvider):
    """Flask's JSON provider with a strict parser."""

    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return strict_loads(s)
