"""Shortening JSON to a size, with a word where it was cut."""

from __future__ import annotations

import json
from typing import Any

SMALLEST_SHARE = 80
"""Bytes that each part of an object or list may take at least. Parts beyond those that fit are left out."""
LONGEST_KEY = 40
"""Characters of a longer key in an object that is cut."""


def json_size(value: Any) -> int:
    """Return the bytes of a value as JSON, in the spelling in which Airflow stores it (ASCII)."""
    return len(json.dumps(value))


def shortened(value: Any, limit: int) -> Any:
    """Return JSON in at most ``limit`` bytes: the same value if it is small enough.

    Long texts lose their end, long objects and lists their last parts; small parts stay whole. Where something was
    cut, a text says so.

    :param value: decoded JSON
    :param limit: at least `SMALLEST_SHARE`
    """
    if json_size(value) <= limit:
        return value
    if limit < 2 * SMALLEST_SHARE or not isinstance(value, (dict, list)):
        return _shortened_text(value if isinstance(value, str) else json.dumps(value), limit)
    if isinstance(value, list):
        items = _fitting([("", each) for each in value], limit)
        left_out = [f"… (cut: {len(value)} items)"] if len(items) < len(value) else []
        return [each for _, each in items] + left_out
    named = [(_shortened_key(name), value[name]) for name in value]
    kept = _fitting(named, limit)
    return dict(kept) | ({"…": f"cut: {len(value)} fields"} if len(kept) < len(value) else {})


def _fitting(parts: list[tuple[str, Any]], limit: int) -> list[tuple[str, Any]]:
    """Return the first parts of an object or list, each shortened so that all fit into ``limit`` bytes.

    What is small gets what it needs, and the large parts share the rest.
    """
    budget, kept = limit - SMALLEST_SHARE, []
    needed = 0
    for name, value in parts:
        size = json_size(value)
        needed += json_size(name) + 4 + min(size, SMALLEST_SHARE)
        if needed > budget:
            break
        kept.append((size, name, value))
    budget -= sum(json_size(name) + 4 for _, name, _ in kept)
    shares: dict[int, int] = {}
    smallest_first = sorted(range(len(kept)), key=lambda index: kept[index][0])
    for done, index in enumerate(smallest_first):
        shares[index] = min(kept[index][0], budget // (len(kept) - done))
        budget -= shares[index]
    return [(name, shortened(value, shares[index])) for index, (_, name, value) in enumerate(kept)]


def _shortened_key(name: str) -> str:
    return name if len(name) <= LONGEST_KEY else f"{name[:LONGEST_KEY]}… (cut: {len(name)} characters)"


def _shortened_text(text: str, limit: int) -> str:
    mark = f"… (cut: {len(text)} characters)"
    start = text[: max(0, limit - json_size(mark))]
    while start and json_size(start + mark) > limit:
        # A character takes up to twelve bytes.
        start = start[: -max(1, (json_size(start + mark) - limit) // 12)]
    return start + mark
