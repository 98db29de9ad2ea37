"""The platform's clock: it can run faster than the real one, stand apart from it and jump."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def real_ms() -> float:
    """Epoch milliseconds of the machine's own clock, as finely as it goes: a fast clock here multiplies them."""
    return time.time_ns() / 1_000_000


class Clock:
    """Epoch milliseconds as the platform sees them.

    It is reckoned from an anchor (a real moment and the platform's moment then), so that it goes on while the
    process is down: whoever keeps `anchor` and gives it back has the same clock again.
    """

    def __init__(self, speed: float = 1.0, read_real_ms: Callable[[], float] = real_ms) -> None:
        self._read_real_ms = read_real_ms
        self._real_anchor_ms = read_real_ms()
        self._platform_anchor_ms = float(self._real_anchor_ms)
        self._speed = speed
        self.offset_ms = 0

    @property
    def speed(self) -> float:
        """Platform seconds in each real second."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._anchor_here()
        self._speed = speed

    @property
    def now_ms(self) -> int:
        """Epoch milliseconds on the platform."""
        passed = (self._read_real_ms() - self._real_anchor_ms) * self._speed
        return int(self._platform_anchor_ms + passed) + self.offset_ms

    def jump(self, by_ms: int) -> None:
        """Set the clock forward, or backward where ``by_ms`` is negative."""
        self._platform_anchor_ms += by_ms

    def real_seconds_until(self, moment_ms: int) -> float:
        """How long a real clock takes until this one shows ``moment_ms``; 0 where it is past."""
        return max(0.0, (moment_ms - self.now_ms) / 1000 / self._speed)

    @property
    def anchor(self) -> dict[str, Any]:
        """What must be kept to have the same clock after a restart."""
        return {
            "real_ms": self._real_anchor_ms,
            "platform_ms": self._platform_anchor_ms,
            "speed": self._speed,
        }

    @anchor.setter
    def anchor(self, kept: dict[str, Any]) -> None:
        self._real_anchor_ms = kept["real_ms"]
        self._platform_anchor_ms = kept["platform_ms"]
        self._speed = kept["speed"]

    def _anchor_here(self) -> None:
        self._platform_anchor_ms = float(self.now_ms - self.offset_ms)
        self._real_anchor_ms = self._read_real_ms()
