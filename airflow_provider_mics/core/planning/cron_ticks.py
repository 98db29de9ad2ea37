"""Whether a cron fires at a given minute, and where else a scheduler may fire it when clocks change.

A tick is a minute at which the cron's schedule is due. Where clocks do not change, that is whenever the local time
matches the cron. Where they do, ticks follow Airflow's ``CronTriggerTimetable`` (``timetables/_cron.py``, the same in
Airflow 2.11 and 3.3), as far as its runs are those of the cron:

* A cron of fixed hours fires once for each matching local time. A time that is skipped in spring fires later by the
  size of the gap; a time that is repeated in autumn fires at its second occurrence.
* An hourly cron (``*`` in the hour field) fires whenever the local time matches, in both passes of a repeated hour.
* Airflow steps an hourly cron by elapsed time. Where clocks change by less than an hour (Australia/Lord_Howe: 30
  minutes), its first run after the change is thus at a local time that does not match. It is a tick too.

Airflow has other runs than these ticks in two cases. Of an hourly cron that is restricted to days or months, it steps
over the change from a run long before: in spring the ticks of up to an hour have no run, in autumn there is a run that
is no tick, an hour too early. Of several ticks in an hour that is skipped in spring, it runs the first one only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from airflow_provider_mics.api.cron_syntax import (
    collapse_spaces,
    cron_problem,
    cron_warning,
    normalised,
    read_cron,
)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
CALENDAR_CYCLE = 28 * 366
"""Days after which dates fall on the same days of the week again (1901 to 2099)."""
DAYS_OF_A_MONTH = 31
MAX_TOLERANCE = timedelta(seconds=60)
WELL_KNOWN_ZONES = (
    "Europe/Paris",
    "Europe/London",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
)
"""Tried before all other zones, so that a well-known name is returned where several zones fit."""


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo | None:
    """Return the time zone with this IANA name, or None if there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


@dataclass(frozen=True)
class CronFields:
    """The values that a cron matches. ``days`` and ``weekdays`` (Sunday is 0) are None for every day."""

    minutes: frozenset[int]
    hours: frozenset[int]
    is_hourly: bool
    months: frozenset[int]
    days: frozenset[int] | None
    weekdays: frozenset[int] | None

    def match(self, local: datetime) -> bool:
        """Whether the cron is due at a local time."""
        return local.minute in self.minutes and local.hour in self.hours and self.match_day(local)

    def match_day(self, day: date) -> bool:
        """Whether the cron is due on a day. Where both day fields are restricted, either may match, as in Unix."""
        if day.month not in self.months:
            return False
        if self.days is None and self.weekdays is None:
            return True
        return (self.days is not None and day.day in self.days) or (
            self.weekdays is not None and day.isoweekday() % 7 in self.weekdays
        )

    @cached_property
    def shortest_period(self) -> timedelta:
        """The shortest local time between two ticks of the same day or of neighbouring days; at most a day."""
        ticks = [60 * hour + minute for hour in sorted(self.hours) for minute in sorted(self.minutes)]
        shortest = min((later - earlier for earlier, later in pairwise(ticks)), default=24 * 60)
        overnight = ticks[0] + 24 * 60 - ticks[-1]
        return MINUTE * (overnight if overnight < shortest and self._match_neighbouring_days() else shortest)

    def _match_neighbouring_days(self) -> bool:
        days = (date(2000, 1, 1) + number * DAY for number in range(CALENDAR_CYCLE))
        return any(self.match_day(day) and self.match_day(day + DAY) for day in days)


@lru_cache(maxsize=8192)
def _syntax_problem(expression: str) -> str | None:
    return cron_problem(expression)


@lru_cache(maxsize=8192)
def _parse(expression: str) -> CronFields:
    """Parse a cron that has no problem."""
    minutes, hours, days, months, weekdays = read_cron(expression)
    return CronFields(
        minutes=minutes,
        hours=hours,
        is_hourly=len(hours) == 24,
        months=months,
        days=None if len(days) == 31 else days,
        weekdays=None if len(weekdays) == 7 else weekdays,
    )


