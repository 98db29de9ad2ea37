"""The platform's clock, which can be faster than the real one, have an offset, and jump."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def real_ms() -> float:
    """Return the machine's time in epoch milliseconds, with fractions: a fast platform clock multiplies them."""
    return time.time_ns() / 1_000_000


class Clock:
    """The platform's time in epoch milliseconds.

    It is computed from an anchor (a time of the real clock and the platform's time then), so it continues while the
    process is down. To restore a clock after a restart, save `anchor` and set it again.
    """

    def __init__(self, speed: float = 1.0, read_real_ms: Callable[[], float] = real_ms) -> None:
        self._read_real_ms = read_real_ms
        self._real_anchor_ms = read_real_ms()
        self._platform_anchor_ms = float(self._real_anchor_ms)
        self._speed = speed
        self.offset_ms = 0

    @property
    def speed(self) -> float:
        """Platform seconds per real second."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._move_anchor_to_now()
        self._speed = speed

    @property
    def now_ms(self) -> int:
        """The platform's time in epoch milliseconds."""
        passed = (self._read_real_ms() - self._real_anchor_ms) * self._speed
        return int(self._platform_anchor_ms + passed) + self.offset_ms

    def jump(self, by_ms: int) -> None:
        """Set the clock forward, or back if ``by_ms`` is negative."""
        self._platform_anchor_ms += by_ms

    def real_seconds_until(self, platform_ms: int) -> float:
        """Return the real seconds until this clock shows a time, 0 if that is in the past."""
        return max(0.0, (platform_ms - self.now_ms) / 1000 / self._speed)

    @property
    def anchor(self) -> dict[str, Any]:
        """The JSON object to save and restore this clock with."""
        return {
            "real_ms": self._real_anchor_ms,
            "platform_ms": self._platform_anchor_ms,
            "speed": self._speed,
        }

    @anchor.setter
    def anchor(self, saved: dict[str, Any]) -> None:
        self._real_anchor_ms = saved["real_ms"]
        self._platform_anchor_ms = saved["platform_ms"]
        self._speed = saved["speed"]

    def _move_anchor_to_now(self) -> None:
        self._platform_anchor_ms = float(self.now_ms - self.offset_ms)
        self._real_anchor_ms = self._read_real_ms()
