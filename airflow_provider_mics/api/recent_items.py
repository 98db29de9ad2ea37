"""Reading the newest items of a list, at a cost that does not grow with the length of the list.

The order of a list is not documented, so it is learned from the list itself: by a date that each of its items has. A
list with the newest items first is read from its beginning. One with the newest items last is read from its end, which
the ``total`` or the last reading shows, or which is found by doubling the offset and then by bisection. Neither a
``total`` nor what was learned is relied on: the end is where the platform gives no further item. Any other list, and
one that does not stay sorted while it is read, is read whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from airflow_provider_mics.api.calls import KnownLists, Steps, flow
from airflow_provider_mics.api.errors import MicsApiError
from airflow_provider_mics.api.list_history import KnownList, ListHistory
from airflow_provider_mics.api.paging import (
    PAGE_SIZE,
    SMALLEST_CAP,
    ListResult,
    list_page,
    read_list,
    refuses_offset,
)
from airflow_provider_mics.api.responses import Page

T = TypeVar("T")
Condition = Callable[[T], bool]
MIN_SORTED_RUN = 20
"""This many items in a row, in the order of their dates, mean that their list is sorted so."""
MOST_PROBES = 64
"""Requests to find the end of a list. More mean that it has none that can be found so."""


@flow
def read_recent(
    path: str,
    model: type[T],
    key: Callable[[T], Any],
    query: Mapping[str, Any],
    *,
    date: Callable[[T], datetime | None],
    make_is_enough: Callable[[], Condition[T]],
    page_size: int = PAGE_SIZE,
    checks_first_page: bool = False,
    is_cleaned: bool = True,
) -> Steps[ListResult[T]]:
    """Read a list from its newest item on, as far back as is needed; read it whole if it is not sorted by ``date``.

    The items are in the platform's order. ``is_complete`` is False for the end of a longer list.

    :param key: the identity of an item
    :param date: the date of an item by which the list may be sorted; None where the platform does not show it
    :param make_is_enough: returns a new condition, which gets each item, from the newest to the oldest, and tells
        whether no older one is needed. It is asked for a new one where the reading begins anew.
    :param checks_first_page: whether to read the first page too of a list that is known to have its newest items last:
        a platform that shows the items in progress first, and the others by age, has items there that are needed
    :param is_cleaned: False keeps the texts of the items as they came
    :raises MicsResponseError: as in `read_list`
    """
    history: ListHistory = (yield KnownLists()) or ListHistory()

    def request(start: int) -> Steps[Page[T]]:
        return (yield from list_page(path, model, query, start, page_size, is_cleaned=is_cleaned))

    known = history.get(path)
    if known is not None:
        reading = _ReadingFromEnd(request, key, date, page_size)
        part = _NewestPart(date, make_is_enough(), min_run=2)
        try:
            if checks_first_page:
                yield from reading.check_first_page()
            return (yield from reading.read_known(known, part, lambda found: history.learn(path, found)))
        except _NotSortedError:
            history.forget(path)
    first = yield from request(0)
    if may_have_newest_last(first, date, page_size):
        reading = _ReadingFromEnd(request, key, date, page_size)
        part = _NewestPart(date, make_is_enough(), min_run=MIN_SORTED_RUN)
        try:
            return (yield from reading.read(first, part, lambda found: history.learn(path, found)))
        except _NotSortedError:
            first = yield from request(0)
    part = _NewestPart(date, make_is_enough(), min_run=MIN_SORTED_RUN)
    return (
        yield from read_list(
            path,
            model,
            key,
            query,
            page_size=page_size,
            until=part.is_read_after,
            is_cleaned=is_cleaned,
            first=first,
        )
    )


def until_all_seen(wanted: Collection[Any], key: Callable[[T], Any]) -> Callable[[], Condition[T]]:
    """Return, for `read_recent`, that no older item is needed once all of these keys were seen."""

    def make_is_enough() -> Condition[T]:
        missing = set(wanted)

        def is_enough(item: T) -> bool:
            missing.discard(key(item))
            return not missing

        return is_enough

    return make_is_enough


class _NotSortedError(Exception):
    """The list is not sorted from the oldest to the newest item, or it does not stay so while it is read."""


class _NewestPart(Generic[T]):
    """Tells where a list, read from its newest item on, has no more that is needed: only in a sorted list."""

    def __init__(
        self, date: Callable[[T], datetime | None], is_enough: Condition[T], *, min_run: int
    ) -> None:
        self._date = date
        self._is_enough = is_enough
        self._min_run = min_run
        self._is_sorted = True
        self._newest: datetime | None = None
        self._last: datetime | None = None
        self._count = 0

    def is_read_after(self, item: T) -> bool:
        """Add the next item; return whether no older one is needed."""
        date, is_enough = self._date(item), self._is_enough(item)
        if date is None or (self._last is not None and date > self._last):
            self._is_sorted = False
            return False
        self._newest = self._newest or date
        self._last = date
        self._count += 1
        return is_enough and self._is_sorted and self._count >= self._min_run and date < self._newest


def may_have_newest_last(first: Page[T], date: Callable[[T], datetime | None], page_size: int) -> bool:
    """Whether the first page is sorted from the oldest to the newest item, and may not be the whole list."""
    dates = [date(each) for each in first.data]
    if first.unreadable or len(dates) < 3 or first.size > page_size or not _are_ascending(dates):
        return False
    return dates[0] != dates[-1] and (first.total != first.size or first.size >= SMALLEST_CAP)


def _are_ascending(dates: list[datetime | None]) -> bool:
    known = [each for each in dates if each is not None]
    return len(known) == len(dates) and known == sorted(known)


@dataclass(frozen=True)
class _Slice(Generic[T]):
    """The items of one page of a list that has its newest items last."""

    start: int
    items: list[T]
    keys: list[Any]
    dates: list[datetime]
    is_last: bool
    total: int | None

    @property
    def end(self) -> int:
        return self.start + len(self.items)


class _ReadingFromEnd(Generic[T]):
    """Reads a list that has its newest items last. Its pages must agree on that, and be without gaps.

    A page is only accepted if it joins the pages after it by an item that both have. So no item is missed if the list
    changes meanwhile.
    """

    def __init__(
        self,
        request: Callable[[int], Steps[Page[T]]],
        key: Callable[[T], Any],
        date: Callable[[T], datetime | None],
        page_size: int,
    ) -> None:
        self._request = request
        self._key = key
        self._date = date
        self._page_size = page_size
        self._width = 0
        self._slices: dict[int, _Slice[T]] = {}

    def check_first_page(self) -> Steps[None]:
        """Read the first page, with which all others must agree.

        :raises _NotSortedError: it is not sorted from the oldest to the newest item
        """
        self._added(0, (yield from self._request(0)))

    def read_known(
        self, known: KnownList, part: _NewestPart[T], learn: Callable[[KnownList], None]
    ) -> Steps[ListResult[T]]:
        """Read a list of which an earlier reading knows the length.

        :raises _NotSortedError: it must be read from its first page on
        """
        self._width = min(known.width, self._page_size)
        guess = known.length - self._width + 2
        if guess <= 0 or self._width < 3:
            raise _NotSortedError
        last = yield from self._find_end(None, guess)
        if last.dates[0] == last.dates[-1]:
            raise _NotSortedError
        return (yield from self._read_back(last, part, learn))

    def read(
        self, first: Page[T], part: _NewestPart[T], learn: Callable[[KnownList], None]
    ) -> Steps[ListResult[T]]:
        """Read a list of which the first page is known.

        :raises _NotSortedError: it must be read whole
        """
        last = self._added(0, first)
        guess = last.end - 1 if first.total is None else max(last.end - 1, first.total - self._width + 2)
        last = yield from self._find_end(last, guess)
        return (yield from self._read_back(last, part, learn))

    def _find_end(self, last: _Slice[T] | None, offset: int) -> Steps[_Slice[T]]:
        """Return the last page.

        :param last: the page with the highest offset so far
        :param offset: where the first request goes
        """
        beyond: int | None = None
        step = 1 if last is None else 2
        for _ in range(MOST_PROBES):
            found = yield from self._probe(offset)
            if found is None:
                beyond = offset
            elif last is not None and set(found.keys) <= set(last.keys):
                return last
            else:
                last = found
            if last is None:
                if offset == 0:
                    break
                offset = 0
                continue
            if self._is_end(last, beyond):
                return last
            offset = self._next_probe(last, beyond, step)
            step *= 2
        raise _NotSortedError

    def _probe(self, start: int) -> Steps[_Slice[T] | None]:
        """Return the page at an offset; None if the list ends before it."""
        try:
            given = yield from self._request(start)
        except MicsApiError as error:
            if start == 0 or not refuses_offset(error):
                raise
            return None
        return self._added(start, given) if given.size else None

    def _added(self, start: int, given: Page[T]) -> _Slice[T]:
        """Check a page against the others, and keep it.

        :raises _NotSortedError: they contradict each other
        """
        keys = [self._key(each) for each in given.data]
        dates = [each for each in map(self._date, given.data) if each is not None]
        is_readable = len(dates) == given.size == len(set(keys)) <= self._page_size
        if not is_readable or dates != sorted(dates):
            raise _NotSortedError
        self._width = max(self._width, given.size)
        largest = given.max_results
        is_last = largest is not None and given.size < largest < self._page_size
        if given.total is not None and given.size < self._width:
            is_last = is_last or start + given.size == given.total
        added = _Slice(start, given.data, keys, dates, is_last, given.total)
        for other in self._slices.values():
            _check_order(*sorted((added, other), key=lambda each: each.start))
        self._slices[start] = added
        return added

    def _is_end(self, last: _Slice[T], beyond: int | None) -> bool:
        is_short = len(last.items) < self._width
        return last.is_last or (is_short and beyond is not None and last.end >= beyond)

    def _next_probe(self, last: _Slice[T], beyond: int | None, step: int) -> int:
        size = len(last.items)
        adjacent = max(last.start + 1, last.end - 1)
        if size < self._width or (beyond is not None and last.end >= beyond):
            return adjacent
        ahead = max(adjacent, last.start + (size - 1) * step)
        return ahead if beyond is None else max(adjacent, min(ahead, (adjacent + beyond) // 2))

    def _read_back(
        self, last: _Slice[T], part: _NewestPart[T], learn: Callable[[KnownList], None]
    ) -> Steps[ListResult[T]]:
        """Read from the last page on towards the beginning, as far as needed."""
        slices, keys, start, oldest = [last.items], set(last.keys), last.start, last.keys[0]
        is_enough = any(part.is_read_after(each) for each in reversed(last.items))
        while not is_enough and start > 0:
            start = max(0, start - max(1, self._width - 1))
            found = self._slices.get(start) or (yield from self._probe(start))
            if found is None or oldest not in found.keys:
                raise _NotSortedError
            new = found.keys.index(oldest)
            if new == 0 or not keys.issuperset(found.keys[new:]):
                raise _NotSortedError
            slices.append(found.items[:new])
            keys.update(found.keys[:new])
            oldest = found.keys[0]
            is_enough = any(part.is_read_after(each) for each in reversed(found.items[:new]))
        if last.end >= MIN_SORTED_RUN:
            learn(KnownList(last.end, self._width))
        items = tuple(each for given in reversed(slices) for each in given)
        return ListResult(items, {}, is_complete=start == 0, total=last.total)


def _check_order(before: _Slice[T], after: _Slice[T]) -> None:
    """Check that a page, and one that begins after it, can be of one sorted list.

    :raises _NotSortedError: they cannot. A page that is given at two offsets is at one of them by mistake.
    """
    is_ordered = before.dates[0] <= after.dates[0] and before.dates[-1] <= after.dates[-1]
    is_apart = before.end > after.start or set(before.keys).isdisjoint(after.keys)
    if not (is_ordered and is_apart):
        raise _NotSortedError
