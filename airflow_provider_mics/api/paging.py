"""Reading a whole list, whichever way the platform paginates it.

Lists take ``first_result`` and ``max_results``: https://developer.mediarithmics.io/resources/api-overview. Their order,
their largest page and whether they give a ``total`` are not documented.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from airflow_provider_mics.api.calls import Call, Log, Steps, flow
from airflow_provider_mics.api.errors import MicsResponseError
from airflow_provider_mics.api.responses import Page, page

T = TypeVar("T")
PAGE_SIZE = 100
LARGE_PAGE_SIZE = 500
"""For a list that is likely to be long and is read whole, or nearly so: fewer requests."""
MOST_PAGES = 10_000
"""A list with more pages has no end: that is a fault of the platform."""
MOST_READINGS = 5
"""How often a list is read that has more items than it gave: it has no order, or grew at its front."""
SPARE_STEPS_BACK = 20
"""Steps back beyond one for each page. Without a limit, a list without an order would never be read."""
MOST_STALLED_PAGES = 3
"""Full pages in a row, at the end of the known items, without a new one: so many items were added before them."""


@dataclass
class ListProgress(Generic[T]):
    """How far a list was read: its items by key, and the offset of the next page. Reading can go on from here."""

    items: dict[Any, T] = field(default_factory=dict)
    start: int = 0


def list_page(
    path: str, model: type[T], query: Mapping[str, Any], first_result: int, max_results: int
) -> Call[Page[T]]:
    """Return the call for one page of a list."""
    return Call("GET", path, page(model), {**query, "first_result": first_result, "max_results": max_results})


@flow
def whole_list(
    path: str,
    model: type[T],
    key: Callable[[T], Any],
    query: Mapping[str, Any],
    *,
    page_size: int = PAGE_SIZE,
    until: Callable[[T], bool] | None = None,
) -> Steps[list[T]]:
    """Return all items of a list, each once, in the platform's order.

    Works with and without ``total``, for lists that ignore paging, and for pages smaller than requested. Each page
    overlaps the one before by one item. If the overlap is missing, items were removed while the list was read, and
    the reading steps back so that none is skipped. Pages of one item cannot overlap, so they lack that protection.

    :param key: the identity of an item
    :param until: no further page is read after the first page with an item for which it is true
    :raises MicsResponseError: the list does not end
    """
    items, _ = yield from list_with_completeness(path, model, key, query, page_size=page_size, until=until)
    return items


@flow
def list_with_completeness(
    path: str,
    model: type[T],
    key: Callable[[T], Any],
    query: Mapping[str, Any],
    *,
    page_size: int = PAGE_SIZE,
    until: Callable[[T], bool] | None = None,
    progress: ListProgress[T] | None = None,
) -> Steps[tuple[list[T], bool]]:
    """Read a list as `whole_list` does, and return whether it gave as many items as its ``total`` says.

    A list without ``total`` counts as complete.

    :param progress: where to begin; it is kept up to date, so that an interrupted reading can go on from it
    """
    progress = ListProgress() if progress is None else progress
    items = progress.items
    known_before, readings, is_complete = 0, 1, False
    reading = _Reading(page_size, progress.start, items)
    for _ in range(MOST_PAGES):
        given = yield from list_page(path, model, query, reading.start, page_size)
        keys = [key(item) for item in given.data]
        for each, item in zip(keys, given.data, strict=True):
            items.setdefault(each, item)
        is_complete = given.total is None or len(items) >= given.total
        if until is not None and any(until(item) for item in given.data):
            break
        is_over = reading.is_over_after(given, keys)
        progress.start = reading.start
        if is_complete and (is_over or readings > 1):
            break
        if not is_over:
            continue
        if readings == MOST_READINGS or len(items) == known_before:
            shortfall = f"the list gave {len(items)} items, but its total is {given.total}"
            yield Log(f"GET /v1/{path}: {shortfall}", logging.WARNING)
            break
        known_before, readings, reading = len(items), readings + 1, _Reading(page_size)
    else:
        raise MicsResponseError(f"GET /v1/{path}: the list does not end after {MOST_PAGES} pages")
    return list(items.values()), is_complete


class _Reading:
    """The state of one reading of a list; ``start`` is the offset of the next page.

    No item is missing among ``_followed``: a page is accepted only if it begins with one of them.
    """

    def __init__(self, page_size: int, start: int = 0, followed: Collection[Any] = ()) -> None:
        self.start = start
        self._page_size = page_size
        self._followed: set[Any] = set(followed)
        self._width = 0
        self._reached = 0
        self._pages = 0
        self._steps_back = 0
        self._step = 1
        self._stalled = 0

    def is_over_after(self, page: Page[Any], keys: list[Any]) -> bool:
        """Move ``start`` to the next page. Return whether this page was the last."""
        given = len(keys)
        self._width = max(self._width, given)
        new = [each for each in keys if each not in self._followed]
        if len(new) == given and self._can_step_back():
            self.start = max(0, self.start - self._step)
            self._step *= 2
            return False
        self._followed.update(new)
        self._pages += 1
        self._step = max(1, self._width // 2)
        end = self.start + given
        is_furthest = given < self._width or end >= self._reached
        self._reached = end if given < self._width else max(self._reached, end)
        self._stalled = self._stalled + 1 if is_furthest and not new else 0
        if is_furthest and self._is_last(page, has_new=bool(new)):
            return True
        self.start += max(1, given - 1)
        return False

    def _can_step_back(self) -> bool:
        if self.start == 0 or self._width < 2 or self._steps_back >= self._pages + SPARE_STEPS_BACK:
            return False
        self._steps_back += 1
        return True

    def _is_last(self, page: Page[Any], *, has_new: bool) -> bool:
        given, largest = len(page.data), page.max_results
        if given == 0 or given > self._page_size:
            return True
        if not has_new:
            ignores_paging = page.first_result == 0 and self.start > 0
            return given < self._width or ignores_paging or self._stalled > MOST_STALLED_PAGES
        if page.total is not None:
            # A total may be too small, so it does not end the list after a full page.
            return self.start + given >= page.total and given < self._page_size
        # Without a total, a page with new items is the last only if it is smaller than the platform's largest. A
        # max_results that only repeats the request does not show the largest.
        return largest is not None and 0 < largest < self._page_size and given < largest
