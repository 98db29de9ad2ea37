"""Create a resource that has a natural key only if it does not exist yet, also when several tasks do so at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar

from airflow_provider_mics.api.calls import Call, Job, Log, Now, Steps, flow
from airflow_provider_mics.api.errors import MicsApiError, MicsError, MicsNotFoundError
from airflow_provider_mics.api.eventual_consistency import (
    Identified,
    contains,
    list_after_create,
    read_until_consistent,
    unconfirmed_creation,
)
from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.api.outages import (
    DEFAULT_SUBMISSION_TIMEOUT,
    OutageLog,
    is_outage,
    retry_through_outages,
    wait_out,
)

R = TypeVar("R", bound=Identified)
IfExists = Literal["update", "skip", "fail"]
IF_EXISTS: tuple[IfExists, ...] = ("update", "skip", "fail")
_ALREADY_EXISTS_WORDS = ("exist", "already", "duplicate", "unique")


@dataclass(frozen=True)
class EnsureResult(Generic[R]):
    """A resource as it is now, and whether it was created, found as wanted, or updated."""

    resource: R
    outcome: Literal["created", "found", "updated"]


@dataclass(frozen=True)
class ResourceSpec(Generic[R]):
    """How to find the resources of a natural key, and how to create one.

    ``label`` names it in log lines. ``delete`` removes a duplicate that was just created; None where the platform's
    API cannot delete it.
    """

    label: str
    find: Job[list[R]]
    create: Job[R]
    delete: Callable[[str], Call[None]] | None = None


@flow
def find_or_create(
    spec: ResourceSpec[R],
    submission_timeout: timedelta = DEFAULT_SUBMISSION_TIMEOUT,
    *,
    is_retry: bool = False,
) -> Steps[EnsureResult[R]]:
    """Find the one resource of a natural key, or create it if it does not exist.

    A resource created by a request whose response was lost counts as created. Of several, the oldest is used, so two
    tasks that create at the same time end with the same resource. The try before a retry may have ended right after
    its request, so a retry reads the list until it has settled.

    :param submission_timeout: how long an outage of the platform is tolerated
    :raises MicsApiError: the platform rejected the creation, and the resource does not exist either
    :raises MicsError: the outage outlasted ``submission_timeout``
    """
    give_up_at = (yield Now()) + submission_timeout
    found = yield from retry_through_outages(_find_until_settled(spec) if is_retry else spec.find, give_up_at)
    if found:
        return EnsureResult((yield from _choose_oldest(spec, found)), "found")
    outage = OutageLog()
    while True:
        try:
            created = yield from spec.create
        except MicsError as error:
            if is_outage(error):
                yield unconfirmed_creation(spec.label, error)
            found = yield from retry_through_outages(_find_after_failure(spec, error), give_up_at)
            if found:
                is_ours = is_outage(error) or outage.failures > 0
                chosen = yield from _choose_oldest(spec, found)
                return EnsureResult(chosen, "created" if is_ours else "found")
            yield from wait_out(error, outage, give_up_at)
        else:
            return (yield from _check_for_duplicates(spec, created))


def oldest(resources: Sequence[R]) -> R:
    """Return the resource created first; ids decide where the platform does not show the creation date.

    :raises ValueError: there is none
    """
    return min(resources, key=lambda each: (_created_ms(each), len(each.id), each.id))


def _created_ms(resource: Any) -> int:
    moment = getattr(resource, "creation_ts", None)
    return milliseconds(moment) if moment else 0


def is_already_exists_error(error: MicsError) -> bool:
    """Whether a rejected creation suggests that the resource exists already."""
    if not isinstance(error, MicsApiError) or not error.from_platform:
        return False
    words = f"{error.message} {error.error_code or ''}".lower()
    return error.status_code == 409 or (
        error.status_code in (400, 422) and any(word in words for word in _ALREADY_EXISTS_WORDS)
    )


def _find_until_settled(spec: ResourceSpec[R]) -> Job[list[R]]:
    return read_until_consistent(spec.find, bool)


def _find_after_failure(spec: ResourceSpec[R], error: MicsError) -> Job[list[R]]:
    """Search after a failed creation: until the list has settled if the resource may exist, else once."""
    may_exist = is_outage(error) or is_already_exists_error(error)
    return _find_until_settled(spec) if may_exist else spec.find


def _choose_oldest(spec: ResourceSpec[R], found: Sequence[R]) -> Steps[R]:
    chosen = oldest(found)
    if len(found) > 1:
        ids = ", ".join(each.id for each in found)
        yield Log(
            f"Found duplicates of {spec.label} ({ids}): using the oldest, {chosen.id}.", logging.WARNING
        )
    return chosen


@flow
def _check_for_duplicates(spec: ResourceSpec[R], created: R) -> Steps[EnsureResult[R]]:
    """Search for duplicates after creating; if the new resource is not the oldest, delete it and use the oldest."""
    listed = yield from list_after_create(spec.find, created, f"{spec.label} as {created.id}")
    if not contains(listed, created):
        listed = [*listed, created]
    first = oldest(listed)
    if first.id == created.id:
        yield from _choose_oldest(spec, listed)
        return EnsureResult(created, "created")
    yield Log(f"{created.id} is a duplicate of {spec.label}: using the oldest, {first.id}.", logging.WARNING)
    yield from _delete_duplicate(spec, created)
    return EnsureResult(first, "found")


def _delete_duplicate(spec: ResourceSpec[R], duplicate: R) -> Steps[None]:
    if spec.delete is None:
        yield Log(
            f"Could not delete the duplicate {duplicate.id}: the platform's API has no request for it.",
            logging.WARNING,
        )
        return
    try:
        yield from spec.delete(duplicate.id)
        yield Log(f"Deleted the duplicate {duplicate.id}.")
    except MicsNotFoundError:
        pass
    except MicsError as error:
        yield Log(
            f"Could not delete the duplicate {duplicate.id}; delete it manually: {error}", logging.ERROR
        )
