"""Bearing an outage of the platform for a while, inside one try of a task."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeVar

from airflow_provider_mics.api.calls import Job, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.waiting import Outage, backoff, is_outage

T = TypeVar("T")
SHORTEST_PAUSE = 2.0
"""Seconds between two tries in an outage, at first."""


@flow
def through_outages(job: Job[T], give_up: datetime) -> Steps[T]:
    """What ``job`` gives, asked again through an outage until ``give_up`` (UTC). Only for jobs that may be repeated.

    :raises MicsError: what is no outage, at once; the outage's last error when it outlasts ``give_up``
    """
    outage = Outage()
    while True:
        try:
            result = yield from job
        except MicsError as error:
            yield from bear(error, outage, give_up)
        else:
            yield from outage.answered((yield Now()))
            return result


def bear(error: MicsError, outage: Outage, give_up: datetime) -> Steps[None]:
    """Wait out a moment of an outage; raise what is none, or what has lasted too long."""
    if not is_outage(error):
        raise error
    now = yield Now()
    yield from outage.failed(error, now)
    pause = backoff(SHORTEST_PAUSE, outage.failures, error)
    if now + timedelta(seconds=pause) > give_up:
        raise error
    yield Sleep(pause)
