"""Read lists of a platform that is eventually consistent: it may not list yet what was created a moment ago."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from airflow_provider_mics.api.calls import Job, Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.outages import is_outage

SETTLING_TIME = timedelta(seconds=10)
"""How long the platform may take to list what it has created. An assumption: the vendor documents no such time."""
READ_INTERVAL = 2.0
"""Seconds between two reads of a list, or of a resource, that is not consistent yet."""


class Identified(Protocol):
    """A resource of the platform: it has an id."""

    @property
    def id(self) -> str: ...


T = TypeVar("T")
R = TypeVar("R", bound=Identified)


@flow
def read_until_consistent(
    listing: Job[T], is_consistent: Callable[[T], bool], *, wait_first: bool = False
) -> Steps[T]:
    """Repeat ``listing`` until ``is_consistent`` holds for its result, or until `SETTLING_TIME` is over.

    The last read *begins* after `SETTLING_TIME`: a response that arrives late shows the list as it was when the
    request was made. ``wait_first`` sleeps before the first read too, for a list that was read just now.

    :raises MicsError: whatever ``listing`` raises
    """
    settled_at = (yield Now()) + SETTLING_TIME
    if wait_first:
        yield Sleep(READ_INTERVAL)
    while True:
        read_at = yield Now()
        result = yield from listing
        if is_consistent(result) or read_at >= settled_at:
            return result
        yield Sleep(READ_INTERVAL)


@flow
def list_after_create(
    listing: Job[list[R]], created: R, label: str, *, raise_outages: bool = False
) -> Steps[list[R]]:
    """Read a list after creating a resource, to find duplicates of it; empty, with a log line, if that fails.

    A proxy may have delivered the request twice, or another client may have created the same at the same moment. A
    list that does not show ``created`` yet may not show its duplicate either, so it is read until it is consistent.
    ``label`` names the resource in the log line.

    :raises MicsError: an outage, with ``raise_outages``, for a caller that lists again later
    """
    try:
        return (yield from read_until_consistent(listing, lambda listed: contains(listed, created)))
    except MicsError as error:
        if raise_outages and is_outage(error):
            raise
        yield Log(f"Created {label}, but could not check for duplicates: {error}")
        return []


def contains(listed: list[R], resource: R) -> bool:
    """Whether a list shows the resource."""
    return any(each.id == resource.id for each in listed)


def unconfirmed_creation(label: str, error: MicsError) -> Log:
    """Return the log line for a request to create whose outcome is unknown."""
    return Log(
        f"Could not confirm whether {label} was created: {error}. Checking before a retry.", logging.WARNING
    )
