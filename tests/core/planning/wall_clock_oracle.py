"""The ticks of a cron by brute force: every minute of a stretch of time, looked up on a clock on the wall."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
MARGIN = timedelta(days=2)


@dataclass(frozen=True)
class Fields:
    """The values of the five fields; None is a star."""

    minutes: frozenset[int] | None
    hours: frozenset[int] | None
    days: frozenset[int] | None
    months: frozenset[int] | None
    weekdays: frozenset[int] | None

    @property
    def expression(self) -> str:
        fields = (self.minutes, self.hours, self.days, self.months, self.weekdays)
        return " ".join("*" if field is None else ",".join(map(str, sorted(field))) for field in fields)

    def match(self, wall: datetime) -> bool:
        if self.minutes is not None and wall.minute not in self.minutes:
            return False
        if self.hours is not None and wall.hour not in self.hours:
            return False
        if self.months is not None and wall.month not in self.months:
            return False
        days = [
            None if self.days is None else wall.day in self.days,
            None if self.weekdays is None else wall.isoweekday() % 7 in self.weekdays,
        ]
        return any(day for day in days) or all(day is None for day in days)


def ticks(fields: Fields, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """The ticks from ``start`` on and before ``end``, by the rule that planning.crons states."""
    shown = _what_the_wall_shows(zone, start - MARGIN, end + MARGIN)
    if fields.hours is None:
        found = {moment for moment, wall in shown if fields.match(wall)}
    else:
        last_shown = {wall: moment for moment, wall in shown}
        found = {moment for wall, moment in last_shown.items() if fields.match(wall)}
        found |= set(_moved(fields, shown))
    return sorted(moment for moment in found if start <= moment < end)


def _what_the_wall_shows(zone: ZoneInfo, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    minutes = (end - start) // MINUTE
    moments = [start + number * MINUTE for number in range(minutes)]
    return [(moment, moment.astimezone(zone).replace(tzinfo=None, fold=0)) for moment in moments]


def _moved(fields: Fields, shown: list[tuple[datetime, datetime]]) -> list[datetime]:
    """Times that the wall never shows: as much after the change as they lie after its beginning."""
    moved = []
    for (_, earlier), (change, later) in pairwise(shown):
        left_out = earlier + MINUTE
        while left_out < later:
            if fields.match(left_out):
                moved.append(change + (left_out - earlier - MINUTE))
            left_out += MINUTE
    return moved


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)
