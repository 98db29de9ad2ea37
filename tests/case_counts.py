"""How many cases a generator of cases draws: fewer where a person waits for the result."""

from __future__ import annotations

import os

IS_FULL = os.environ.get("MICS_CHAOS") == "full"
"""Whether this is ``make chaos``, with the long forms of the reliability tests."""
IS_LONG = IS_FULL or bool(os.environ.get("CI"))


def cases(count: int) -> int:
    """``count`` in CI, and in the reliability tests' long form; a third of it elsewhere, but not less than 20."""
    return count if IS_LONG else min(count, max(20, count // 3))
