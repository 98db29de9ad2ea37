"""The ticks of a cron by brute force: convert every minute of a period to local time and match it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from croniter import croniter

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
MARGIN = timedelta(days=2)


@dataclass(frozen=True)
class Fields:
    """The values of the five fields; None is a star."""

    minutes: frozenset[int] | None
    hours: frozenset[int] | None
    days: frozenset[int] | None
    months: frozenset[int] | None
    weekdays: frozenset[int] | None

    @classmethod
    def of(cls, expression: str) -> Fields:
        fields = croniter(expression).expanded
        return cls(*(None if field == ["*"] else frozenset(map(int, field)) for field in fields))

    @property
    def expression(self) -> str:
        fields = (self.minutes, self.hours, self.days, self.months, self.weekdays)
        return " ".join("*" if field is None else ",".join(map(str, sorted(field))) for field in fields)

    def match(self, local: datetime) -> bool:
        if self.minutes is not None and local.minute not in self.minutes:
            return False
        if self.hours is not None and local.hour not in self.hours:
            return False
        return self.match_day(local)

    def match_day(self, local: datetime) -> bool:
        if self.months is not None and local.month not in self.months:
            return False
        days = [
            None if self.days is None else local.day in self.days,
            None if self.weekdays is None else local.isoweekday() % 7 in self.weekdays,
        ]
        return any(day for day in days) or all(day is None for day in days)


def ticks(
    fields: Fields, zone: ZoneInfo, start: datetime, end: datetime, margin: timedelta = MARGIN
) -> list[datetime]:
    """The ticks from ``start`` (included) to ``end`` (excluded), by the rules in planning.cron_ticks.

    A change of clocks within ``margin`` of the period may move ticks into it or out of it.
    Changes of clocks by less than an hour are left out: see tests/provider/dag_factory/test_cron_agreement.py.
    """
    minutes = _local_times(zone, start - margin, end + margin)
    if fields.hours is None:
        found = {moment for moment, local in minutes if fields.match(local)}
    else:
        last_occurrence = {local: moment for moment, local in minutes}
        found = {moment for local, moment in last_occurrence.items() if fields.match(local)}
        found |= set(_skipped(fields, minutes))
    return sorted(moment for moment in found if start <= moment < end)


def _local_times(zone: ZoneInfo, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    minutes = (end - start) // MINUTE
    moments = [start + number * MINUTE for number in range(minutes)]
    return [(moment, moment.astimezone(zone).replace(tzinfo=None, fold=0)) for moment in moments]


def _skipped(fields: Fields, minutes: list[tuple[datetime, datetime]]) -> list[datetime]:
    """Local times that never occur: as long after the change as they lie after the beginning of the gap."""
    moved = []
    for (_, earlier), (change, later) in pairwise(minutes):
        skipped = earlier + MINUTE
        while skipped < later:
            if fields.match(skipped):
                moved.append(change + (skipped - earlier - MINUTE))
            skipped += MINUTE
    return moved


def ticks_from(fields: Fields, zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
    """The ticks from ``start`` on, day by day. They end where the fields match no day within nine years."""
    margin = timedelta(0) if zone.key == "UTC" else MARGIN
    day, last_match = start, start
    while day < last_match + 9 * 366 * DAY:
        if _may_have_ticks(fields, zone, day):
            last_match = day
            yield from ticks(fields, zone, day, day + DAY, margin)
        day += DAY


def last_tick_before(fields: Fields, zone: ZoneInfo, moment: datetime) -> datetime:
    day = moment - DAY
    while not (_may_have_ticks(fields, zone, day) and (found := ticks(fields, zone, day, day + DAY))):
        day -= DAY
    return found[-1]


def _may_have_ticks(fields: Fields, zone: ZoneInfo, start: datetime) -> bool:
    """Whether the 24 hours from ``start`` on can have ticks, among them some moved by a change of clocks."""
    return any(fields.match_day((start + number * DAY).astimezone(zone)) for number in (-1, 0, 1, 2))


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)
