"""Reading JSON that others wrote, so that what it holds can be stored, shown and passed on.

JSON is read as leniently as possible: one bad character must not make a whole answer unreadable. `cleaned` then
replaces what PostgreSQL, UTF-8, a log or a page cannot take. It is called where an answer is read, and nowhere else.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

from airflow_provider_mics.api.text import clean_text

MAX_DEPTH = 40
"""Levels of nested objects and lists. Deeper ones are replaced by `TOO_DEEP`."""
TOO_DEEP = "… (cut: nested too deeply)"
INTEGERS = range(-(2**63), 2**63)
"""Larger integers become text: Airflow's own protocols and PostgreSQL's integers have 64 bits."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


class Json(NamedTuple):
    """A decoded body. ``is_exact`` is False if parts were dropped that Python's parser cannot read."""

    value: Any
    is_exact: bool


def read_json(content: bytes) -> Json:
    """Decode JSON in UTF-8, UTF-16 or UTF-32, with or without a byte order mark, whatever its Content-Type says.

    Lone surrogates and control characters in texts are accepted. Bytes that are no text become U+FFFD. Of a key that
    occurs twice, the last value counts.

    :raises ValueError: it is not JSON
    """
    text = _decoded(content)
    try:
        return Json(json.loads(text, strict=False), is_exact=True)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # Python refuses to read integers of thousands of digits.
        return Json(json.loads(text, strict=False, parse_int=_integer), is_exact=False)
    except RecursionError:
        return Json(json.loads(_without_depths(text), strict=False, parse_int=_integer), is_exact=False)


def _decoded(content: bytes) -> str:
    encoding = json.detect_encoding(content)
    try:
        text = content.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        text = content.decode(encoding, "replace")
    return text.removeprefix("\ufeff")


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= 20 else digits


def _without_depths(text: str) -> str:
    """Return JSON with ``null`` for what is nested too deeply for Python's parser."""
    kept, depth, end = [], 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                kept += [text[end : token.start()], "null"]
        elif token[0] in "]}":
            if depth == MAX_DEPTH + 1:
                end = token.end()
            depth -= 1
    return "".join([*kept, text[end:]]) if depth <= MAX_DEPTH else ""


def cleaned(value: Any, depth: int = 0) -> Any:
    """Return decoded JSON without what cannot be stored or shown, keys included.

    Texts are cleaned by `clean_text`. NaN and Infinity become None, integers of more than 64 bits text.
    """
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        if depth >= MAX_DEPTH:
            return TOO_DEEP
        return {clean_text(key): cleaned(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [cleaned(each, depth + 1) for each in value] if depth < MAX_DEPTH else TOO_DEEP
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if not isinstance(value, int) or value in INTEGERS else str(value)
