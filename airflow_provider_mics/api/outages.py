"""Waiting through an outage of the platform: what counts as one, how long to pause, and what to log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from airflow_provider_mics.api.calls import Job, Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsAuthError,
    MicsConnectionError,
    MicsError,
    MicsResponseError,
)

T = TypeVar("T")
SHORTEST_PAUSE = 2.0
"""Seconds before the first retry in an outage."""
LONGEST_BACKOFF = 300.0
"""Seconds: the longest pause between two requests in an outage."""
DEFAULT_SUBMISSION_TIMEOUT = timedelta(minutes=10)
"""How long an outage is tolerated within one try of a task."""


def is_outage(error: MicsError) -> bool:
    """Whether the platform is unreachable or unavailable, so that ``error`` says nothing about the resource.

    A response without the platform's wrapper is one too, whatever its status code: it is the page of a gateway, a
    proxy or a login. So is the refusal of a token that has worked until now.
    """
    if isinstance(error, MicsConnectionError):
        return error.retriable
    if isinstance(error, MicsApiError):
        if not error.from_platform or (isinstance(error, MicsAuthError) and error.is_temporary):
            return True
        is_error_in_success = 200 <= error.status_code < 300
        return is_error_in_success or error.status_code >= 500 or error.status_code in (408, 425, 429)
    return isinstance(error, MicsResponseError)


def backoff(poll_interval: float, failures: int, error: MicsError | None) -> float:
    """Return the seconds to pause after ``failures`` in a row: doubling, and at least the error's ``retry_after``."""
    retry_after = getattr(error, "retry_after", None) or 0.0
    doubling = poll_interval * 2.0 ** min(max(failures - 1, 0), 10)
    return max(poll_interval, min(doubling, LONGEST_BACKOFF), min(retry_after, LONGEST_BACKOFF))


class OutageLog:
    """Logs an outage in two lines: its beginning and its end. Counts the ``failures`` in a row."""

    def __init__(self) -> None:
        self.failures = 0
        self._since: datetime | None = None

    def failed(self, error: MicsError, now: datetime) -> Iterator[Log]:
        """Count a failed request; yield a line if it is the first in a row."""
        self.failures += 1
        if self._since is None:
            self._since = now
            yield Log(f"Platform unreachable: {error}. Still waiting.", logging.WARNING)

    def answered(self, now: datetime) -> Iterator[Log]:
        """Reset the count after a successful request; yield a line if it ends an outage."""
        self.failures = 0
        if self._since is not None:
            yield Log(f"Platform reachable again, after {readable(now - self._since)}.")
            self._since = None


def readable(duration: timedelta) -> str:
    """Return a duration for people: ``4 s``, ``3 min 20 s``, ``2 h 05 min``."""
    seconds = max(0, round(duration.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


@flow
def retry_through_outages(job: Job[T], give_up: datetime) -> Steps[T]:
    """Run an idempotent job, and run it again through an outage until ``give_up`` (UTC).

    :raises MicsError: an error that is no outage, at once; the outage's last error if it is not over by ``give_up``
    """
    outage = OutageLog()
    while True:
        try:
            result = yield from job
        except MicsError as error:
            yield from wait_out(error, outage, give_up)
        else:
            yield from outage.answered((yield Now()))
            return result


def wait_out(error: MicsError, outage: OutageLog, give_up: datetime) -> Steps[None]:
    """Pause before the next attempt in an outage.

    :raises MicsError: ``error``, if it is no outage, or if the pause would end after ``give_up`` (UTC)
    """
    if not is_outage(error):
        raise error
    now = yield Now()
    yield from outage.failed(error, now)
    pause = backoff(SHORTEST_PAUSE, outage.failures, error)
    if now + timedelta(seconds=pause) > give_up:
        raise error
    yield Sleep(pause)
