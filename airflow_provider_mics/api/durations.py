"""Lengths of time as users give them: in seconds, or as a timedelta."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

LONGEST = timedelta(days=36_500).total_seconds()


def seconds_of(owner: str, name: str, value: Any, *, may_be_zero: bool = False) -> float:
    """The seconds of a number or a timedelta; ``owner`` and ``name`` say in the error whose and what it is.

    :raises ValueError: it is no length of time, or none that makes sense
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        raise ValueError(f"{owner}: {name} {value!r} is no length of time: give seconds or a timedelta")
    if seconds < 0 or (seconds == 0 and not may_be_zero):
        bound = "must not be below 0 seconds" if may_be_zero else "must be above 0 seconds"
        raise ValueError(f"{owner}: {name} {value} {bound}")
    if seconds > LONGEST:
        raise ValueError(
            f"{owner}: {name} {value} is longer than a hundred years: give seconds or a timedelta"
        )
    return float(seconds)
