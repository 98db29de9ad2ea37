"""Waiting for the end of an execution, and telling the story of it in a log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from airflow_provider_mics.api.calls import Job, Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsConnectionError,
    MicsError,
    MicsResponseError,
)

LONGEST_BACKOFF = 300.0

"""Seconds between two questions to a platform that does not answer."""


def is_outage(error: MicsError) -> bool:
    """Whether ``error`` says nothing of the execution, only that the platform cannot be asked just now."""
    if isinstance(error, MicsConnectionError):
        return error.retriable
    if isinstance(error, MicsApiError):
        refused_with_success = 200 <= error.status_code < 300
        return refused_with_success or error.status_code >= 500 or error.status_code in (408, 425, 429)
    return isinstance(error, MicsResponseError)


def backoff(poll_interval: float, failures: int, error: MicsError | None) -> float:
    """Seconds until the next question after ``failures`` in a row: doubling, and as long as the platform asks."""
    asked_for = getattr(error, "retry_after", None) or 0.0
    doubling = poll_interval * 2.0 ** min(max(failures - 1, 0), 10)
    return max(poll_interval, min(doubling, LONGEST_BACKOFF), min(asked_for, LONGEST_BACKOFF))


class OutageLog:
    """Tells an outage in two lines: that it began, and that it is over."""

    def __init__(self) -> None:
        self.failures = 0
        self._since: datetime | None = None

    def failed(self, error: MicsError, now: datetime) -> Iterator[Log]:
        self.failures += 1
        if self._since is None:
            self._since = now
            yield Log(f"The platform cannot be asked: {error}. Waiting on.", logging.WARNING)

    def answered(self, now: datetime) -> Iterator[Log]:
        self.failures = 0
        if self._since is not None:
            yield Log(f"The platform answers again, after {readable(now - self._since)}.")
            self._since = None


def readable(duration: timedelta) -> str:
    """A duration for people: ``4 s``, ``3 min 20 s``, ``2 h 05 min``."""
    seconds = max(0, round(duration.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


T = TypeVar("T")

DEFAULT_SUBMISSION_TIMEOUT = timedelta(minutes=10)
"""How long an outage is tolerated within one try of a task."""

SHORTEST_PAUSE = 2.0

"""Seconds between two tries in an outage, at first."""


@flow
def retry_through_outages(job: Job[T], give_up: datetime) -> Steps[T]:
    """What ``job`` gives, asked again through an outage until ``give_up`` (UTC). Only for jobs that may be repeated.

    :raises MicsError: what is no outage, at once; the outage's last error when it outlasts ``give_up``
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
    """Wait out a moment of an outage; raise what is none, or what has lasted too long."""
    if not is_outage(error):
        raise error
    now = yield Now()
    yield from outage.failed(error, now)
    pause = backoff(SHORTEST_PAUSE, outage.failures, error)
    if now + timedelta(seconds=pause) > give_up:
        raise error
    yield Sleep(pause)