@dataclass(frozen=True)
class Cron:
    """A five-field cron in a time zone (IANA name). All datetimes are aware; those returned are in UTC.

    A cron with a ``problem`` never fires.
    """

    expression: str
    timezone: str = "UTC"

    def __str__(self) -> str:
        return f"{self.expression!r} in {self.timezone}"

    @cached_property
    def problem(self) -> str | None:
        """Why the cron cannot be scheduled, as the end of a sentence, or None."""
        if zone_of(self.timezone) is None:
            return f"has the unknown time zone {self.timezone!r}: give an IANA name such as Europe/Paris"
        return _syntax_problem(self.expression)

    @cached_property
    def warning(self) -> str | None:
        """Why a valid cron is probably a mistake, as the end of a sentence, or None."""
        return cron_warning(self.expression) if self.problem is None else None

    @property
    def normalised(self) -> str:
        """The expression as Airflow's timetable reads it correctly: single spaces, no range of one value."""
        return normalised(self.expression)

    @cached_property
    def tolerance(self) -> timedelta:
        """How far apart two moments of the same tick may be: less than half the period, at most 60 s."""
        if self.problem is not None:
            return timedelta(0)
        return min(MAX_TOLERANCE, self._fields.shortest_period / 2 - timedelta(seconds=1))

    def is_tick(self, moment: datetime) -> bool:
        """Whether the cron fires at a moment, within its tolerance."""
        return self._holds_near(moment, self.fires_at)

    def could_fire_at(self, moment: datetime) -> bool:
        """Whether any scheduler could fire the cron at a moment, however it handles a change of clocks."""
        return self._holds_near(moment, lambda minute: self.fires_at(minute) or self._may_fire_at(minute))

    def may_be_stepped_to(self, moment: datetime) -> bool:
        """Whether Airflow may make a run of an hourly cron at a moment that is no tick.

        It steps such a cron by elapsed time, and so also over a change of clocks since the tick before.
        """
        if self.problem is not None or not self._fields.is_hourly:
            return False
        minute = _plain_utc(moment).replace(second=0, microsecond=0)
        offsets = {self._offset(minute - number * DAY) for number in range(DAYS_OF_A_MONTH + 1)}
        return any(self._fields.match(minute.replace(tzinfo=None) + offset) for offset in offsets)

    def fires_at(self, minute: datetime) -> bool:
        """Whether the cron fires at a whole minute, given as a standard datetime in UTC.

        :raises ValueError: the cron has a problem
        """
        local = minute.astimezone(self._zone)
        if self._fields.is_hourly:
            return self._fields.match(local) or self._is_stepped_over_change(minute)
        if self._fields.match(local):
            return local.replace(fold=1).utcoffset() == local.utcoffset()
        skipped = self._skipped_time(minute)
        return skipped is not None and self._fields.match(skipped)

    def candidate_times(self, tick: datetime) -> tuple[datetime, ...]:
        """The moments at which another scheduler may fire ``tick``, starting with ``tick`` itself.

        There are others only around a change of clocks. For a cron of fixed hours: both occurrences of a repeated
        time, and the change itself for a skipped time. For an hourly cron that Airflow steps over the change: the
        last matching local time before the run.

        :raises ValueError: the cron has a problem
        """
        tick = _plain_utc(tick)
        if self._fields.is_hourly:
            return (tick, *self._times_stepped_over(tick))
        local = tick.astimezone(self._zone)
        first_and_second = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        skipped = self._skipped_time(tick)
        changes = () if skipped is None or not self._fields.match(skipped) else (self._change_before(tick),)
        return tuple(dict.fromkeys((tick, *first_and_second, *changes)))

    def _holds_near(self, moment: datetime, condition: Callable[[datetime], bool]) -> bool:
        """Whether a condition holds for a minute within the tolerance of a moment."""
        if self.problem is not None:
            return False
        try:
            latest = _plain_utc(moment) + self.tolerance
            minute = latest.replace(second=0, microsecond=0)
            while minute >= latest - 2 * self.tolerance:
                if condition(minute):
                    return True
                minute -= MINUTE
        except (OverflowError, ValueError):
            return False
        return False

    def _may_fire_at(self, minute: datetime) -> bool:
        """Whether a scheduler could fire here what is a tick at another minute."""
        if self._fields.is_hourly:
            return False
        local = minute.astimezone(self._zone).replace(tzinfo=None)
        if self._fields.match(local):
            return True  # The first occurrence of a repeated time.
        gap = self._offset(minute) - self._offset(minute - MINUTE)
        return any(self._fields.match(local - number * MINUTE) for number in range(1, gap // MINUTE + 1))

    def _skipped_time(self, minute: datetime) -> datetime | None:
        """The local time that clocks skipped and that is made up for at this minute, or None."""
        local = minute.astimezone(self._zone).replace(tzinfo=None)
        gap = self._offset(minute) - self._offset(minute - DAY)
        if gap <= timedelta(0):
            return None
        skipped = (local - gap).replace(tzinfo=self._zone)
        # In a gap, fold=0 gives the offset before the change and fold=1 the one after it (PEP 495).
        is_skipped = _offset_of(skipped.replace(fold=1)) - _offset_of(skipped.replace(fold=0)) == gap
        return skipped if is_skipped else None

    def _change_before(self, tick: datetime) -> datetime:
        """The last change of clocks at or before a tick."""
        minute, offset = tick.replace(second=0, microsecond=0), self._offset(tick)
        while self._offset(minute - MINUTE) == offset:
            minute -= MINUTE
        return minute

    def _is_stepped_over_change(self, minute: datetime) -> bool:
        """Whether this is Airflow's first run of an hourly cron after a change of clocks within the last hour.

        It is the first match after the change of a clock that was not changed.
        """
        offset = self._offset(minute - HOUR)
        unchanged = minute.replace(tzinfo=None) + offset
        if offset == self._offset(minute) or not self._fields.match(unchanged):
            return False
        steps = (number * MINUTE for number in range(1, 61))
        last_run = next((minute - step for step in steps if self._fields.match(unchanged - step)), None)
        return last_run is not None and self._offset(last_run) == offset

    def _times_stepped_over(self, tick: datetime) -> tuple[datetime, ...]:
        """The last matching local time that Airflow replaced by this tick; none for an ordinary tick."""
        minute = tick.replace(second=0, microsecond=0)
        if self._fields.match(minute.astimezone(self._zone)) or not self._is_stepped_over_change(minute):
            return ()
        while self._offset(minute := minute - MINUTE) == self._offset(tick):
            if self._fields.match(minute.astimezone(self._zone)):
                return (minute,)
        return ()

    def _offset(self, moment: datetime) -> timedelta:
        return _offset_of(moment.astimezone(self._zone))

    @cached_property
    def _zone(self) -> ZoneInfo:
        zone = zone_of(self.timezone)
        if zone is None:
            raise ValueError(f"cron {self} {self.problem}")
        return zone

    @cached_property
    def _fields(self) -> CronFields:
        if self.problem is not None:
            raise ValueError(f"cron {self} {self.problem}")
        return _parse(self.expression)


def _plain_utc(moment: datetime) -> datetime:
    """The moment in UTC as a datetime of the standard library: Airflow's pendulum datetimes have other arithmetic."""
    utc = moment.astimezone(UTC)
    return datetime.combine(utc, utc.time(), UTC)


def _offset_of(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta(0)


@dataclass(frozen=True)
class CronPeriod:
    """A cron and when it was in force on the platform: from ``since`` to ``until`` (UTC), or until now if that is None.

    It was in force at least then, perhaps for longer.
    """

    cron: str
    since: datetime
    until: datetime | None = None

    def is_of(self, cron: str | None) -> bool:
        """Whether it is the period of this cron, however it is spaced."""
        return cron is not None and collapse_spaces(self.cron) == collapse_spaces(cron)

    def __contains__(self, moment: datetime) -> bool:
        return self.since <= moment and (self.until is None or moment <= self.until)


@dataclass(frozen=True)
class Firing:
    """A moment at which the platform fired a cron."""

    cron: str
    moment: datetime


def infer_timezone(
    expression: str, moments: Sequence[datetime], candidates: Sequence[str] = ()
) -> str | None:
    """Return the first time zone (IANA name) in which the cron could fire at all these moments, or None.

    Zones are tried in this order: UTC, ``candidates``, well-known zones, all others. All that fit: ``cron_timezones``.
    """
    if not moments or _syntax_problem(expression) is not None:
        return None
    others = sorted(available_timezones(), key=lambda name: ("/" not in name, name.startswith("Etc/"), name))
    for name in dict.fromkeys(("UTC", *candidates, *WELL_KNOWN_ZONES, *others)):
        if all(Cron(expression, name).could_fire_at(each) for each in moments):
            return name
    return None
