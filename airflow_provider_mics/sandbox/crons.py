"""Five-field Unix crons in a time zone: whether one can be read, and when it fires next.

When the clocks change, it is as in Vixie's cron. A cron of fixed hours fires once on every day: where spring leaves
its hour out, later by as much as the clocks are put forward. A cron whose hour is starred fires whenever a clock on
the wall shows a matching time: not at all in the hour left out, twice in the hour that comes twice.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from croniter import croniter

RepeatedHour = Literal["first", "second"]

NAMES = re.compile(
    r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)\b", re.IGNORECASE
)
PLAIN_FIELD = re.compile(r"[\d*,/-]+")
MOST_CHANGES_OF_CLOCK = 100
MOST_TICKS_LOOKED_AT = 24 * 60 * 3
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def is_readable(cron: str) -> bool:
    """Whether it is a plain five-field cron that can ever fire."""
    return cron_problem(cron) is None


@functools.lru_cache(maxsize=4096)
def cron_problem(cron: str) -> str | None:
    """Why a cron is refused, as the rest of a sentence about it; None where it is fine."""
    fields = cron.split()
    if len(fields) != 5:
        return "must have five fields (minute hour day month weekday)"
    if not all(PLAIN_FIELD.fullmatch(NAMES.sub("1", field)) for field in fields):
        return "must have numbers, names and the signs * , - / in its five fields only"
    if not croniter.is_valid(cron):
        return "must have in each of its five fields values that the field can have"
    if _next_on_wall(cron, datetime(2024, 1, 1, tzinfo=UTC)) is None:
        return "must fire some day: none of its months has such a day"
    return None


def next_tick_ms(
    cron: str, timezone: ZoneInfo, after_ms: int, repeated_hour: RepeatedHour = "first"
) -> int | None:
    """The first tick after a moment, both in epoch milliseconds; None where the cron cannot be read.

    ``repeated_hour`` says in which of the two a fixed hour fires that comes twice in autumn.
    """
    if not is_readable(cron):
        return None
    after = datetime.fromtimestamp(after_ms / 1000, UTC)
    if cron.split()[1].startswith("*"):
        tick = _next_of_starred_hour(cron, timezone, after)
    else:
        tick = _next_of_fixed_hour(cron, timezone, after, fold=int(repeated_hour == "second"))
    return None if tick is None else int(tick.timestamp()) * 1000


def _next_on_wall(cron: str, wall: datetime) -> datetime | None:
    """The first match after a wall time. The time zone of ``wall`` is a mere label: no rules are applied."""
    try:
        match: datetime = croniter(cron, wall).get_next(datetime)
    except ValueError:
        return None
    return match


def _next_of_fixed_hour(cron: str, timezone: ZoneInfo, after: datetime, fold: int) -> datetime | None:
    # It begins two hours early: what the wall shows may be the first or the second of two like-named hours.
    wall: datetime | None = after.astimezone(timezone).replace(tzinfo=UTC) - timedelta(hours=2)
    for _ in range(MOST_TICKS_LOOKED_AT):
        wall = wall and _next_on_wall(cron, wall)
        if wall is None:
            return None
        tick = _moment_of(wall, timezone, fold)
        if tick > after:
            return tick
    return None


def _moment_of(wall: datetime, timezone: ZoneInfo, fold: int) -> datetime:
    """The moment of a wall time; one that spring leaves out is read as if the clocks had not changed yet."""
    moment = wall.replace(tzinfo=timezone, fold=fold).astimezone(UTC)
    if moment.astimezone(timezone).replace(tzinfo=UTC) == wall:
        return moment
    return wall.replace(tzinfo=timezone, fold=0).astimezone(UTC)


def _next_of_starred_hour(cron: str, timezone: ZoneInfo, after: datetime) -> datetime | None:
    since, offset = after, _offset_at(after, timezone)
    for _ in range(MOST_CHANGES_OF_CLOCK):
        wall = _next_on_wall(cron, after + offset)
        if wall is None:
            return None
        tick = wall - offset
        if _offset_at(tick, timezone) == offset:
            return tick
        since = _next_change_of_clock(since, tick, timezone)
        after, offset = since - SECOND, _offset_at(since, timezone)
    return None


def _offset_at(moment: datetime, timezone: ZoneInfo) -> timedelta:
    return moment.astimezone(timezone).utcoffset() or timedelta()


def _next_change_of_clock(start: datetime, end: datetime, timezone: ZoneInfo) -> datetime:
    """The first minute in (start, end] whose offset is not that of ``start``; there must be one."""
    offset = _offset_at(start, timezone)
    while start + DAY < end and _offset_at(start + DAY, timezone) == offset:
        start += DAY
    end = min(start + DAY, end)
    while end - start > SECOND:
        middle = start + (end - start) / 2
        if _offset_at(middle, timezone) == offset:
            start = middle
        else:
            end = middle
    return end.replace(second=0, microsecond=0)
