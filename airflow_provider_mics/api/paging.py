"""Reading a list whole, whatever form the platform gives it in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from airflow_provider_mics.api.calls import Call, Flow, Log, Steps, flow
from airflow_provider_mics.api.errors import MicsResponseError
from airflow_provider_mics.api.responses import Page, page

T = TypeVar("T")
PAGE_SIZE = 100
LARGE_PAGE_SIZE = 500
"""For a list that is likely to be long and is read whole, or nearly so: fewer requests."""
MOST_PAGES = 10_000
"""A list that goes on after so many pages is a fault of the platform's, not a list."""
MOST_READINGS = 5
"""How often a list is begun again that says to hold more than it gave: it has no order, or grew at its front."""
SPARE_STEPS_BACK = 20
"""Steps back beyond one for each page: a list without an order would be stepped back in for ever."""
MOST_STALLED_PAGES = 3
"""Full pages in a row at the end of what is known that bring nothing new: as many items came in front of them."""


def list_page(
    path: str, model: type[T], query: Mapping[str, Any], first_result: int, max_results: int
) -> Call[Page[T]]:
    """One page of a list."""
    return Call("GET", path, page(model), {**query, "first_result": first_result, "max_results": max_results})


def whole_list(
    path: str,
    model: type[T],
    key: Callable[[T], Any],
    query: Mapping[str, Any],
    *,
    page_size: int = PAGE_SIZE,
    until: Callable[[T], bool] | None = None,
) -> Flow[list[T]]:
    """All items of a list, each once, in the platform's order; no further page is read once ``until`` holds.

    Works with and without ``total``, for lists that ignore paging and for a platform that gives smaller pages than
    asked for. Each page is asked for one item early, so that it must hold something already seen: if it does not,
    items before it went away while we read, and the reading steps back so that none is skipped. (Pages of one item
    cannot overlap; there, nothing protects against that.)

    :raises MicsResponseError: the list does not end
    """
    return _whole_list(path, model, key, query, page_size, until)


@flow
def _whole_list(
    path: str,
    model: type[T],
    key: Callable[[T], Any],
    query: Mapping[str, Any],
    page_size: int,
    until: Callable[[T], bool] | None,
) -> Steps[list[T]]:
    items: dict[Any, T] = {}
    known_before, readings = 0, 1
    reading = _Reading(page_size)
    for _ in range(MOST_PAGES):
        answer = yield from list_page(path, model, query, reading.start, page_size)
        keys = [key(item) for item in answer.data]
        for each, item in zip(keys, answer.data, strict=True):
            items.setdefault(each, item)
        if until is not None and any(until(item) for item in answer.data):
            break
        is_over = reading.is_over_after(answer, keys)
        is_complete = answer.total is None or len(items) >= answer.total
        if readings > 1 and is_complete:
            break
        if not is_over:
            continue
        if is_complete:
            break
        if readings == MOST_READINGS or len(items) == known_before:
            yield Log(
                f"GET /v1/{path}: the list gave {len(items)} items, of {answer.total} it says",
                logging.WARNING,
            )
            break
        known_before, readings, reading = len(items), readings + 1, _Reading(page_size)
    else:
        raise MicsResponseError(f"GET /v1/{path}: the list does not end after {MOST_PAGES} pages")
    return list(items.values())


class _Reading:
    """Where one reading of a list stands, from its beginning to its end.

    ``_followed`` are the items up to where no gap can be: a page is taken only if it begins among them.
    """

    def __init__(self, page_size: int) -> None:
        self.start = 0
        self._page_size = page_size
        self._followed: set[Any] = set()
        self._width = 0
        self._reached = 0
        self._pages = 0
        self._steps_back = 0
        self._step = 1
        self._stalled = 0

    def is_over_after(self, answer: Page[Any], keys: list[Any]) -> bool:
        """Move ``start`` to where the next page begins; True where that page was the last."""
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
        if is_furthest and self._is_last(answer, bool(new)):
            return True
        self.start += max(1, given - 1)
        return False

    def _can_step_back(self) -> bool:
        if self.start == 0 or self._width < 2 or self._steps_back >= self._pages + SPARE_STEPS_BACK:
            return False
        self._steps_back += 1
        return True

    def _is_last(self, answer: Page[Any], has_news: bool) -> bool:
        given, gives = len(answer.data), answer.max_results
        if given == 0 or given > self._page_size:
            return True
        if not has_news:
            ignores_paging = answer.first_result == 0 and self.start > 0
            return given < self._width or ignores_paging or self._stalled > MOST_STALLED_PAGES
        if answer.total is not None:
            # A full page is not taken for the last one on the word of a total alone.
            return self.start + given >= answer.total and given < self._page_size
        # Without a total, a page with news is known to be the last only where the platform says how large a page
        # can be, and this one is smaller. One that echoes what we asked for may still give less.
        return gives is not None and 0 < gives < self._page_size and given < gives
