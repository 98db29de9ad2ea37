"""Reading lists of executions cheaply: most of a list's items do not matter to a poll."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from airflow_provider_mics.api.calls import Call, Flow, Steps, flow
from airflow_provider_mics.api.errors import MicsResponseError
from airflow_provider_mics.api.executions import (
    executions_path,
    newest_execution,
    read_recent_executions,
)
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.paging import MOST_PAGES, PAGE_SIZE
from airflow_provider_mics.api.recent_items import MIN_SORTED_RUN, until_all_seen
from airflow_provider_mics.api.responses import page_of_any
from airflow_provider_mics.core.polling.completions import LIST_LAG

M = TypeVar("M", bound=BaseModel)
Matches = Callable[[Execution], bool]
FULL_READ_EVERY = 10
"""Searches. In between, a list with the same length and the same first page counts as unchanged."""


class Target(NamedTuple):
    """The ids of one execution that is waited for."""

    instance_id: str
    execution_id: str


@dataclass(frozen=True)
class LenientPage(Generic[M]):
    """The readable items of a page. ``size`` counts all its items, ``total`` is the platform's length of the list."""

    items: list[M]
    size: int
    total: int | None


def lenient_page(
    path: str, model: type[M], query: Mapping[str, Any], first_result: int = 0
) -> Call[LenientPage[M]]:
    """Read one page of a list, without the items that are not valid."""
    window = {"first_result": first_result, "max_results": PAGE_SIZE}
    return Call("GET", path, _page_reader(model), {**query, **window})


def _page_reader(model: type[M]) -> Callable[[bytes], LenientPage[M]]:
    read_page = page_of_any(model)

    def read(content: bytes) -> LenientPage[M]:
        given = read_page(content)
        return LenientPage(given.data, given.size, given.total)

    return read


@flow
def find_in_instance(instance_id: str, wanted: Collection[str]) -> Steps[dict[str, Execution]]:
    """Find the ``wanted`` ids in the instance's list, which is read to its end if necessary.

    It is read from its newest end on, if it is sorted by creation.
    """
    search = _ListSearch(frozenset(wanted))
    path = executions_path(instance_id)
    first = yield from lenient_page(path, Execution, {})
    search.add(first)
    if not search.missing or first.size == 0:
        return search.found

    if _are_oldest_first(first.items):
        with suppress(MicsResponseError):
            missing = search.wanted.difference(search.found)
            make_is_enough: Callable[[], Matches] = until_all_seen(missing, lambda each: each.id)
            listed = yield from read_recent_executions(instance_id, make_is_enough)
            return search.found | {each.id: each for each in listed.items if each.id in search.wanted}
    for start in page_starts(first):
        if not search.missing or not search.add((yield from lenient_page(path, Execution, {}, start))):
            break
    return search.found


def _are_oldest_first(executions: Sequence[Execution]) -> bool:
    created = [each.creation_date for each in executions if each.creation_date is not None]
    return len(created) == len(executions) > 1 and created == sorted(created) and created[0] < created[-1]


@dataclass
class _ListSearch:
    """The progress of a search for ids in a list."""

    wanted: frozenset[str]
    found: dict[str, Execution] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    @property
    def missing(self) -> int:
        return len(self.wanted) - len(self.found)

    def add(self, page: LenientPage[Execution]) -> bool:
        """Add a page; return whether it has items that no earlier page had."""
        seen_before = len(self.seen)
        for item in page.items:
            self.seen.add(item.id)
            if item.id in self.wanted:
                self.found.setdefault(item.id, item)
        return len(self.seen) > seen_before


def page_starts(first: LenientPage[Any]) -> Iterator[int]:
    """Yield where further pages may start. A ``total`` is not relied on: it may be that of the page."""
    if first.size:
        yield from range(first.size, MOST_PAGES * first.size, first.size)


class CreationSearch:
    """Searches the list of an instance, again and again, for an execution that ``matches``.

    A list that is sorted by creation is read as far back as ``since``, and later as far as it was read before. None
    means that the execution may have been created at any time.
    """

    def __init__(self, instance_id: str, matches: Matches, since: datetime | None = None) -> None:
        self._instance_id = instance_id
        self._path = executions_path(instance_id)
        self._matches = matches
        self._since = since
        self._last_first_page: LenientPage[Execution] | None = None
        self._searches = 0

    def search(self) -> Flow[Execution | None]:
        """Return the execution that matches, the newest of them if a page has several; None if none does."""
        return Flow(self._search)

    def _search(self) -> Steps[Execution | None]:
        if self._since is None:
            return (yield from self._search_whole())
        listed = yield from read_recent_executions(self._instance_id, self._is_read_before)
        self._note(listed.items)
        return self._matching(listed.items)

    def _search_whole(self) -> Steps[Execution | None]:
        first = page = yield from lenient_page(self._path, Execution, {})
        found = self._matching(first.items)
        self._searches += 1
        if found or (self._is_unchanged(first) and self._searches % FULL_READ_EVERY):
            return found
        listed = {each.id: each for each in first.items}
        for start in page_starts(first):
            page = yield from lenient_page(self._path, Execution, {}, start)
            found = self._matching(page.items)
            if found or listed.keys() >= {each.id for each in page.items}:
                break
            listed.update((each.id, each) for each in page.items)
        # A list that changed during the reading may have hidden an item between two pages.
        self._last_first_page = first if page.total == first.total else None
        if self._last_first_page and _is_sorted(list(listed.values())):
            self._note(list(listed.values()))
        return found

    def _is_read_before(self) -> Matches:
        since = self._since
        return lambda each: (
            since is not None and each.creation_date is not None and each.creation_date < since
        )

    def _note(self, listed: Sequence[Execution]) -> None:
        """Note how far the list was read. What it shows late was created at most `LIST_LAG` before what it showed."""
        created = [each.creation_date for each in listed if each.creation_date is not None]
        known = [] if self._since is None else [self._since]
        self._since = max([*known, *(each - LIST_LAG for each in created)], default=None)

    def _matching(self, executions: Sequence[Execution]) -> Execution | None:
        found = [each for each in executions if self._matches(each)]
        return newest_execution(found) if found else None

    def _is_unchanged(self, first: LenientPage[Execution]) -> bool:
        last = self._last_first_page
        if last is None or first.total is None or first.total != last.total:
            return False
        return [each.id for each in first.items] == [each.id for each in last.items]


def _is_sorted(executions: Sequence[Execution]) -> bool:
    is_long = len(executions) >= MIN_SORTED_RUN
    return is_long and (_are_oldest_first(executions) or _are_oldest_first(executions[::-1]))
