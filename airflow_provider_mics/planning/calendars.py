"""The fields of a cron, as the times of day and the days that they match."""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise

from croniter import croniter

from airflow_provider_mics.api.crons import cron_problem, normalised
from airflow_provider_mics.planning.wall_clocks import DAY, MINUTE

MOST_YEARS_BETWEEN = 9
"""The 29th of February can be eight years away (1896, 1904; 2096, 2104)."""
YEARS_OF_ALL_CALENDARS = 28
MINUTES_OF_DAY = 24 * 60


@dataclass(frozen=True)
class Calendar:
    """What a cron matches. ``days`` and ``weekdays`` (Sunday is 0) are None where they are starred.

    Where both are given, a day matches that has one of them, as in Unix.
    """

    minutes_of_day: tuple[int, ...]
    is_every_hour: bool
    months: frozenset[int]
    days: frozenset[int] | None
    weekdays: frozenset[int] | None

    def has(self, day: date) -> bool:
        """Whether the cron fires on a day."""
        if day.month not in self.months:
            return False
        if self.days is None and self.weekdays is None:
            return True
        return (self.days is not None and day.day in self.days) or (
            self.weekdays is not None and day.isoweekday() % 7 in self.weekdays
        )

    def matches(self, wall: datetime) -> bool:
        """Whether the cron fires when a clock on the wall shows ``wall``."""
        minute = wall.hour * 60 + wall.minute
        index = bisect_left(self.minutes_of_day, minute)
        return self.minutes_of_day[index : index + 1] == (minute,) and self.has(wall.date())

    def days_from(self, start: date) -> Iterator[date]:
        """The days that match, from ``start`` on, for as long as two of them can lie apart."""
        day, end = start, start + MOST_YEARS_BETWEEN * 366 * DAY
        while day < end:
            if self.has(day):
                yield day
            day += (
                DAY if day.month in self.months else DAY * (monthrange(day.year, day.month)[1] - day.day + 1)
            )

    def days_back_from(self, start: date) -> Iterator[date]:
        """The days that match, from ``start`` back, for as long as two of them can lie apart."""
        day, end = start, start - MOST_YEARS_BETWEEN * 366 * DAY
        while day > end:
            if self.has(day):
                yield day
            day -= DAY if day.month in self.months else DAY * day.day

    @cached_property
    def shortest_period(self) -> timedelta:
        """The shortest time between two neighbouring ticks, in a time zone whose clocks never change."""
        within_day = [later - earlier for earlier, later in pairwise(self.minutes_of_day)]
        overnight = self.minutes_of_day[0] + MINUTES_OF_DAY - self.minutes_of_day[-1]
        if within_day and min(within_day) <= overnight:
            return min(within_day) * MINUTE
        overnight += (self._fewest_days_between() - 1) * MINUTES_OF_DAY
        return min([*within_day, overnight]) * MINUTE

    def _fewest_days_between(self) -> int:
        if self.days is None and self.weekdays is None:
            return 1
        fewest = MOST_YEARS_BETWEEN * 366
        start = date(2000, 1, 1)
        last = None
        for year in range(YEARS_OF_ALL_CALENDARS):
            for day in self._days_of(start.year + year):
                if last is not None:
                    fewest = min(fewest, (day - last).days)
                if fewest == 1:
                    return fewest
                last = day
        return fewest

    def _days_of(self, year: int) -> Iterator[date]:
        for month in sorted(self.months):
            for number in range(1, monthrange(year, month)[1] + 1):
                day = date(year, month, number)
                if self.has(day):
                    yield day


@lru_cache(maxsize=8192)
def calendar_problem(expression: str) -> str | None:
    """Why a cron cannot be scheduled on, or None where it can."""
    return cron_problem(expression)


@lru_cache(maxsize=8192)
def calendar_of(expression: str) -> Calendar:
    """The calendar of a cron that has no problem."""
    minutes, hours, days, months, weekdays = croniter(normalised(expression)).expanded
    return Calendar(
        minutes_of_day=tuple(
            60 * hour + minute for hour in _values(hours, 0, 23) for minute in _values(minutes, 0, 59)
        ),
        is_every_hour=hours == ["*"],
        months=frozenset(_values(months, 1, 12)),
        days=_restriction(days),
        weekdays=_restriction(weekdays),
    )


def _values(field: Sequence[int | str], lowest: int, highest: int) -> list[int]:
    return list(range(lowest, highest + 1)) if list(field) == ["*"] else sorted(int(value) for value in field)


def _restriction(field: Sequence[int | str]) -> frozenset[int] | None:
    return None if list(field) == ["*"] else frozenset(int(value) for value in field)
