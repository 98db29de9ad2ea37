"""Reading a part of a long list: a bounded number of pages, from the end where the newest items are.

No ``total`` is relied on: it may be that of the page, or another number. A list ends where the platform gives no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator

from airflow_provider_mics.api.calls import Call, Steps, flow
from airflow_provider_mics.api.errors import MicsApiError
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE, SMALLEST_CAP, refuses_offset
from airflow_provider_mics.api.responses import Page, page_of_any
from airflow_provider_mics.doctor.checks.samples import ItemsPage, Raw, Sample, order_of

T = TypeVar("T", Instance, Execution)
MOST_PAGES = 10
MOST_ITEMS = 2000
FURTHEST_OFFSET = 1 << 24
"""Where the search for the end of a list gives up."""


def read_page(path: str, model: type[T], query: Raw, start: int, size: int) -> Call[ItemsPage[T]]:
    """Return the call for a page whose items come with their JSON."""
    return Call("GET", path, _page_reader(model), {**query, "first_result": start, "max_results": size})


@lru_cache(maxsize=2)
def _page_reader(model: Any) -> Callable[[bytes], Page[Any]]:
    """Cached, so that pydantic builds its schema once."""
    with_raw: Any = Annotated[tuple[model, dict[str, Any]], BeforeValidator(lambda item: (item, item))]
    return page_of_any(with_raw)


def _page_or_end(path: str, model: type[T], query: Raw, start: int, size: int) -> Steps[ItemsPage[T]]:
    """Return a page. A refusal of an offset beyond the end is an empty page."""
    try:
        return (yield from read_page(path, model, query, start, size))
    except MicsApiError as error:
        if start == 0 or not refuses_offset(error):
            raise
    return Page(data=[])


@flow
def sample_from_beginning(path: str, model: type[T], query: Raw) -> Steps[Sample[T]]:
    """Read the first pages of a list.

    :raises MicsError: a page cannot be read
    """
    sample: Sample[T] = Sample()
    first = yield from read_page(path, model, query, 0, LARGE_PAGE_SIZE)
    sample.add(0, first)
    yield from _read_on(sample, path, model, query, MOST_PAGES)
    return sample


def _read_on(sample: Sample[T], path: str, model: type[T], query: Raw, most_pages: int) -> Steps[None]:
    """Read on after the first page. Pages overlap by an item, so that none begins beyond the end."""
    start, page, has_new = 0, sample.pages[0], bool(sample.pages[0].size)
    width = page.size
    while True:
        if page.size > LARGE_PAGE_SIZE or sample.is_repeated:
            sample.length = sample.pages[0].size
            return
        if not has_new:
            # A full page without a new item is of a list that changes its order, and shows no end.
            sample.length = start + page.size if page.size < width or not width else None
            return
        if _is_trusted_end(start, page):
            sample.length = start + page.size
            return
        if len(sample.pages) >= most_pages or sample.known + width > MOST_ITEMS:
            return
        start += max(1, page.size - 1)
        page = yield from _page_or_end(path, model, query, start, LARGE_PAGE_SIZE)
        has_new = sample.add(start, page)


def _is_trusted_end(start: int, page: Page[Any]) -> bool:
    """Whether a page with new items says itself that it is the last, by the rules of `read_list`."""
    end = start + page.size
    if page.total is not None and end <= page.total:
        is_trusted = page.size < LARGE_PAGE_SIZE and (start > 0 or page.size < SMALLEST_CAP)
        return end == page.total and is_trusted
    return page.max_results is not None and page.size < page.max_results < LARGE_PAGE_SIZE


@flow
def sample_newest(path: str, query: Raw, *, most_pages: int = MOST_PAGES) -> Steps[Sample[Execution]]:
    """Read pages of executions from the end of the list where the newest are.

    :raises MicsError: a page cannot be read
    """
    sample: Sample[Execution] = Sample()
    first = yield from read_page(path, Execution, query, 0, LARGE_PAGE_SIZE)
    sample.add(0, first)
    is_whole = first.size > LARGE_PAGE_SIZE or _is_trusted_end(0, first)
    if is_whole or order_of(sample.values) != "oldest first":
        yield from _read_on(sample, path, Execution, query, most_pages)
        return sample
    length = yield from _length(path, query, first.size, first.total)
    sample.end, sample.length = "far end", length
    start = length
    while start > first.size and len(sample.pages) < most_pages and sample.known < MOST_ITEMS:
        start = max(first.size, start - first.size)
        sample.add(start, (yield from _page_or_end(path, Execution, query, start, first.size)))
    return sample


def _length(path: str, query: Raw, known: int, total: int | None) -> Steps[int]:
    """Return the length of a list that has at least ``known`` items, and perhaps ``total``."""
    low, high = known, None
    if total is not None and total > known:
        if (yield from _has_item(path, query, total - 1)):
            low = total
        else:
            high = total - 1
    if high is None:
        if not (yield from _has_item(path, query, low)):
            return low
        low, high = low + 1, (low + 1) * 2
        while high < FURTHEST_OFFSET and (yield from _has_item(path, query, high - 1)):
            low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        if (yield from _has_item(path, query, middle)):
            low = middle + 1
        else:
            high = middle
    return low


def _has_item(path: str, query: Mapping[str, Any], position: int) -> Steps[bool]:
    page = yield from _page_or_end(path, Execution, query, position, 1)
    # A larger page ignores where it was to begin, and so tells nothing.
    return page.size == 1
