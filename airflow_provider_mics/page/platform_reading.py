"""What the platform shows of an organisation's batches, read anew every few seconds at the cost of a request or two.

The organisation's list of executions serves all instances. It is read from its newest end, as far back as something
may have changed. What it does not show far enough back, each instance's own list does, a few at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from airflow_provider_mics.api.calls import Job, Now, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.executions import (
    ORGANISATION_EXECUTIONS,
    may_lack_route,
    read_recent_executions,
)
from airflow_provider_mics.api.instances import list_instances
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE, PAGE_SIZE, ListResult
from airflow_provider_mics.api.recent_items import read_recent
from airflow_provider_mics.api.users import get_connected_user
from airflow_provider_mics.core.planning.listing import within
from airflow_provider_mics.page.marks import EPOCH_START, newest_first

INSTANCES_KEPT_FOR = timedelta(seconds=30)
"""How long the list of instances is kept."""
SHOWN = 10
"""Executions of an instance that a row shows."""
KEPT = 20
"""Executions of an instance that are kept, by which its schedule is judged."""
MOST_READ_FIRST = 10_000
"""Executions that the first reading of the organisation's list takes at most."""
MOST_READ = 5_000
"""Executions that a later reading takes at most."""
OVERLAP = timedelta(minutes=5)
"""How far back before its newest execution a list is read again: it may show one late, or with an earlier date."""
LONGEST_READING = timedelta(seconds=60)
"""How long the organisation's list may take: a list without an order is read whole."""
INSTANCES_ASKED = 20
"""Instances whose own list one reading asks for."""


@dataclass(frozen=True)
class History:
    """The executions of an instance, newest first. All that were created since ``known_since`` (UTC) are known."""

    executions: tuple[Execution, ...]
    known_since: datetime


@dataclass(frozen=True)
class PlatformState:
    """What was last read of an organisation.

    ``read_at`` is when all of it was last read, ``instances_read_at`` when the instances were, both in UTC or None.
    ``covered_since`` is since when the organisation's list was read without a gap; None where it does not serve.
    ``own_lists`` are the instances whose own list was read, with since when it shows all. ``user_id`` is the
    platform's id of the token's user. ``failure`` is why the last reading gave nothing new, or None. ``inventory_at``
    is when the DAG factory last asked for the instances, where its snapshot is on this machine.
    """

    host: str = ""
    organisation_id: str | None = None
    timezone: str = "UTC"
    console_url: str = ""
    inventory_at: datetime | None = None
    instances: Mapping[str, Instance] = field(default_factory=dict)
    instances_read_at: datetime | None = None
    executions: Mapping[str, tuple[Execution, ...]] = field(default_factory=dict)
    covered_since: datetime | None = None
    own_lists: Mapping[str, datetime] = field(default_factory=dict)
    user_id: str | None = None
    read_at: datetime | None = None
    failure: str | None = None
    failed_at: datetime | None = None

    def of_connection(
        self,
        *,
        host: str,
        organisation_id: str | None,
        timezone: str,
        console_url: str,
        inventory_at: datetime | None,
    ) -> PlatformState:
        """Return the state with the settings of the connection; an empty one if it leads to another organisation."""
        is_same = (self.host, self.organisation_id) == (host, organisation_id)
        return replace(
            self if is_same else PlatformState(),
            host=host,
            organisation_id=organisation_id,
            timezone=timezone,
            console_url=console_url,
            inventory_at=inventory_at,
        )

    def with_instances(self, instances: Iterable[Instance]) -> PlatformState:
        """Return the state with these instances. What has not changed is the same object as before."""
        known = self.instances
        return replace(
            self,
            instances={each.id: known[each.id] if known.get(each.id) == each else each for each in instances},
        )

    def failed(self, reason: str, now: datetime) -> PlatformState:
        """Return the state after a reading that gave nothing new."""
        return replace(self, failure=reason, failed_at=now)

    def history(self, instance_id: str) -> History | None:
        """Return what is known of an instance's executions; None if nothing is."""
        executions = self.executions.get(instance_id, ())
        known = [each for each in (self.covered_since, self.own_lists.get(instance_id)) if each is not None]
        if not known:
            return None
        since = min(known)
        oldest = executions[-1].creation_date if len(executions) >= KEPT else None
        return History(executions, since if oldest is None else max(since, oldest))


@flow
def read_platform(previous: PlatformState) -> Steps[PlatformState]:
    """Return the state of an organisation now, from what was known before. An outage leaves what was known.

    :param previous: with the organisation, its time zone and its console
    """
    now: datetime = yield Now()
    state = previous
    try:
        if state.user_id is None:
            state = replace(state, user_id=(yield from _user_id()))
        if state.instances_read_at is None or now - state.instances_read_at >= INSTANCES_KEPT_FOR:
            listed = yield from list_instances(state.organisation_id, page_size=LARGE_PAGE_SIZE)
            state = replace(state.with_instances(listed), instances_read_at=now)
        state = yield from within(_with_organisation_list(state), LONGEST_READING)
        state = yield from _with_own_lists(state)
    except MicsError as error:
        return state.failed(str(error), now)
    return replace(state, read_at=now, failure=None, failed_at=None)


