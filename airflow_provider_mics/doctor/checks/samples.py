"""Samples of long lists: a bounded number of pages, from the end where the newest items are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BeforeValidator

from airflow_provider_mics.api.calls import Call, Steps, flow
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE
from airflow_provider_mics.api.responses import Page, page_of_any

T = TypeVar("T", Instance, Execution)
MOST_PAGES = 10
MOST_ITEMS = 2000
"""No further page is read from here on."""
FURTHEST_OFFSET = 1 << 24
"""Where the search for the end of a list without ``total`` gives up."""
FEWEST_FOR_AN_ORDER = 3
Order = Literal["newest first", "oldest first", "none", "unknown"]
Raw = Mapping[str, Any]


@dataclass
class Sample(Generic[T]):
    """What was read of a list. ``items`` are values and their JSON by id, in the order in which they came.

    ``unreadable`` counts the items that cannot be read. ``end`` says which end of the list the pages are from.
    """

    pages: list[Page[tuple[T, Raw]]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    items: dict[str, tuple[T, Raw]] = field(default_factory=dict)
    is_complete: bool = False
    end: Literal["beginning", "far end"] = "beginning"

    @property
    def values(self) -> list[T]:
        return [value for value, _ in self.items.values()]

    @property
    def raw(self) -> list[Raw]:
        return [raw for _, raw in self.items.values()]

    @property
    def total(self) -> int | None:
        return self.pages[0].total if self.pages else None

    @property
    def unreadable(self) -> int:
        return sum(len(each.unreadable) for each in self.pages)

    @property
    def ignores_paging(self) -> bool:
        """Whether a page was larger than what was asked for, or a later page was the first one again."""
        ids = [[value.id for value, _ in each.data] for each in self.pages]
        is_repeated = any(
            start > 0 and page and page == ids[0] for start, page in zip(self.starts, ids, strict=True)
        )
        return is_repeated or any(each.size > LARGE_PAGE_SIZE for each in self.pages)

    def looked_at(self, noun: str) -> str:
        """Return how much was read: ``the newest 500 of 100,000 executions``."""
        number = len(self.items)
        if self.is_complete:
            return f"all {number:,} {noun}"
        of = f"of {self.total:,} {noun}" if self.total is not None else f"{noun}, and there may be more"
        return f"{number:,} {of}"

    def add(self, start: int, page: Page[tuple[T, Raw]]) -> bool:
        """Add a page; return whether it had an item that no earlier page had."""
        before = len(self.items)
        self.pages.append(page)
        self.starts.append(start)
        for value, raw in page.data:
            self.items.setdefault(value.id, (value, raw))
        return len(self.items) > before


def read_page(path: str, model: type[T], query: Raw, start: int, size: int) -> Call[Page[tuple[T, Raw]]]:
    """Return the call for a page whose items come with their JSON."""
    return Call("GET", path, _page_reader(model), {**query, "first_result": start, "max_results": size})


@lru_cache(maxsize=2)
def _page_reader(model: Any) -> Callable[[bytes], Page[Any]]:
    """Cached, so that pydantic builds its schema once."""
    with_raw: Any = Annotated[tuple[model, dict[str, Any]], BeforeValidator(lambda item: (item, item))]
    return page_of_any(with_raw)


@flow
def sample_from_beginning(path: str, model: type[T], query: Raw) -> Steps[Sample[T]]:
    """Read the first pages of a list.

    :raises MicsError: a page cannot be read
    """
    sample: Sample[T] = Sample()
    yield from _read_on(sample, path, model, query)
    return sample


def _read_on(
    sample: Sample[T], path: str, model: type[T], query: Raw, most_pages: int = MOST_PAGES
) -> Steps[None]:
    while len(sample.pages) < most_pages and len(sample.items) < MOST_ITEMS:
        start = sample.starts[-1] + sample.pages[-1].size if sample.pages else 0
        page = yield from read_page(path, model, query, start, LARGE_PAGE_SIZE)
        has_new = sample.add(start, page)
        is_over = (
            page.size == 0 or not has_new or (page.total is not None and start + page.size >= page.total)
        )
        if is_over or page.size > LARGE_PAGE_SIZE:
            known = len(sample.items) + sample.unreadable
            is_end = page.size == 0 or sample.ignores_paging
            sample.is_complete = is_end if page.total is None else known >= page.total
            return


@flow
def sample_newest(path: str, query: Raw, *, most_pages: int = MOST_PAGES) -> Steps[Sample[Execution]]:
    """Read pages of executions from the end of the list where the newest are.

    :raises MicsError: a page cannot be read
    """
    sample: Sample[Execution] = Sample()
    first = yield from read_page(path, Execution, query, 0, LARGE_PAGE_SIZE)
    sample.add(0, first)
    is_whole = first.size == 0 or first.size > LARGE_PAGE_SIZE
    if is_whole or first.size == first.total or order_of(sample.values) != "oldest first":
        sample.is_complete = is_whole or first.size == first.total
        if not sample.is_complete:
            yield from _read_on(sample, path, Execution, query, most_pages)
        return sample
    length = first.total
    if length is None:
        length = yield from _length(path, query, first.size)
    sample.end = "far end"
    start = length
    while start > first.size and len(sample.pages) < most_pages and len(sample.items) < MOST_ITEMS:
        start = max(first.size, start - first.size)
        page = yield from read_page(path, Execution, query, start, first.size)
        sample.add(start, page)
    sample.is_complete = len(sample.items) + sample.unreadable >= length
    return sample


def _length(path: str, query: Raw, known: int) -> Steps[int]:
    """Return the length of a list without ``total``, which has at least ``known`` items."""
    low, high = known, known * 2
    while high < FURTHEST_OFFSET and (yield from _has_item(path, query, high - 1)):
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        if (yield from _has_item(path, query, middle)):
            low = middle + 1
        else:
            high = middle
    return low


def _has_item(path: str, query: Raw, position: int) -> Steps[bool]:
    page = yield from read_page(path, Execution, query, position, 1)
    # A larger page ignores where it was to begin, and so tells nothing.
    return page.size == 1


def order_of(executions: Sequence[Execution]) -> Order:
    """Return the order of a list, by creation dates, or by ids where it shows no dates."""
    keys: list[Any] = [each.creation_date for each in executions if each.creation_date is not None]
    if len(keys) < FEWEST_FOR_AN_ORDER:
        keys = [(len(each.id), each.id) for each in executions]
    if len(set(keys)) < FEWEST_FOR_AN_ORDER:
        return "unknown"
    if all(before >= after for before, after in pairwise(keys)):
        return "newest first"
    return "oldest first" if all(before <= after for before, after in pairwise(keys)) else "none"
