"""What the platform shows of an organisation's batches, read anew every few seconds at the cost of a request or two.

The organisation's list of executions serves all instances. It is read from its newest end, as far back as something
may have changed. What it does not show far enough back, each instance's own list does, a few at a time; and so it does
for what has not ended for long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain

from airflow_provider_mics.api.calls import Job, Now, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.executions import (
    ORGANISATION_EXECUTIONS,
    may_lack_route,
    read_recent_executions,
)
from airflow_provider_mics.api.instances import list_instances
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.outages import is_outage
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
UNFINISHED_SOUGHT_FOR = timedelta(days=1)
"""How far back before its newest execution the organisation's list is read for executions that have not ended."""
LONGEST_READING = timedelta(seconds=60)
"""How long the organisation's list may take: a list without an order is read whole."""
INSTANCES_ASKED = 20
"""Instances whose own list one reading asks for."""
OWN_LIST_KEPT_FOR = timedelta(minutes=5)
"""How long an own list is not asked for again where the organisation's list serves."""
MOST_OUTAGES_IN_A_ROW = 3
"""Own lists that may fail one after another, as in an outage, before a reading asks for no further one."""


@dataclass(frozen=True)
class History:
    """The executions of an instance, newest first.

    All that were created since ``known_since`` and before ``read_at`` (both UTC) are known.
    """

    executions: tuple[Execution, ...]
    known_since: datetime
    read_at: datetime


@dataclass(frozen=True)
class OwnList:
    """An instance's own list: when it was last asked for, when it last answered, and since when it shows all (UTC)."""

    asked_at: datetime
    read_at: datetime | None = None
    known_since: datetime | None = None


@dataclass(frozen=True)
class PlatformState:
    """What was last read of an organisation.

    ``read_at`` is when all of it was last read, ``instances_read_at`` when the instances were, both in UTC or None.
    ``must_list_instances`` is whether the next reading lists them however new they are.
    ``covered_since`` is since when the organisation's list was read without a gap; None where it does not serve.
    ``own_lists`` are the instances whose own list was asked for. ``user_id`` is the platform's id of the token's user.
    ``failure`` is why the last reading gave nothing new, or None. ``inventory_at`` is when the DAG factory last asked
    for the instances, where its snapshot is on this machine.
    """

    host: str = ""
    organisation_id: str | None = None
    timezone: str = "UTC"
    console_url: str = ""
    inventory_at: datetime | None = None
    instances: Mapping[str, Instance] = field(default_factory=dict)
    instances_read_at: datetime | None = None
    must_list_instances: bool = False
    executions: Mapping[str, tuple[Execution, ...]] = field(default_factory=dict)
    covered_since: datetime | None = None
    own_lists: Mapping[str, OwnList] = field(default_factory=dict)
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

    def with_own_list(self, instance_id: str, own_list: OwnList) -> PlatformState:
        """Return the state with an instance's own list as it was asked for now."""
        return replace(self, own_lists={**self.own_lists, instance_id: own_list})

    def outdated(self) -> PlatformState:
        """Return the state after an action, which may have changed an instance."""
        return replace(self, must_list_instances=True)

    def failed(self, reason: str, now: datetime) -> PlatformState:
        """Return the state after a reading that gave nothing new."""
        return replace(self, failure=reason, failed_at=now)

    def history(self, instance_id: str) -> History | None:
        """Return what is known of an instance's executions; None if nothing is."""
        executions = self.executions.get(instance_id, ())
        own = self.own_lists.get(instance_id)
        own_since, own_read_at = (None, None) if own is None else (own.known_since, own.read_at)
        known = [each for each in (self.covered_since, own_since) if each is not None]
        # What the organisation's list serves is as new as that list.
        read_at = own_read_at if self.covered_since is None else self.read_at
        if not known or read_at is None:
            return None
        since = min(known)
        oldest = executions[-1].creation_date if len(executions) >= KEPT else None
        return History(executions, since if oldest is None else max(since, oldest), read_at)


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
        listed_at = state.instances_read_at
        if state.must_list_instances or listed_at is None or now - listed_at >= INSTANCES_KEPT_FOR:
            listed = yield from list_instances(state.organisation_id, page_size=LARGE_PAGE_SIZE)
            state = replace(state.with_instances(listed), instances_read_at=now, must_list_instances=False)
        state = yield from within(_with_organisation_list(state), LONGEST_READING)
        state, outage = yield from _with_own_lists(state, now)
    except MicsError as error:
        return state.failed(str(error), now)
    if outage is not None:
        return state.failed(str(outage), now)
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
    newest_known = max(_creation_dates(known), default=None)
    if result.is_complete:
        covered_since = EPOCH_START
    elif state.covered_since is not None and newest_known is not None and oldest < newest_known:
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
    known = list(known)
    newest = max(_creation_dates(known), default=None)
    if newest is None:
        return None
    unfinished = _creation_dates(each for each in known if not each.is_over)
    return min([newest - OVERLAP, *(date for date in unfinished if date >= newest - UNFINISHED_SOUGHT_FOR)])


def _creation_dates(executions: Iterable[Execution]) -> list[datetime]:
    return [each.creation_date for each in executions if each.creation_date is not None]


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


def _with_own_lists(state: PlatformState, now: datetime) -> Steps[tuple[PlatformState, MicsError | None]]:
    """Read the own lists of some instances, and return why no further one was asked for, or None.

    A list that fails stops no other one: only several in a row are an outage of the platform.
    """
    outages = 0
    for instance_id in _instances_to_ask(state, now):
        try:
            result: ListResult[Execution] = yield from read_recent_executions(
                instance_id, lambda: _IsEnough(None, KEPT), page_size=KEPT
            )
        except MicsError as error:
            known = state.own_lists.get(instance_id, OwnList(now))
            state = state.with_own_list(instance_id, replace(known, asked_at=now))
            outages = outages + 1 if is_outage(error) else 0
            if outages >= MOST_OUTAGES_IN_A_ROW:
                return state, error
            continue
        outages = 0
        since = EPOCH_START if result.is_complete else min(_creation_dates(result.items), default=EPOCH_START)
        merged = _merged(state.executions, result.items, since=since, instance_id=instance_id)
        state = replace(state, executions=merged).with_own_list(instance_id, OwnList(now, now, since))
    return state, None


def _instances_to_ask(state: PlatformState, now: datetime) -> list[str]:
    """Return the instances whose own list is to be read: in turn, those that were asked longest ago first."""
    asked = {key: own.asked_at for key, own in state.own_lists.items()}
    keys: Iterable[str] = state.instances
    if state.covered_since is not None:
        newest = max(_creation_dates(chain.from_iterable(state.executions.values())), default=now)
        sought_since = newest - UNFINISHED_SOUGHT_FOR
        keys = [key for key in keys if _needs_own_list(state, key, now, sought_since)]
    return sorted(keys, key=lambda key: asked.get(key, EPOCH_START))[:INSTANCES_ASKED]


def _needs_own_list(state: PlatformState, instance_id: str, now: datetime, sought_since: datetime) -> bool:
    """Whether the organisation's list shows too little of an instance.

    :param sought_since: since when that list is read for executions that have not ended (UTC)
    """
    executions, own = state.executions.get(instance_id, ()), state.own_lists.get(instance_id)
    if own is not None and now - own.asked_at < OWN_LIST_KEPT_FOR:
        return False
    is_unread = state.covered_since != EPOCH_START and (own is None or own.read_at is None)
    unfinished = (each for each in executions if not each.is_over)
    return (is_unread and len(executions) < SHOWN) or any(
        date < sought_since for date in _creation_dates(unfinished)
    )


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
