"""The time after which the platform is asked nothing more: one for a whole examination."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_mics.api import Call, MicsTimeoutError
from airflow_provider_mics.api.errors import MicsConnectionError
from airflow_provider_mics.api.settings import ClientSettings


class TimeLimit:
    """A number of seconds from now on.

    It ends with the first request that may change something: what was created must be found and canceled.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return self._deadline - time.monotonic()

    def is_shorter_than(self, pause: float) -> bool:
        return pause > self.left

    @contextmanager
    def of_request(self, call: Call[Any], client: ClientSettings) -> Iterator[float]:
        """Cut the time-outs of a client to the rest, for one request; yield the rest.

        :raises MicsTimeoutError: the time is over, or the request took all of it
        """
        left = self.left
        if left <= 0:
            raise self._error(call)
        if call.method != "GET":
            self._deadline = float("inf")
        timeouts = client.connect_timeout, client.read_timeout
        if self.left < max(timeouts):
            client.connect_timeout, client.read_timeout = (min(each, left) for each in timeouts)
        try:
            yield self.left
        except (MicsConnectionError, TimeoutError):
            if self.left > 0:
                raise
            raise self._error(call) from None
        finally:
            client.connect_timeout, client.read_timeout = timeouts

    def _error(self, call: Call[Any]) -> MicsTimeoutError:
        return MicsTimeoutError(f"{call}: timed out: not done within {self._seconds:g} s")
