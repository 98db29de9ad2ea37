"""How much is tested: less where a person waits for the result, more in ``make chaos``."""

from __future__ import annotations

import os

import pytest

IS_FULL = os.environ.get("MICS_TESTS") == "full"
"""Whether this is ``make chaos``, with the long forms of the reliability tests."""
IS_SHORT = os.environ.get("MICS_TESTS") == "short"
"""Whether this is ``make test`` outside CI. ``make test LONG=1`` leaves nothing out."""
MOST_PARAMETERS = 12
"""A test with more sets of parameters runs with a third of them where a person waits."""


def cases(count: int) -> int:
    """How many cases a generator draws: ``count``, or a third of it where a person waits, but not less than 20."""
    return min(count, max(20, count // 3)) if IS_SHORT else count


def short_form(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests that run where a person waits; those that take long are skipped with the reason."""
    by_function: dict[str, list[pytest.Item]] = {}
    for item in items:
        by_function.setdefault(item.nodeid.partition("[")[0], []).append(item)
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes long: make test LONG=1, and CI"))
    return [
        item
        for group in by_function.values()
        for item in (group if len(group) <= MOST_PARAMETERS else group[::3])
    ]
