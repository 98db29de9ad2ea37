"""From the time that a clock on the wall shows to the moments at which it shows it, also where clocks change."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from croniter import croniter

from airflow_provider_mics.api.cron_syntax import cron_problem, normalised

DAY = timedelta(days=1)

MINUTE = timedelta(minutes=1)


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name, or None where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def in_utc(moment: datetime) -> datetime:
    """The same moment as a plain datetime in UTC: Airflow's are pendulum's, which reckon differently."""
    utc = moment.astimezone(UTC)
    return datetime(
        utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, tzinfo=UTC
    )


def offsets(wall: datetime, zone: ZoneInfo) -> tuple[timedelta, timedelta]:
    """What the zone is ahead of UTC at a wall time (naive): by the rule before a change of clocks, and after it.

    They differ only where clocks change: the second is larger in the time that spring leaves out, smaller in the
    time that autumn shows twice (PEP 495).
    """
    before = wall.replace(tzinfo=zone, fold=0).utcoffset()
    after = wall.replace(tzinfo=zone, fold=1).utcoffset()
    return before or timedelta(), after or timedelta()


def local_to_utc(wall: datetime, offset: timedelta) -> datetime:
    """The moment (UTC) at which a clock that is ``offset`` ahead of UTC shows ``wall``."""
    return (wall - offset).replace(tzinfo=UTC)


def steady_offset(day: date, zone: ZoneInfo) -> timedelta | None:
    """What the zone is ahead of UTC all through a day of its own, or None on a day on which its clocks change."""
    midnight = datetime.combine(day, time())
    start, _ = offsets(midnight, zone)
    _, end = offsets(midnight + DAY, zone)
    return start if start == end else None


def end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment (UTC) at which clocks are put forward past ``wall``, a time that they therefore leave out."""
    before, after = offsets(wall, zone)
    # Read by the rule before the change, the wall time lies after it; by the rule after the change, before it.
    early, late = local_to_utc(wall, after), local_to_utc(wall, before)
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)


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


LARGEST_TOLERANCE = timedelta(seconds=60)

MICROSECOND = timedelta(microseconds=1)

MOST_EVIDENCE = 100

