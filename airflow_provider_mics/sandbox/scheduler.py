"""The platform's own cron scheduler: it creates one CRON execution for each tick of each ACTIVE instance.

The next tick of an instance is a column of its row. It changes in the transaction that creates the execution, so a tick
fires once even if the process is killed. A tick that passes while the server is down is made up only within a short
grace period.

The crons are five-field Unix crons in a time zone. When the clocks change, they fire as in Vixie cron. A cron with a
fixed hour fires once every day: an hour that does not exist is replaced by one later by the length of the gap. A cron
whose hour begins with a star fires whenever the local time matches: not in the hour that does not exist, and twice in
the hour that occurs twice. This evaluator shares no code with the one that the provider uses for the same crons, so
that each checks the other.
"""

from __future__ import annotations

import asyncio
import functools
import re
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from croniter import croniter

from airflow_provider_mics.sandbox.instances import Instance
from airflow_provider_mics.sandbox.state import PlatformState

LONGEST_SLEEP_S = 1.0
DAY_MS = 86_400_000

RepeatedHour = Literal["first", "second"]

MONTHS_AND_WEEKDAYS = re.compile(
    r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)\b", re.IGNORECASE
)
NUMERIC_FIELD = re.compile(r"[\d*,/-]+")
MAX_CLOCK_CHANGES = 100
MAX_WALL_TIMES = 24 * 60 * 3
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


class Scheduler:
    """Fires due ticks and sleeps until the next one. Call `wake` after any change."""

    def __init__(self, platform: PlatformState) -> None:
        self._platform = platform
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Check for due ticks now: an instance, the clock or a quirk has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Run until the task is canceled."""
        self.skip_missed()
        while True:
            self._changed.clear()
            self.fire_due()
            sleep_s = min(LONGEST_SLEEP_S, self._real_seconds_to_next_tick())
            try:
                await asyncio.wait_for(self._changed.wait(), sleep_s)
            except TimeoutError:
                continue

    def set_next_tick(self, instance: Instance) -> None:
        """Compute the next tick of an instance from now on."""
        tick_ms = self._tick_after(instance, self._platform.now_ms) if instance.is_scheduled else None
        self._platform.instances.update(instance.id, next_tick_ms=tick_ms)
        self.wake()

    def set_all_next_ticks(self) -> None:
        """Compute all next ticks again: the time zone has changed."""
        with self._platform.database.transaction():
            for instance in self._platform.instances.scheduled():
                self.set_next_tick(instance)

    def skip_missed(self) -> None:
        """Skip the ticks that passed while the server was down, except those within the grace period."""
        quirks = self._platform.quirks
        grace_ms = int(quirks.missed_tick_grace_s * 1000 * max(1.0, self._platform.clock.speed))
        oldest_ms = self._platform.now_ms - int(quirks.platform_late_s * 1000) - grace_ms
        with self._platform.database.transaction():
            for instance in self._platform.instances.due(oldest_ms):
                tick_ms = self._tick_after(instance, oldest_ms)
                self._platform.instances.update(instance.id, next_tick_ms=tick_ms)

    def fire_due(self) -> int:
        """Create the executions that are due and return their number."""
        until_ms = self._platform.now_ms + self._lead_ms()
        return sum(self._fire(instance, until_ms) for instance in self._platform.instances.due(until_ms))

    def _lead_ms(self) -> int:
        """How long before a tick its execution is created, negative if after."""
        quirks = self._platform.quirks
        return int((quirks.creates_ahead_s - quirks.platform_late_s) * 1000)

    def _fire(self, instance: Instance, until_ms: int) -> int:
        """Create the executions of an instance's ticks up to a time, of the last day at most."""
        created = 0
        tick_ms = instance.next_tick_ms
        if tick_ms is not None and tick_ms < until_ms - DAY_MS:
            tick_ms = self._tick_after(instance, until_ms - DAY_MS)
        with self._platform.database.transaction():
            while tick_ms is not None and tick_ms <= until_ms:
                if not self._platform.quirks.platform_silent:
                    created += self._create(instance, tick_ms)
                tick_ms = self._tick_after(instance, tick_ms)
            self._platform.instances.update(instance.id, next_tick_ms=tick_ms)
        return created

    def _create(self, instance: Instance, tick_ms: int) -> int:
        skips_planned = self._platform.quirks.skips_planned_ticks
        if self._platform.executions.has_tick(instance.id, tick_ms, any_creator=skips_planned):
            return 0
        self._platform.create_execution(instance, "CRON", tick_ms, created_by="scheduler")
        return 1

    def _tick_after(self, instance: Instance, after_ms: int) -> int | None:
        if instance.cron is None:
            return None
        platform = self._platform
        return next_tick_ms(instance.cron, platform.timezone, after_ms, platform.quirks.repeated_hour)

    def _real_seconds_to_next_tick(self) -> float:
        tick_ms = self._platform.instances.earliest_tick_ms()
        if tick_ms is None:
            return LONGEST_SLEEP_S
        return self._platform.clock.real_seconds_until(tick_ms - self._lead_ms())


