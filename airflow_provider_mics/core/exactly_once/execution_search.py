"""Search an instance's executions for those of an identity. What cannot be read is not taken for "no"."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from pydantic import ValidationError

from airflow_provider_mics.api.calls import Steps, flow
from airflow_provider_mics.api.errors import MicsNotFoundError, MicsResponseError, MicsUncertainError
from airflow_provider_mics.api.executions import executions_path, get_execution
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE, ListResult, read_list
from airflow_provider_mics.core.exactly_once.identity import STRANGER_AGE, ExecutionIdentity

MIN_SORTED_RUN = 20
"""This many executions in a row, from the newest to the oldest, mean that their list is sorted so."""
MAX_REQUESTS_BY_ID = 50
"""How many executions a search asks for by their id, if the list does not show their type or moment."""


def failed_or_canceled(execution: Execution) -> bool:
    """Whether an execution is over without success."""
    return execution.failed or execution.canceled


@flow
def list_until_match(identity: ExecutionIdentity, known_ids: Collection[str] = ()) -> Steps[list[Execution]]:
    """List the instance's executions as far as those of this identity can be.

    An execution that may be of this identity, but whose type or moment the list does not show, is asked for by its id,
    unless that is among ``known_ids``.

    :raises MicsUncertainError: no execution of this identity was found to go on with, and there is one of which
        nothing shows whether it is
    :raises MicsResponseError: the list is empty, but its total is not
    """
    part = _NeededPart(identity)
    listed = yield from read_list(
        executions_path(identity.instance_id),
        Execution,
        lambda each: each.id,
        {},
        page_size=LARGE_PAGE_SIZE,
        until=part.is_read_after,
    )
    if not listed.items and (listed.total or 0) > 0:
        raise MicsResponseError(
            f"the list of executions of instance {identity.instance_id} is empty, but its total is {listed.total}"
        )
    executions, unclear = yield from _with_unclear_ones_in_full(identity, listed.items, known_ids)
    if any(identity.matches(each) and not failed_or_canceled(each) for each in executions):
        return executions
    if unclear:
        raise MicsUncertainError(
            f"no execution created: the platform does not show whether {_names(unclear)} of instance "
            f"{identity.instance_id} is the {identity}. It shows no execution_type or expected_start_date of it, "
            "or one without a time zone or without milliseconds"
        )
    position = next(_unreadable_ones(identity, listed), None)
    if position is not None:
        raise MicsUncertainError(
            f"no execution created: item {position} of the executions of instance {identity.instance_id} cannot be "
            f"read, so nothing shows whether it is the {identity}"
        )
    return executions


class _NeededPart:
    """Tells where the rest of a list cannot have executions of an identity: only in one sorted by creation.

    Without a moment before which there is none, the list is read to its end, unless an execution to go on with was
    found. A duplicate of that was created at nearly the same time.
    """

    def __init__(self, identity: ExecutionIdentity) -> None:
        self._identity = identity
        self._oldest_needed = identity.not_before
        self._is_sorted = True
        self._newest: datetime | None = None
        self._last: datetime | None = None
        self._count = 0

    def is_read_after(self, execution: Execution) -> bool:
        """Add the next execution of the list; return whether no later one is needed."""
        created = execution.creation_date
        if created is None or (self._last is not None and created > self._last):
            self._is_sorted = False
            return False
        self._newest = self._newest or created
        self._last = created
        self._count += 1
        if self._identity.matches(execution) and not failed_or_canceled(execution):
            needed = created - STRANGER_AGE
            self._oldest_needed = min(needed, self._identity.not_before or needed)
        return (
            self._is_sorted
            and self._count >= MIN_SORTED_RUN
            and self._oldest_needed is not None
            and created < min(self._oldest_needed, self._newest)
        )


def _with_unclear_ones_in_full(
    identity: ExecutionIdentity, listed: Sequence[Execution], known_ids: Collection[str]
) -> Steps[tuple[list[Execution], list[Execution]]]:
    """Ask for the executions that may be of the identity; return all, and those that still may be."""
    executions = {each.id: each for each in listed}
    unclear = [each for each in listed if each.id not in known_ids and _is_unclear(identity, each)]
    newest_first = sorted(unclear, key=lambda each: (len(each.id), each.id), reverse=True)
    for each in newest_first[:MAX_REQUESTS_BY_ID]:
        try:
            executions[each.id] = yield from get_execution(identity.instance_id, each.id)
        except MicsNotFoundError:
            del executions[each.id]
    found = list(executions.values())
    still_unclear = [each for each in found if each.id not in known_ids and _is_unclear(identity, each)]
    return found, still_unclear


def _is_unclear(identity: ExecutionIdentity, execution: Execution) -> bool:
    if identity.matches(execution) or not identity.may_match(execution):
        return False
    if not identity.is_scheduled:
        return not _is_before(execution.creation_date, identity.not_before)
    # The platform may create a tick's execution ahead. It is pending until the tick.
    begun = execution.start_date or execution.creation_date
    return execution.is_pending or not _is_before(begun, identity.expected_start_date - STRANGER_AGE)


def _is_before(moment: datetime | None, limit: datetime | None) -> bool:
    return moment is not None and limit is not None and moment < limit


def _unreadable_ones(identity: ExecutionIdentity, listed: ListResult[Execution]) -> Iterator[int]:
    """Yield the positions of the items without a usable id that may be executions of the identity."""
    limit = identity.not_before or identity.expected_start_date - STRANGER_AGE
    created = [each.creation_date for each in listed.items]
    for index, (position, item) in enumerate(sorted(listed.unreadable.items())):
        try:
            shown = Execution.model_validate(
                {**item, "id": "unknown", "status": item.get("status") or "unknown"}
            )
        except (TypeError, AttributeError, ValidationError):
            shown = None
        if shown is not None and not (identity.matches(shown) or _is_unclear(identity, shown)):
            continue
        before, after = created[: position - index], created[position - index :]
        if _is_old(before, after, limit):
            continue
        yield position


def _is_old(before: list[datetime | None], after: list[datetime | None], limit: datetime) -> bool:
    """Whether an item between these moments of creation, in the order of the list, was created before ``limit``."""
    known = [each for each in (*before, *after) if each is not None]
    if known == sorted(known, reverse=True):
        return any(_is_before(each, limit) for each in before)
    return known == sorted(known) and any(_is_before(each, limit) for each in after[:1])


def _names(executions: Sequence[Execution]) -> str:
    ids = [each.id for each in executions[:3]]
    return f"execution {', '.join(ids)}" + (
        f" or {len(executions) - 3} others" if len(executions) > 3 else ""
    )
