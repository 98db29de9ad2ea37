"""The platform's own cron scheduler: one CRON execution for each tick of each ACTIVE instance.

The next tick of each instance is a column of its row, changed in the transaction that creates the execution, so that
a tick fires once whatever happens to the process. A tick that passes while the server is down is made up only within
a small grace.
"""

from __future__ import annotations

import asyncio

from airflow_provider_mics.sandbox.crons import next_tick_ms
from airflow_provider_mics.sandbox.instances import Instance
from airflow_provider_mics.sandbox.state import LocalPlatform

LONGEST_SLEEP_S = 1.0
DAY_MS = 86_400_000


class Scheduler:
    """Fires what is due, and sleeps until the next tick; `wake` it when anything changed."""

    def __init__(self, platform: LocalPlatform) -> None:
        self._platform = platform
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Look again: an instance, the clock or a quirk changed."""
        self._changed.set()

    async def run(self) -> None:
        """Go on until canceled."""
        self.skip_missed()
        while True:
            self._changed.clear()
            self.look()
            sleep_s = min(LONGEST_SLEEP_S, self._real_seconds_to_next_tick())
            try:
                await asyncio.wait_for(self._changed.wait(), sleep_s)
            except TimeoutError:
                continue

    def plan(self, instance: Instance) -> None:
        """Reckon the next tick of an instance anew, from now on."""
        tick_ms = self._tick_after(instance, self._platform.now_ms) if instance.is_scheduled else None
        self._platform.instances.update(instance.id, {"next_tick_ms": tick_ms})
        self.wake()

    def plan_all(self) -> None:
        """Reckon all next ticks anew: the time zone changed."""
        with self._platform.database.transaction():
            for instance in self._platform.instances.scheduled():
                self.plan(instance)

    def skip_missed(self) -> None:
        """Pass over the ticks that came while the server was down, but for the last few seconds."""
        quirks = self._platform.quirks
        grace_ms = int(quirks.missed_tick_grace_s * 1000 * max(1.0, self._platform.clock.speed))
        oldest_ms = self._platform.now_ms - int(quirks.platform_late_s * 1000) - grace_ms
        with self._platform.database.transaction():
            for instance in self._platform.instances.due(oldest_ms):
                tick_ms = self._tick_after(instance, oldest_ms)
                self._platform.instances.update(instance.id, {"next_tick_ms": tick_ms})

    def look(self) -> int:
        """Fire what is due now, and say how many executions were created."""
        until_ms = self._horizon_ms()
        return sum(self._fire(instance, until_ms) for instance in self._platform.instances.due(until_ms))

    def _horizon_ms(self) -> int:
        quirks = self._platform.quirks
        return self._platform.now_ms + int((quirks.creates_ahead_s - quirks.platform_late_s) * 1000)

    def _fire(self, instance: Instance, until_ms: int) -> int:
        """Create the executions of all ticks up to a moment. Of a clock that jumped, a day at most is made up."""
        created = 0
        tick_ms = instance.next_tick_ms
        if tick_ms is not None and tick_ms < until_ms - DAY_MS:
            tick_ms = self._tick_after(instance, until_ms - DAY_MS)
        with self._platform.database.transaction():
            while tick_ms is not None and tick_ms <= until_ms:
                if not self._platform.quirks.platform_silent:
                    created += self._create(instance, tick_ms)
                tick_ms = self._tick_after(instance, tick_ms)
            self._platform.instances.update(instance.id, {"next_tick_ms": tick_ms})
        return created

    def _create(self, instance: Instance, tick_ms: int) -> int:
        skips_planned = self._platform.quirks.skips_planned_ticks
        if self._platform.executions.has_tick(instance.id, tick_ms, by_anybody=skips_planned):
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
        lead_ms = self._horizon_ms() - self._platform.now_ms
        return self._platform.clock.real_seconds_until(tick_ms - lead_ms)