def is_valid_cron(cron: str) -> bool:
    """Whether a text is a plain five-field cron that fires at some time."""
    return cron_problem(cron) is None


@functools.lru_cache(maxsize=4096)
def cron_problem(cron: str) -> str | None:
    """Return why a cron is invalid, as the end of a sentence that begins with "cron", or None."""
    fields = cron.split()
    if len(fields) != 5:
        return "must have five fields (minute hour day month weekday)"
    if not all(NUMERIC_FIELD.fullmatch(MONTHS_AND_WEEKDAYS.sub("1", field)) for field in fields):
        return "must have numbers, names and the signs * , - / in its five fields only"
    if not croniter.is_valid(cron):
        return "must have in each of its five fields values that the field can have"
    if _next_wall_time(cron, datetime(2024, 1, 1, tzinfo=UTC)) is None:
        return "must fire some day: none of its months has such a day"
    return None


def next_tick_ms(
    cron: str, timezone: ZoneInfo, after_ms: int, repeated_hour: RepeatedHour = "first"
) -> int | None:
    """Return the first tick after a time, both in epoch milliseconds, or None if the cron is invalid.

    :param repeated_hour: which of two hours of the same name in autumn a fixed hour fires in
    """
    if not is_valid_cron(cron):
        return None
    after = datetime.fromtimestamp(after_ms / 1000, UTC)
    if cron.split()[1].startswith("*"):
        tick = _next_of_starred_hour(cron, timezone, after)
    else:
        tick = _next_of_fixed_hour(cron, timezone, after, fold=int(repeated_hour == "second"))
    return None if tick is None else int(tick.timestamp()) * 1000


def _next_wall_time(cron: str, wall: datetime) -> datetime | None:
    """Return the first match after a local time. Local times are labelled UTC here, so that no time zone applies."""
    try:
        match: datetime = croniter(cron, wall).get_next(datetime)
    except ValueError:
        return None
    return match


def _next_of_fixed_hour(cron: str, timezone: ZoneInfo, after: datetime, fold: int) -> datetime | None:
    # Two hours early, since the local time may be in the first or in the second of two hours of the same name.
    wall: datetime | None = after.astimezone(timezone).replace(tzinfo=UTC) - timedelta(hours=2)
    for _ in range(MAX_WALL_TIMES):
        wall = wall and _next_wall_time(cron, wall)
        if wall is None:
            return None
        tick = _local_to_utc(wall, timezone, fold)
        if tick > after:
            return tick
    return None


def _local_to_utc(wall: datetime, timezone: ZoneInfo, fold: int) -> datetime:
    """Convert a local time to UTC. One that does not exist has the offset from before the change of the clocks."""
    moment = wall.replace(tzinfo=timezone, fold=fold).astimezone(UTC)
    if moment.astimezone(timezone).replace(tzinfo=UTC) == wall:
        return moment
    return wall.replace(tzinfo=timezone, fold=0).astimezone(UTC)


def _next_of_starred_hour(cron: str, timezone: ZoneInfo, after: datetime) -> datetime | None:
    since, offset = after, _offset_at(after, timezone)
    for _ in range(MAX_CLOCK_CHANGES):
        wall = _next_wall_time(cron, after + offset)
        if wall is None:
            return None
        tick = wall - offset
        if _offset_at(tick, timezone) == offset:
            return tick
        since = _next_clock_change(since, tick, timezone)
        after, offset = since - SECOND, _offset_at(since, timezone)
    return None


def _offset_at(moment: datetime, timezone: ZoneInfo) -> timedelta:
    return moment.astimezone(timezone).utcoffset() or timedelta()


def _next_clock_change(start: datetime, end: datetime, timezone: ZoneInfo) -> datetime:
    """Return the first minute in (start, end] with another offset than ``start``. There must be one."""
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
