"""When to look next: once per interval, soon after somebody joins, later while the platform must be given a rest."""

from __future__ import annotations

import math

GATHERING = 1.0
"""Seconds from the first newcomer to the look, so that many who come together cost one look."""
SPACING = 5.0
"""Seconds at least between two looks, where newcomers keep coming."""


class Schedule:
    """All times are the event loop's, in seconds."""

    def __init__(self) -> None:
        self._looked_at: float | None = None
        self._rests_until = -math.inf
        self._newcomer_at: float | None = None

    def someone_joined(self, now: float) -> bool:
        """Whether this makes the next look due earlier: it is the first newcomer since the last look."""
        if self._newcomer_at is not None:
            return False
        self._newcomer_at = now
        return True

    def look_begins(self) -> None:
        """All who have joined so far are looked at."""
        self._newcomer_at = None

    def look_ended(self, now: float, rest: float = 0.0) -> None:
        """``rest``: seconds in which nobody is to look."""
        self._looked_at = now
        self._rests_until = now + rest

    def due(self, interval: float) -> float:
        """When to look, if all stays as it is."""
        looked_at = -math.inf if self._looked_at is None else self._looked_at
        due = math.inf if self._looked_at is None else looked_at + interval
        if self._newcomer_at is not None:
            gathered = self._newcomer_at + min(GATHERING, interval)
            due = min(due, max(gathered, looked_at + min(SPACING, interval)))
        return max(due, self._rests_until)
