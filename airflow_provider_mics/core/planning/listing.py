"""Reading the list of instances within a time limit, in as many parses as it takes.

A list can lack instances that exist, so what it lacks is asked for by id, a few in each pass.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeVar

from airflow_provider_mics.api.calls import Call, Job, Now, Step, Steps, flow, forwarded
from airflow_provider_mics.api.errors import (
    MicsConnectionError,
    MicsError,
    MicsNotFoundError,
    MicsTimeoutError,
)
from airflow_provider_mics.api.instances import INSTANCES, get_instance
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE, ListProgress, read_list
from airflow_provider_mics.core.planning.inventory import Inventory, UnfinishedListing, sort_key
from airflow_provider_mics.core.planning.inventory_updates import Listing

T = TypeVar("T")
MAX_MISSING_ASKED = 10
"""How many of the instances that a list lacks are asked for after it."""
MAX_PASS_DURATION = timedelta(hours=1)
"""An unfinished list that was begun longer ago is read from its beginning."""
SMALLEST_PAGE_SIZE = 20
SHARE_OF_SLOW_PAGE = 0.8
"""The part of the time limit from which on a page that failed was too large."""


@flow
def within(job: Job[T], limit: timedelta) -> Steps[T]:
    """Run a call or flow with a time limit, so that a slow platform cannot stall DAG parsing.

    The limit is checked before each request. The last request may exceed it by the client's own timeouts.

    :raises MicsTimeoutError: the job still has a request to send when ``limit`` has passed
    """
    deadline: datetime = (yield Now()) + limit

    def check_time(step: Step) -> Steps[None]:
        if isinstance(step, Call) and (yield Now()) > deadline:
            raise MicsTimeoutError(f"{step}: timed out: not done within {limit.total_seconds():g} s")

    return (yield from forwarded(job, before=check_time))


class ListingPass:
    """One reading of an organisation's list, from its beginning or from where an earlier process stopped.

    :param previous: the inventory of the same organisation, or None
    :param now: the current time (UTC)
    """

    def __init__(self, previous: Inventory | None, now: datetime) -> None:
        self._known = {} if previous is None else {each.id: each for each in previous.instances}
        self._checked_at = {} if previous is None else dict(previous.checked_at)
        self._started_at, self._page_size = now, LARGE_PAGE_SIZE
        self._listed: ListProgress[Instance] = ListProgress()
        unfinished = None if previous is None else previous.unfinished
        if unfinished is not None and timedelta(0) <= now - unfinished.started_at < MAX_PASS_DURATION:
            self._resume(unfinished)
        self._asked: dict[str, Instance] = {}
        self._gone: set[str] = set()
        self._unclear: set[str] = set()
        self._begin = self._listed.start
        self._is_listed = self._is_slow = False

    def _resume(self, unfinished: UnfinishedListing) -> None:
        self._started_at, self._page_size = unfinished.started_at, unfinished.page_size
        if unfinished.start == 0:
            return
        listed = {key: each for key, each in self._known.items() if self._is_checked(key)}
        archived = {key: Instance(id=key, archived=True) for key in unfinished.without_line}
        self._listed = ListProgress({**listed, **archived}, unfinished.start)

    def _is_checked(self, instance_id: str) -> bool:
        """Whether the platform showed the instance, or was asked for it, since this pass began."""
        checked_at = self._checked_at.get(instance_id)
        return checked_at is not None and checked_at >= self._started_at

    @property
    def has_moved(self) -> bool:
        """Whether the list was read further."""
        return self._is_listed or self._listed.start > self._begin

    @property
    def is_worth_keeping(self) -> bool:
        """Whether the list was read further, or is to be read in smaller pages."""
        return self.has_moved or self._is_slow

    @flow
    def steps(self, limit: timedelta) -> Steps[None]:
        """Read the list, then ask for what it lacks, within a time limit.

        :raises MicsError: the platform cannot be asked, or the time is over; `listing` has what it gave until then
        """
        began: datetime = yield Now()
        try:
            yield from within(self._list(), limit)
        except MicsError as error:
            took = (yield Now()) - began
            if isinstance(error, MicsConnectionError) and took >= limit * SHARE_OF_SLOW_PAGE:
                self._is_slow = self._page_size > SMALLEST_PAGE_SIZE and self._listed.start == self._begin
            raise
        self._is_listed = True
        yield from within(self._ask_for_missing(), limit - ((yield Now()) - began))

    @flow
    def _list(self) -> Steps[None]:
        query = {"organisation_id": None}
        yield from read_list(
            INSTANCES,
            Instance,
            lambda each: each.id,
            query,
            page_size=self._page_size,
            progress=self._listed,
        )

    @flow
    def _ask_for_missing(self) -> Steps[None]:
        missing = [each for key, each in self._known.items() if key not in self._listed.items]
        missing = [each for each in missing if not self._is_checked(each.id)]
        longest_ago = datetime.min.replace(tzinfo=self._started_at.tzinfo)
        missing.sort(key=lambda each: (self._checked_at.get(each.id, longest_ago), sort_key(each)))
        for each in missing[:MAX_MISSING_ASKED]:
            try:
                answered = yield from get_instance(each.id)
            except MicsError as error:
                if is_outage(error):
                    return
                (self._gone if isinstance(error, MicsNotFoundError) else self._unclear).add(each.id)
            else:
                if answered.id == each.id:
                    self._asked[each.id] = answered
                else:
                    self._unclear.add(each.id)

    def listing(self, error: MicsError | None = None) -> Listing:
        """Return what the platform gave so far.

        :param error: what ended the reading, or None
        """
        # A copy in one step: a request that takes too long still runs in its thread.
        listed = list(self._listed.items.values())
        unfinished = None
        if not self._is_listed:
            page_size = max(SMALLEST_PAGE_SIZE, self._page_size // 5) if self._is_slow else self._page_size
            unfinished = UnfinishedListing(
                started_at=self._started_at,
                start=self._listed.start,
                page_size=page_size,
                without_line=tuple(sorted(each.id for each in listed if each.archived)),
            )
        return Listing(
            (*listed, *self._asked.values()),
            frozenset(self._gone),
            frozenset(self._unclear),
            unfinished,
            failure=None if self.has_moved else error,
        )
