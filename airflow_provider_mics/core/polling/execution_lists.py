"""Reading lists of executions cheaply: most of a list's items do not matter to a poll."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from airflow_provider_mics.api.calls import Call, Flow, Steps, flow
from airflow_provider_mics.api.executions import executions_path, newest_execution
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.paging import MOST_PAGES, PAGE_SIZE
from airflow_provider_mics.api.responses import page_of_any

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
    """Find the ``wanted`` ids in the instance's list, which is read to its end if necessary."""
    search = _ListSearch(frozenset(wanted))
    path = executions_path(instance_id)
    first = yield from lenient_page(path, Execution, {})
    search.add(first)
    for start in page_starts(first):
        if not search.missing or not search.add((yield from lenient_page(path, Execution, {}, start))):
            break
    return search.found


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
    """Yield where the pages after the first start."""
    if first.size == 0:
        return
    end = MOST_PAGES * first.size if first.total is None else first.total
    yield from range(first.size, end, first.size)


class CreationSearch:
    """Searches the list of an instance, again and again, for an execution that ``matches``."""

    def __init__(self, instance_id: str, matches: Matches) -> None:
        self._path = executions_path(instance_id)
        self._matches = matches
        self._last_first_page: LenientPage[Execution] | None = None
        self._searches = 0

    def search(self) -> Flow[Execution | None]:
        """Return the execution that matches, the newest of them if a page has several; None if none does."""
        return Flow(self._search)

    def _search(self) -> Steps[Execution | None]:
        first = page = yield from lenient_page(self._path, Execution, {})
        found = self._matching(first)
        self._searches += 1
        if found or (self._is_unchanged(first) and self._searches % FULL_READ_EVERY):
            return found
        seen = {each.id for each in first.items}
        for start in page_starts(first):
            page = yield from lenient_page(self._path, Execution, {}, start)
            found = self._matching(page)
            if found or seen.issuperset(each.id for each in page.items):
                break
            seen.update(each.id for each in page.items)
        # A list that changed during the reading may have hidden an item between two pages.
        self._last_first_page = first if page.total == first.total else None
        return found

    def _matching(self, page: LenientPage[Execution]) -> Execution | None:
        found = [each for each in page.items if self._matches(each)]
        return newest_execution(found) if found else None

    def _is_unchanged(self, first: LenientPage[Execution]) -> bool:
        last = self._last_first_page
        if last is None or first.total is None or first.total != last.total:
            return False
        return [each.id for each in first.items] == [each.id for each in last.items]
