"""Search an instance's executions for those of an identity. What cannot be read is not taken for "no"."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta

from pydantic import ValidationError

from airflow_provider_mics.api.calls import Steps, flow
from airflow_provider_mics.api.errors import MicsNotFoundError, MicsResponseError, MicsUncertainError
from airflow_provider_mics.api.executions import executions_path, get_execution, read_recent_executions
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE, ListResult, read_list
from airflow_provider_mics.core.exactly_once.identity import STRANGER_AGE, ExecutionIdentity
from airflow_provider_mics.core.exactly_once.tick_facts import TickFacts, lead_of, recall_tick_facts

Condition = Callable[[Execution], bool]

ENOUGH_TICKS = 10
"""So many CRON executions show how long before their ticks a platform creates them."""
MOST_OTHERS = 1000
"""Executions of other types that are read to find so many: beyond them, a platform is taken to create none ahead."""
TICKS_WITH_TWINS = 4
"""So many CRON executions show a tick and the one before, each with a second execution."""
FEW_OTHERS = 100
"""Executions of other types that are read to find so many."""
MAX_REQUESTS_BY_ID = 50
"""How many executions a search asks for by their id, if the list does not show their type or moment."""


def failed_or_canceled(execution: Execution) -> bool:
    """Whether an execution is over without success."""
    return execution.failed or execution.canceled


@flow
def list_until_match(
    identity: ExecutionIdentity,
    known_ids: Collection[str] = (),
    *,
    since: datetime | None = None,
    make_is_enough: Callable[[], Condition] = lambda: lambda _: True,
    is_final: bool = False,
) -> Steps[list[Execution]]:
    """List the instance's executions as far back as those of this identity can be.

    In a list that is sorted by creation this is as far as ``since``, by default an hour before the run began, or
    before the tick. For a tick it is also as far as a platform that creates executions ahead may have created this one,
    which its newest CRON executions show. Without a moment before which there is none, it is the whole list, unless an
    execution to go on with was found: a duplicate of that was created at nearly the same time.

    An execution that may be of this identity, but whose type or moment the list does not show, is asked for by its id,
    unless that is among ``known_ids``.

    :param since: none of the identity was created before this moment, unless the platform creates executions ahead
    :param make_is_enough: returns a new condition, which gets each execution, from the newest to the oldest, and tells
        whether the caller needs none that was created before it, if none to go on with was found
    :param is_final: whether an execution is created if none is found here, although there may be one
    :raises MicsUncertainError: no execution of this identity was found to go on with, and there is one of which
        nothing shows whether it is
    :raises MicsResponseError: the list is empty, but its total is not
    """
    facts = yield from recall_tick_facts(identity.instance_id)
    listed = yield from read_recent_executions(
        identity.instance_id,
        lambda: _NeededPart(identity, since, facts, make_is_enough()).is_read_after,
        page_size=LARGE_PAGE_SIZE,
        checks_first_page=is_final or since is None,
    )
    if since is None and not listed.is_complete and _may_be_elsewhere(identity, listed.items):
        path = executions_path(identity.instance_id)
        listed = yield from read_list(path, Execution, lambda each: each.id, {}, page_size=LARGE_PAGE_SIZE)
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
    """Tells, from the newest execution of a list on, where all older ones were created too early for an identity."""

    def __init__(
        self,
        identity: ExecutionIdentity,
        since: datetime | None,
        facts: TickFacts | None,
        is_enough: Condition,
    ) -> None:
        self._identity = identity
        self._since = since
        self._oldest_needed = since or identity.not_before
        if self._oldest_needed is None and identity.is_scheduled:
            self._oldest_needed = identity.expected_start_date - STRANGER_AGE
        self._is_enough = is_enough
        self._lead = facts.lead if facts and identity.is_scheduled else timedelta(0)
        self._knows_lead = facts is not None or not identity.is_scheduled
        self._ticks = self._others = 0
        self._has_match = False

    def is_read_after(self, execution: Execution) -> bool:
        """Add the next execution of the list; return whether no older one is needed."""
        is_enough = self._is_enough(execution)
        created = execution.creation_date
        if created is None:
            return False
        self._note_lead(execution)
        if self._identity.matches(execution) and not failed_or_canceled(execution):
            self._has_match = True
            if self._since is None:
                needed = created - STRANGER_AGE
                self._oldest_needed = min(needed, self._oldest_needed or needed)
        if self._oldest_needed is None or created >= self._oldest_needed - 2 * self._lead:
            return False
        if self._has_match:
            # The tick before is looked at too, see `unnoticed_twins`.
            return (
                not self._identity.is_scheduled
                or self._ticks >= TICKS_WITH_TWINS
                or self._others >= FEW_OTHERS
            )
        return self._knows_lead and is_enough

    def _note_lead(self, execution: Execution) -> None:
        if execution.execution_type == ExecutionType.CRON:
            self._ticks += 1
            if self._identity.is_scheduled:
                self._lead = max(self._lead, lead_of(execution))
        else:
            self._others += 1
        self._knows_lead = self._knows_lead or self._ticks >= ENOUGH_TICKS or self._others >= MOST_OTHERS


def _may_be_elsewhere(identity: ExecutionIdentity, newest: Sequence[Execution]) -> bool:
    """Whether the list, of which these are the newest, may be sorted by the moments of its executions.

    Then one of a moment in the past is not among the newest, however new it is.
    """
    if identity.is_scheduled or any(identity.matches(each) for each in newest):
        return False
    moments = [each.expected_start_date for each in newest if each.expected_start_date is not None]
    return moments in (sorted(moments), sorted(moments, reverse=True))


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
