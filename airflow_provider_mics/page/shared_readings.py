"""What was last read of the platform, for all viewers: however many people look, the platform is asked once."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
S = TypeVar("S")
KEPT_FOR = 10.0
"""Seconds for which a state is shown without asking the platform again."""
SHOWN_FOR = 60.0
"""Seconds for which an older state is shown at once, while another one is being read; longer where that takes long."""
LONGEST_WAIT = 8.0
"""Seconds for which a viewer waits for states where there are none, or none that are new enough."""
SHARE_OF_TIME = 0.2
"""The part of the time in which the platform may be asked: what takes long is read less often."""
MOST_KEPT = 200
"""States that are kept; the one that was asked for longest ago goes first."""
logger = logging.getLogger(__name__)


class SharedReadings(Generic[K, S]):
    """States by a key, each read in a thread, by one thread at a time.

    :param read: reads a state anew, from the last one or None; an outage of the platform is part of the state
    :param outdated: returns, for `read`, a state since which something was changed; by default the state itself
    """

    def __init__(
        self,
        read: Callable[[K, S | None], S],
        clock: Callable[[], float] = time.monotonic,
        outdated: Callable[[S], S] = lambda state: state,
    ) -> None:
        self._read = read
        self._clock = clock
        self._outdated = outdated
        self._readings: OrderedDict[K, _Reading[S]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> S | None:
        """Return the state; None if it is being read for the first time, and takes long."""
        return self.get_all([key])[key]

    def get_all(self, keys: Iterable[K]) -> dict[K, S | None]:
        """Return several states, as `get`. They are read at the same time, and waited for as long as one."""
        readings = {key: self._reading(key) for key in keys}
        for reading in readings.values():
            reading.begin()
        give_up_at = time.monotonic() + LONGEST_WAIT
        return {key: reading.get(give_up_at) for key, reading in readings.items()}

    def expire(self, key: K) -> None:
        """Have the next viewer wait for a new state: something was changed."""
        self._reading(key).expire()

    def _reading(self, key: K) -> _Reading[S]:
        with self._lock:
            if key not in self._readings:
                self._readings[key] = _Reading(
                    lambda state: self._read(key, state), self._clock, self._outdated
                )
                if len(self._readings) > MOST_KEPT:
                    self._readings.popitem(last=False)
            self._readings.move_to_end(key)
            return self._readings[key]


class _Reading(Generic[S]):
    def __init__(
        self, read: Callable[[S | None], S], clock: Callable[[], float], outdated: Callable[[S], S]
    ) -> None:
        self._read, self._clock, self._outdated = read, clock, outdated
        self._condition = threading.Condition()
        self._state: S | None = None
        self._began_at = self._ended_at = self._expired_at = float("-inf")
        self._is_reading = False

    def begin(self) -> None:
        """Begin to read a new state, unless the last one is new."""
        with self._condition:
            if not self._is_new and not self._is_reading:
                self._is_reading = True
                threading.Thread(target=self._run, name="mics-page-reading", daemon=True).start()

    def get(self, give_up_at: float) -> S | None:
        """Return the state, waiting for one that may be shown until a moment of the monotonic clock."""
        with self._condition:
            longest_wait = max(0.0, give_up_at - time.monotonic())
            self._condition.wait_for(lambda: self._may_be_shown or not self._is_reading, longest_wait)
            return self._state

    def expire(self) -> None:
        with self._condition:
            self._expired_at = self._clock()

    @property
    def _is_new(self) -> bool:
        if self._state is None or self._began_at < self._expired_at:
            return False
        return self._clock() - self._ended_at < self._kept_for

    @property
    def _took(self) -> float:
        return self._ended_at - self._began_at

    @property
    def _kept_for(self) -> float:
        return max(KEPT_FOR, self._took / SHARE_OF_TIME)

    @property
    def _may_be_shown(self) -> bool:
        # While the next reading takes as long as the last one, or twice as long.
        shown_for = max(SHOWN_FOR, self._kept_for + 2 * self._took)
        is_recent = self._clock() - self._ended_at < shown_for
        return self._state is not None and self._began_at >= self._expired_at and is_recent

    def _run(self) -> None:
        is_done = False
        while not is_done:
            with self._condition:
                began_at, state = self._clock(), self._state
                if state is not None and self._began_at < self._expired_at:
                    state = self._outdated(state)
            try:
                state = self._read(state)
            except Exception:
                logger.exception("The platform's state could not be read.")
            with self._condition:
                self._state, self._began_at, self._ended_at = state, began_at, self._clock()
                # What was changed meanwhile may be missing in it.
                is_done = began_at >= self._expired_at
                self._is_reading = not is_done
                self._condition.notify_all()