LIKELY_ZONES = (
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

"""Tried before all others: where several time zones explain a history, the best known is named."""


@dataclass(frozen=True)
class Cron:
    """A five-field cron, read in a time zone (IANA name). Moments are aware datetimes; ticks are in UTC.

    A cron with a ``problem`` has no ticks: asking for one raises ValueError, and nothing is one of its ticks.
    """

    expression: str
    timezone: str = "UTC"

    def __str__(self) -> str:
        return f"{self.expression!r} in {self.timezone}"

    @cached_property
    def problem(self) -> str | None:
        """Why it cannot be read or never fires, or None where it can be scheduled on."""
        if zone_of(self.timezone) is None:
            return f"is for the time zone {self.timezone!r}, which is not known: give an IANA name such as Europe/Paris"
        return calendar_problem(self.expression)

    @cached_property
    def warning(self) -> str | None:
        """What is odd about a cron that can be read."""
        if self.problem is None and normalised(self.expression) == "* * * * *":
            return (
                "fires every minute. The platform's own editor writes '* * * * *' for no schedule, "
                "so this is probably not meant"
            )
        return None

    @property
    def normalised(self) -> str:
        """The expression as Airflow's timetable is to have it: one space between fields, no range of one value."""
        return normalised(self.expression)

    def next_after(self, moment: datetime) -> datetime:
        """The first tick after a moment."""
        moment = in_utc(moment)
        yesterday = moment.astimezone(self._zone).date() - DAY
        days = self._calendar.days_from(yesterday)
        for day in days:
            tick = self._first_on(day, moment)
            if tick is not None:
                # Where clocks change, a tick of the next day can come before one of this day.
                following = self._first_on(day + DAY, moment)
                return tick if following is None else min(tick, following)
        raise ValueError(f"cron {self} has no tick after {moment.isoformat()}")

    def latest_at(self, moment: datetime) -> datetime:
        """The last tick at or before a moment."""
        moment = in_utc(moment)
        tomorrow = moment.astimezone(self._zone).date() + DAY
        for day in self._calendar.days_back_from(tomorrow):
            tick = self._last_on(day, moment)
            if tick is not None:
                preceding = self._last_on(day - DAY, moment)
                return tick if preceding is None else max(tick, preceding)
        raise ValueError(f"cron {self} has no tick before {moment.isoformat()}")

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The ticks from ``start`` on and before ``end``, in order."""
        start, end = in_utc(start), in_utc(end)
        tick = self.next_after(start - MICROSECOND)
        while tick < end:
            yield tick
            tick = self.next_after(tick)

    @cached_property
    def shortest_period(self) -> timedelta:
        """The shortest time between two neighbouring ticks, by the clock on the wall."""
        return self._calendar.shortest_period

    @cached_property
    def tolerance(self) -> timedelta:
        """How far apart two moments may be and still be the same tick: below half the period, 60 s at most."""
        if self.problem is not None:
            return timedelta(0)
        return min(LARGEST_TOLERANCE, self.shortest_period / 2 - timedelta(seconds=1))

    def is_tick(self, moment: datetime, tolerance: timedelta | None = None) -> bool:
        """Whether there is a tick at a moment, give or take ``tolerance`` (by default the cron's own)."""
        if self.problem is not None:
            return False
        within = self.tolerance if tolerance is None else tolerance
        try:
            moment = in_utc(moment)
            return self.next_after(moment - within - MICROSECOND) <= moment + within
        except (OverflowError, ValueError):
            return False

    def candidate_times(self, tick: datetime) -> tuple[datetime, ...]:
        """The moments at which another scheduler may fire what is ``tick`` here; first of all the tick itself.

        There is more than one only for a cron of certain hours in the hours in which clocks change: both passes of
        a time that autumn shows twice; and for a time that spring leaves out, also the moment of the change.
        """
        tick = in_utc(tick)
        if self._calendar.is_every_hour:
            return (tick,)
        wall = tick.astimezone(self._zone).replace(tzinfo=None, fold=0)
        others = [local_to_utc(wall, offset) for offset in offsets(wall, self._zone)]
        left_out = self._time_left_out(tick)
        others += [end_of_gap(left_out, self._zone)] if left_out is not None else []
        return tuple(dict.fromkeys((tick, *others)))

    def could_fire_at(self, moment: datetime) -> bool:
        """Whether a scheduler may have fired this cron at a moment, whatever it does where clocks change."""
        if self.is_tick(moment):
            return True
        try:
            return self.problem is None and self._is_other_reading(in_utc(moment))
        except (OverflowError, ValueError):
            return False

    def _is_other_reading(self, moment: datetime) -> bool:
        if self._calendar.is_every_hour:
            return False
        today = moment.astimezone(self._zone).date()
        if all(steady_offset(today + days * DAY, self._zone) is not None for days in (-1, 0, 1)):
            return False
        return any(
            abs(reading - moment) <= self.tolerance
            for tick in self.between(moment - DAY, moment + DAY)
            for reading in self.candidate_times(tick)
        )

    def _time_left_out(self, tick: datetime) -> datetime | None:
        """The wall time of a tick that comes later because spring leaves that time out."""
        now = tick.astimezone(self._zone)
        earlier = (tick - DAY).astimezone(self._zone)
        forward = (now.utcoffset() or timedelta()) - (earlier.utcoffset() or timedelta())
        wall = now.replace(tzinfo=None, fold=0) - forward
        before, after = offsets(wall, self._zone)
        return wall if forward > timedelta(0) and before < after and self._calendar.matches(wall) else None

    def _first_on(self, day: date, moment: datetime) -> datetime | None:
        """The first tick of a day after a moment."""
        if not self._calendar.has(day):
            return None
        offset = steady_offset(day, self._zone)
        if offset is None:
            return next((tick for tick in self._ticks_where_clocks_change(day) if tick > moment), None)
        midnight = local_to_utc(datetime.combine(day, time()), offset)
        minutes = self._calendar.minutes_of_day
        index = bisect_right(minutes, (moment - midnight) // MINUTE)
        return midnight + minutes[index] * MINUTE if index < len(minutes) else None

    def _last_on(self, day: date, moment: datetime) -> datetime | None:
        """The last tick of a day at or before a moment."""
        if not self._calendar.has(day):
            return None
        offset = steady_offset(day, self._zone)
        if offset is None:
            return max(
                (tick for tick in self._ticks_where_clocks_change(day) if tick <= moment), default=None
            )
        midnight = local_to_utc(datetime.combine(day, time()), offset)
        minutes = self._calendar.minutes_of_day
        index = bisect_left(minutes, (moment - midnight) // MINUTE + 1)
        return midnight + minutes[index - 1] * MINUTE if index > 0 else None

    def _ticks_where_clocks_change(self, day: date) -> list[datetime]:
        if day not in self._days_of_change:
            midnight = datetime.combine(day, time())
            walls = (midnight + minute * MINUTE for minute in self._calendar.minutes_of_day)
            self._days_of_change[day] = sorted({tick for wall in walls for tick in self._ticks_at(wall)})
        return self._days_of_change[day]

    def _ticks_at(self, wall: datetime) -> tuple[datetime, ...]:
        before, after = offsets(wall, self._zone)
        if not self._calendar.is_every_hour:
            return (local_to_utc(wall, min(before, after)),)
        return () if before < after else (local_to_utc(wall, before), local_to_utc(wall, after))

    @cached_property
    def _days_of_change(self) -> dict[date, list[datetime]]:
        """The ticks of the days on which clocks change, which take long to find."""
        return {}

    @cached_property
    def _zone(self) -> ZoneInfo:
        zone = zone_of(self.timezone)
        if zone is None:
            raise ValueError(f"cron {self} {self.problem}")
        return zone

    @cached_property
    def _calendar(self) -> Calendar:
        if self.problem is not None:
            raise ValueError(f"cron {self} {self.problem}")
        return calendar_of(self.expression)


def infer_timezone(
    expression: str, moments: Sequence[datetime], candidates: Sequence[str] = ()
) -> str | None:
    """The time zone in which a cron explains the moments at which it was fired, or None where none does.

    Tried are UTC, ``candidates``, well-known zones, then all there are; no more than the newest moments.
    """
    evidence = sorted(moments, reverse=True)[:MOST_EVIDENCE]
    if not evidence or calendar_problem(expression) is not None:
        return None
    others = sorted(available_timezones(), key=lambda name: ("/" not in name, name.startswith("Etc/"), name))
    for name in dict.fromkeys(("UTC", *candidates, *LIKELY_ZONES, *others)):
        cron = Cron(expression, name)
        if all(cron.could_fire_at(moment) for moment in evidence):
            return name
    return None
