"""A small chart of durations, as the path of an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

BAR_WIDTH = 5
GAP = 1
HEIGHT = 18


def bars(durations: Sequence[timedelta | None], slots: int) -> str:
    """Return the path of a bar for each duration, right-aligned in ``slots`` places; the longest has full height.

    :param durations: in the order of time; None leaves its place empty
    """
    longest = max((each for each in durations if each is not None), default=timedelta(0))
    first = slots - len(durations)
    return "".join(
        _bar(first + number, duration, longest)
        for number, duration in enumerate(durations)
        if duration is not None
    )


def _bar(number: int, duration: timedelta, longest: timedelta) -> str:
    height = max(1, round(HEIGHT * (duration / longest))) if longest > timedelta(0) else 1
    return f"M{number * (BAR_WIDTH + GAP)} {HEIGHT}v-{height}h{BAR_WIDTH}v{height}z"
