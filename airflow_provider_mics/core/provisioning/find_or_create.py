"""Creating what has a natural key only where it is not there yet, however often and by however many it is asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Literal, Protocol, TypeVar

from airflow_provider_mics.api.calls import Call, Job, Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsApiError, MicsError, MicsNotFoundError
from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.api.outages import OutageLog, is_outage, retry_through_outages, wait_out


class Identified(Protocol):
    """A resource of the platform: it has an id."""

    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=Identified)


IfExists = Literal["update", "skip", "fail"]

IF_EXISTS: tuple[IfExists, ...] = ("update", "skip", "fail")

PATIENCE = timedelta(minutes=10)

"""How long an outage of the platform is borne inside one try of a task."""

SETTLING = timedelta(seconds=10)

"""How long the platform may take to show in its lists what it has created; nothing is created twice before that."""

LOOK_INTERVAL = 2.0

"""Seconds between two looks while settling."""

_EXISTS_WORDS = ("exist", "already", "duplicate", "unique")


@dataclass(frozen=True)
class EnsureResult(Generic[R]):
    """A resource as it is now, and what was done to have it so."""

    resource: R
    how: Literal["created", "found", "updated"]


@dataclass(frozen=True)
class ResourceSpec(Generic[R]):
    """How the resource of a natural key is looked for, and made where it is missing.

    ``delete`` is for a surplus one that was made just now; None where the platform's API cannot delete it.
    """

    name: str
    look: Job[list[R]]
    create: Job[R]
    delete: Callable[[str], Call[None]] | None = None


@flow
def find_or_create(
    recipe: ResourceSpec[R], patience: timedelta = PATIENCE, *, is_retry: bool = False
) -> Steps[EnsureResult[R]]:
    """The one resource of a natural key: found, or created where it is not there.

    What was made by an answer that got lost counts as created. Of several, the oldest is the one that everybody
    goes on with, so two that create at once end with the same. The try before a retry may have died right after its
    request, so a retry looks until the platform has had the time to show what that one made.

    :raises MicsApiError: the platform refuses to create it, and it does not exist either
    :raises MicsError: an outage outlasted ``patience``
    """
    give_up = (yield Now()) + patience
    looking = _look_until_settled(recipe) if is_retry else recipe.look
    found = yield from retry_through_outages(looking, give_up)
    if found:
        return EnsureResult((yield from _oldest_of(recipe, found)), "found")
    outage = OutageLog()
    while True:
        try:
            made = yield from recipe.create
        except MicsError as error:
            if is_outage(error):
                yield Log(
                    f"Whether the platform created {recipe.name} is not known: {error}. Looking for it.",
                    logging.WARNING,
                )
            found = yield from retry_through_outages(_look_after(recipe, error), give_up)
            if found:
                is_ours = is_outage(error) or outage.failures > 0
                chosen = yield from _oldest_of(recipe, found)
                return EnsureResult(chosen, "created" if is_ours else "found")
            yield from wait_out(error, outage, give_up)
        else:
            return (yield from _without_twin(recipe, made))


def oldest(resources: Sequence[R]) -> R:
    """The one created first; ids decide where the platform does not say when."""
    return min(resources, key=lambda each: (_created(each), len(each.id), each.id))


def _created(resource: Any) -> int:
    moment = getattr(resource, "creation_ts", None)
    return milliseconds(moment) if moment else 0


def _oldest_of(recipe: ResourceSpec[R], found: Sequence[R]) -> Steps[R]:
    chosen = oldest(found)
    if len(found) > 1:
        ids = ", ".join(each.id for each in found)
        yield Log(
            f"The platform has {len(found)} of {recipe.name} ({ids}): going on with {chosen.id}.",
            logging.WARNING,
        )
    return chosen


def says_it_exists(error: MicsError) -> bool:
    """Whether a refusal to create sounds as if the resource were there already."""
    if not isinstance(error, MicsApiError):
        return False
    words = f"{error.message} {error.error_code or ''}".lower()
    return error.status_code == 409 or (
        error.status_code in (400, 422) and any(word in words for word in _EXISTS_WORDS)
    )


def _look_after(recipe: ResourceSpec[R], error: MicsError) -> Job[list[R]]:
    """Look again after a failure to create: for a while where it may be there, once where it hardly is."""
    may_be_there = is_outage(error) or says_it_exists(error)
    return _look_until_settled(recipe) if may_be_there else recipe.look


@flow
def _look_until_settled(recipe: ResourceSpec[R], made: R | None = None) -> Steps[list[R]]:
    """Look again until one shows, or just the one that was ``made``, or the platform has had its time to show it.

    The last look *begins* after that time: an answer that comes late tells of the moment it was made for.
    """
    settled = (yield Now()) + SETTLING
    while True:
        looked_at = yield Now()
        found = yield from recipe.look
        is_shown = bool(found) if made is None else _shows(found, made)
        if is_shown or looked_at >= settled:
            return found
        yield Sleep(LOOK_INTERVAL)


@flow
def _without_twin(recipe: ResourceSpec[R], made: R) -> Steps[EnsureResult[R]]:
    """Look again after creating: somebody else may have created the same at the same moment."""
    try:
        found = yield from _look_until_settled(recipe, made)
        known = found if _shows(found, made) else [*found, made]
        first = oldest(known)
        if first.id == made.id:
            yield from _oldest_of(recipe, known)
            return EnsureResult(made, "created")
        yield Log(
            f"The platform has {recipe.name} as {first.id} already: going on with that one.", logging.WARNING
        )
        yield from _delete_surplus(recipe, made)
        return EnsureResult(first, "found")
    except MicsError as error:
        yield Log(f"{recipe.name} is created as {made.id}; that there is no second one was not seen: {error}")
        return EnsureResult(made, "created")


def _shows(found: Sequence[R], made: R) -> bool:
    return any(each.id == made.id for each in found)


def _delete_surplus(recipe: ResourceSpec[R], surplus: R) -> Steps[None]:
    if recipe.delete is None:
        yield Log(f"{surplus.id} is surplus, and the platform's API cannot delete it.", logging.WARNING)
        return
    try:
        yield from recipe.delete(surplus.id)
        yield Log(f"Deleted the surplus one, {surplus.id}.")
    except MicsNotFoundError:
        pass
    except MicsError as error:
        yield Log(
            f"{surplus.id} is surplus and could not be deleted; delete it by hand: {error}", logging.ERROR
        )
