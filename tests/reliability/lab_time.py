"""Clocks that do not make tests wait: one that runs faster than the real one, and one that only sleep moves."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class LabTime:
    """``speed`` seconds of the laboratory pass in each real one.

    The sandbox must use the same speed, so that ten seconds of the client's stay twice five of the platform's.
    """

    def __init__(self, speed: float, now: datetime | None = None) -> None:
        self.speed = speed
        self._began = now or datetime.now(UTC)
        self._began_at = time.monotonic()

    def now(self) -> datetime:
        return self._began + timedelta(seconds=(time.monotonic() - self._began_at) * self.speed)

    def sleep(self, seconds: float) -> None:
        time.sleep(self.real(seconds))

    def real(self, seconds: float) -> float:
        """Real seconds in which so many of the laboratory pass."""
        return seconds / self.speed


class SkippedTime:
    """Time that passes only by being slept, however busy the machine is."""

    def __init__(self, now: datetime) -> None:
        self._began = self._now = now

    def reset(self) -> None:
        self._now = self._began

    def now(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
