"""What was last read of the platform, for all viewers: however many people look, the platform is asked once."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
S = TypeVar("S")
KEPT_FOR = 10.0
"""Seconds for which a state is shown without asking the platform again."""
SHOWN_FOR = 60.0
"""Seconds for which an older state is shown at once, while another one is being read."""
LONGEST_WAIT = 8.0
"""Seconds for which a viewer waits for a state where there is none, or none that is new enough."""
SHARE_OF_TIME = 0.2
"""The part of the time in which the platform may be asked: what takes long is read less often."""
MOST_KEPT = 200
"""States that are kept; the one that was asked for longest ago goes first."""
logger = logging.getLogger(__name__)


class SharedReadings(Generic[K, S]):
    """States by a key, each read in a thread, by one thread at a time.

    :param read: reads a state anew, from the last one or None; an outage of the platform is part of the state
    """

    def __init__(self, read: Callable[[K, S | None], S], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._readings: OrderedDict[K, _Reading[S]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> S | None:
        """Return the state; None if it is being read for the first time, and takes long."""
        return self._reading(key).get()

    def expire(self, key: K) -> None:
        """Have the next viewer wait for a new state: something was changed."""
        self._reading(key).expire()

    def _reading(self, key: K) -> _Reading[S]:
        with self._lock:
            if key not in self._readings:
                self._readings[key] = _Reading(lambda state: self._read(key, state), self._clock)
                if len(self._readings) > MOST_KEPT:
                    self._readings.popitem(last=False)
            self._readings.move_to_end(key)
            return self._readings[key]


class _Reading(Generic[S]):
    def __init__(self, read: Callable[[S | None], S], clock: Callable[[], float]) -> None:
        self._read, self._clock = read, clock
        self._condition = threading.Condition()
        self._state: S | None = None
        self._began_at = self._ended_at = self._expired_at = float("-inf")
        self._is_reading = False

    def get(self) -> S | None:
        with self._condition:
            if not self._is_new and not self._is_reading:
                self._is_reading = True
                threading.Thread(target=self._run, name="mics-page-reading", daemon=True).start()
            self._condition.wait_for(lambda: self._may_be_shown or not self._is_reading, LONGEST_WAIT)
            return self._state

    def expire(self) -> None:
        with self._condition:
            self._expired_at = self._clock()

    @property
    def _is_new(self) -> bool:
        if self._state is None or self._began_at < self._expired_at:
            return False
        kept_for = max(KEPT_FOR, (self._ended_at - self._began_at) / SHARE_OF_TIME)
        return self._clock() - self._ended_at < kept_for

    @property
    def _may_be_shown(self) -> bool:
        is_recent = self._clock() - self._ended_at < SHOWN_FOR
        return self._state is not None and self._began_at >= self._expired_at and is_recent

    def _run(self) -> None:
        is_done = False
        while not is_done:
            with self._condition:
                began_at, state = self._clock(), self._state
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
