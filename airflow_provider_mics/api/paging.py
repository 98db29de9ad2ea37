"""Reading a whole list, whichever way the platform paginates it.

Lists take ``first_result`` and ``max_results``: https://developer.mediarithmics.io/resources/api-overview. Their order,
their largest page and whether they give a ``total`` are not documented.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from airflow_provider_mics.api.calls import Call, Log, Steps, flow
from airflow_provider_mics.api.errors import MicsApiError, MicsResponseError
from airflow_provider_mics.api.field_types import text
from airflow_provider_mics.api.responses import Page, page
from airflow_provider_mics.api.text import one_line

T = TypeVar("T")
PAGE_SIZE = 100
SMALLEST_CAP = 10
"""A platform may give fewer items in a page than requested, but at least so many if it has them."""
LARGE_PAGE_SIZE = 500
"""For a list that is likely to be long and is read whole, or nearly so: fewer requests."""
PAST_THE_END = (400, 404, 416, 422)
MOST_PAGES = 10_000
"""A list with more pages has no end: that is a fault of the platform."""
MOST_READINGS = 5
"""How often a list is read that has more items than it gave: it has no order, or grew at its front."""
SPARE_STEPS_BACK = 20
"""Steps back beyond one for each page. Without a limit, a list without an order would never be read."""
LONGEST_DESCRIPTION = 50
"""Characters of an unreadable item in a warning."""
MOST_STALLED_PAGES = 3
"""Full pages in a row, at the end of the known items, without a new one: so many items were added before them."""


@dataclass
class ListProgress(Generic[T]):
    """How far a list was read: its items by key, and the offset of the next page. Reading can go on from here."""

    items: dict[Any, T] = field(default_factory=dict)
    start: int = 0


def list_page(
    path: str,
    model: type[T],
    query: Mapping[str, Any],
    first_result: int,
    max_results: int,
    *,
    is_cleaned: bool = True,
) -> Call[Page[T]]:
    """Return the call for one page of a list; see `page` for ``is_cleaned``."""
    read = page(model, is_cleaned=is_cleaned)
    return Call("GET", path, read, {**query, "first_result": first_result, "max_results": max_results})


@flow
def whole_list(
    path: str,
    model: type[T],
    key: Callable[[T], Any],
    query: Mapping[str, Any],
    *,
    page_size: int = PAGE_SIZE,
    until: Callable[[T], bool] | None = None,
    is_cleaned: bool = True,
) -> Steps[list[T]]:
    """Return all items of a list, each once, in the platform's order.

    Works with and without ``total``, for lists that ignore paging, and for pages smaller than requested. Each page
    overlaps the one before by one item. If the overlap is missing, items were removed while the list was read, and
    the reading steps back so that none is skipped. Pages of one item cannot overlap, so they lack that protection.

    :param key: the identity of an item
    :param until: no further page is read after the first page with an item for which it is true
    :param is_cleaned: False keeps the texts of the items as they came
    :raises MicsResponseError: the list does not end, or no item of a page can be read
    """
    listed = yield from read_list(
        path, model, key, query, page_size=page_size, until=until, is_cleaned=is_cleaned
    )
    return list(listed.items)


@dataclass(frozen=True)
class ListResult(Generic[T]):
    """The items of a list that can be read, each once, and the others as JSON, by their position in the list.

    ``is_complete``: all items of the list were given and can be read. A list without ``total`` counts as given whole if
    it was read to its end.
    ``total`` is the platform's, or None.
    """

    items: tuple[T, ...]
    unreadable: Mapping[int, Any]
    is_complete: bool
    total: int | None


@flow
def read_list(
    path: str,
    model: type[T],
    key: Callable[[T], Any],
    query: Mapping[str, Any],
    *,
    page_size: int = PAGE_SIZE,
    until: Callable[[T], bool] | None = None,
    progress: ListProgress[T] | None = None,
    is_cleaned: bool = True,
    first: Page[T] | None = None,
) -> Steps[ListResult[T]]:
    """Read a list as `whole_list` does; an item that cannot be read is left out, with a warning.

    :param progress: where to begin; it is kept up to date, so that an interrupted reading can go on from it
    :param first: the first page, if the caller has just read it
    """
    progress = ListProgress() if progress is None else progress
    items = progress.items
    unreadable: dict[int, Any] = {}
    known_before, readings, is_whole = 0, 1, False
    same_page_start = 0
    last_page: tuple[list[Any], dict[int, Any]] = ([], {})
    reading = _Reading(page_size, progress.start, items)
    given: Page[T] | None = None
    for _ in range(MOST_PAGES):
        if first is None:
            given = yield from _next_page(
                list_page(path, model, query, reading.start, page_size, is_cleaned=is_cleaned), given
            )
        else:
            given, first = first, None
        keys = [key(item) for item in given.data]
        for each, item in zip(keys, given.data, strict=True):
            items.setdefault(each, item)
        # The same page again is no further page: the platform ignores paging.
        same_page_start = reading.start if (keys, given.unreadable) != last_page else same_page_start
        last_page = list(keys), given.unreadable
        for position, item in sorted(given.unreadable.items()):
            unreadable[same_page_start + position] = item
            keys.insert(position, _UnreadableAt(same_page_start + position))
        known = len(items) + len(unreadable)
        is_whole = given.total is None or known >= given.total
        if until is not None and any(until(item) for item in given.data):
            is_whole = is_whole and given.total is not None
            break
        is_over = reading.is_over_after(given, keys)
        progress.start = reading.start
        if is_whole and (is_over or readings > 1):
            break
        if not is_over:
            continue
        if readings == MOST_READINGS or known == known_before:
            shortfall = f"the list gave {known} items, but its total is {given.total}"
            yield Log(f"GET /v1/{path}: {shortfall}", logging.WARNING)
            break
        known_before, readings, reading = known, readings + 1, _Reading(page_size)
    else:
        raise MicsResponseError(f"GET /v1/{path}: the list does not end after {MOST_PAGES} pages")
    if unreadable:
        yield Log(f"GET /v1/{path}: {_described(unreadable)}", logging.WARNING)
    return ListResult(tuple(items.values()), unreadable, is_whole and not unreadable, given.total)


def _next_page(request: Call[Page[T]], before: Page[T] | None) -> Steps[Page[T]]:
    """Return a page. A refusal is an empty page where the offset is the end: after a page of one item."""
    try:
        return (yield from request)
    except MicsApiError as error:
        if before is None or before.size != 1 or not refuses_offset(error):
            raise
    return before.model_copy(update={"data": [], "unreadable": {}})


def refuses_offset(error: MicsApiError) -> bool:
    """Whether this may be the platform's refusal of an offset beyond the end of a list."""
    return error.from_platform and error.status_code in PAST_THE_END


class _UnreadableAt(NamedTuple):
    """The key of an item that cannot be read: it has none of its own."""

    position: int


def _described(unreadable: Mapping[int, Any]) -> str:
    position, item = min(unreadable.items())
    what = "an object without a usable id" if isinstance(item, dict) else text(item) or "null"
    return (
        f"{len(unreadable)} items of the list cannot be read and are left out; "
        f"the first, at position {position}, is {one_line(what, LONGEST_DESCRIPTION)}"
    )


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
        given, largest = page.size, page.max_results
        if given == 0 or given > self._page_size:
            return True
        if not has_new:
            ignores_paging = page.first_result == 0 and self.start > 0
            return given < self._width or ignores_paging or self._stalled > MOST_STALLED_PAGES
        if page.total is not None and self.start + given <= page.total:
            # A total may be too small, so it does not end the list after a full page. Or it may be that of the page.
            is_trusted = given < self._page_size and (self.start > 0 or given < SMALLEST_CAP)
            return self.start + given == page.total and is_trusted
        # Without a total, or with one that is smaller than what was given, a page with new items is the last only if
        # it is smaller than the platform's largest. A max_results that only repeats the request does not show the
        # largest.
        return largest is not None and 0 < largest < self._page_size and given < largest
