"""Times in which the server refuses connections, as one does that is down, without ending its process."""

from __future__ import annotations

from collections.abc import Callable


class Outages:
    """Lets a fault that lies inside the application take the server around it off the network."""

    def __init__(self) -> None:
        self._go_away: Callable[[float], None] | None = None

    def happen_by(self, go_away: Callable[[float], None]) -> None:
        """Say how the server goes away for real seconds: it resets its connections and takes no new ones."""
        self._go_away = go_away

    def begin(self, seconds: float) -> None:
        """Go away for real seconds."""
        if self._go_away is not None:
            self._go_away(seconds)