def _user_id() -> Steps[str | None]:
    """Return whose token this is: only so that what Airflow created can be told from what the platform did."""
    try:
        user = yield from get_connected_user()
    except MicsError as error:
        if not may_lack_route(error):
            raise
        return None
    return user.id


@flow
def _with_organisation_list(state: PlatformState) -> Steps[PlatformState]:
    known = [each for executions in state.executions.values() for each in executions]
    needed = None if state.covered_since is None else _oldest_that_may_change(known)
    try:
        result: ListResult[Execution] = yield from _read_organisation_list(state.organisation_id, needed)
    except MicsError as error:
        if not may_lack_route(error):
            raise
        return replace(state, covered_since=None)
    items = result.items
    if items and all(each.instance_id is None for each in items):
        return replace(state, covered_since=None)
    oldest = min(
        (each.creation_date for each in items if each.creation_date is not None), default=EPOCH_START
    )
    if result.is_complete:
        covered_since = EPOCH_START
    elif needed is not None and oldest < needed and state.covered_since is not None:
        covered_since = state.covered_since
    else:
        covered_since = oldest
    has_gap = state.covered_since is not None and covered_since > state.covered_since
    since = EPOCH_START if result.is_complete else oldest
    return replace(
        state,
        executions=_merged(state.executions, items, since=since),
        covered_since=covered_since,
        own_lists={} if has_gap else state.own_lists,
    )


def _oldest_that_may_change(known: Iterable[Execution]) -> datetime | None:
    """Return how far back a reading has to go; None to read as at first."""
    created = [(each.creation_date, each.is_over) for each in known if each.creation_date is not None]
    if not created:
        return None
    newest = max(date for date, _ in created)
    return min([newest - OVERLAP, *(date for date, is_over in created if not is_over)])


def _read_organisation_list(
    organisation_id: str | None, needed: datetime | None
) -> Job[ListResult[Execution]]:
    limit = MOST_READ_FIRST if needed is None else MOST_READ

    def make_is_enough() -> _IsEnough:
        return _IsEnough(needed, limit)

    return read_recent(
        ORGANISATION_EXECUTIONS,
        Execution,
        lambda each: each.id,
        {"organisation_id": organisation_id},
        date=lambda each: each.creation_date,
        make_is_enough=make_is_enough,
        page_size=LARGE_PAGE_SIZE if needed is None else PAGE_SIZE,
    )


class _IsEnough:
    """Tells, from the newest execution on, when no older one is needed."""

    def __init__(self, needed: datetime | None, limit: int) -> None:
        self._needed = needed
        self._left = limit

    def __call__(self, execution: Execution) -> bool:
        self._left -= 1
        created = execution.creation_date
        is_older = self._needed is not None and created is not None and created < self._needed
        return is_older or self._left <= 0


def _with_own_lists(state: PlatformState) -> Steps[PlatformState]:
    """Read the own lists of some instances: those of which a row would show too few, or all where no list serves."""
    for instance_id in _instances_to_ask(state):
        result: ListResult[Execution] = yield from read_recent_executions(
            instance_id, lambda: _IsEnough(None, KEPT), page_size=KEPT
        )
        oldest = min((each.creation_date for each in result.items if each.creation_date), default=EPOCH_START)
        since = EPOCH_START if result.is_complete else oldest
        merged = _merged(state.executions, result.items, since=since, instance_id=instance_id)
        others = {key: each for key, each in state.own_lists.items() if key != instance_id}
        state = replace(state, executions=merged, own_lists={**others, instance_id: since})
    return state


def _instances_to_ask(state: PlatformState) -> list[str]:
    if state.covered_since is None:
        # In turn: those that were asked longest ago come first.
        asked = {key: number for number, key in enumerate(state.own_lists)}
        return sorted(state.instances, key=lambda key: asked.get(key, -1))[:INSTANCES_ASKED]
    if state.covered_since == EPOCH_START:
        return []
    missing = (
        key
        for key in state.instances
        if key not in state.own_lists and len(state.executions.get(key, ())) < SHOWN
    )
    return [key for _, key in zip(range(INSTANCES_ASKED), missing, strict=False)]


def _merged(
    known: Mapping[str, tuple[Execution, ...]],
    items: Iterable[Execution],
    *,
    since: datetime,
    instance_id: str | None = None,
) -> dict[str, tuple[Execution, ...]]:
    """Return the executions by instance, with those that were read in place of those known since then.

    :param since: since when all executions are among ``items``
    :param instance_id: of the instance whose own list this is; by default it is that of all
    """
    read: dict[str, dict[str, Execution]] = defaultdict(dict)
    for each in items:
        key = instance_id or each.instance_id
        if key is not None:
            read[key][each.id] = each
    merged = dict(known)
    for key in read.keys() | (known.keys() if instance_id is None else {instance_id}):
        before = merged.get(key, ())
        older = [each for each in before if each.creation_date is not None and each.creation_date < since]
        if not read[key] and len(older) == len(before):
            continue
        kept = [each for each in older if each.id not in read[key]]
        now = tuple(newest_first([*read[key].values(), *kept])[:KEPT])
        merged[key] = before if now == before else now
    return merged
