"""The organisation's list of executions: one reading at each poll serves all waits.

It is read from its newest end, no further than it takes. Where that end is, is learned and remembered. What a reading
does not show is asked for in other ways, so that a list of any kind costs requests at most, and never a wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.errors import MicsApiError
from airflow_provider_mics.api.executions import ORGANISATION_EXECUTIONS
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE, MOST_PAGES, PAGE_SIZE
from airflow_provider_mics.api.responses import Page, page_of_any
from airflow_provider_mics.core.polling.listed_executions import ListedExecution, id_of

if TYPE_CHECKING:
    from airflow_provider_mics.api.clients import AsyncMicsClient

MAX_PAGES_AT_ONCE = 4
MAX_PAGES_WITHOUT_HIT = 5
"""After this many pages in a row without a wanted execution, a poll stops reading for the wanted ones."""
MAX_PAGES_FOR_NEW = 10
"""After this many pages without an execution that an earlier reading showed, new ones count as not all seen."""
MIN_KNOWN = 20
"""This many executions that an earlier reading showed mean that no newer one was missed."""
MOST_KNOWN = 10_000
"""Ids that are kept from one reading to the next."""
PAST_THE_END = (400, 404, 416)
"""Status codes with which a platform may refuse an offset beyond the end of a list."""


class ItemPage(NamedTuple):
    """The usable items of a page as JSON, with their ids. ``size`` counts all items of the page."""

    items: list[tuple[str, dict[str, Any]]]
    size: int
    total: int | None


_read_any: Callable[[bytes], Page[Any]] = page_of_any(Any, is_cleaned=False)


def read_items(content: bytes) -> ItemPage:
    """Read a page, whatever its items are like."""
    page = _read_any(content)
    items: list[tuple[str, dict[str, Any]]] = [
        (name, item) for item in page.data if (name := id_of(item)) is not None
    ]
    return ItemPage(items, page.size, page.total)


async def _get_page(client: AsyncMicsClient, start: int, size: int) -> ItemPage:
    query = {"organisation_id": None, "first_result": start, "max_results": size}
    try:
        return await client.run(Call("GET", ORGANISATION_EXECUTIONS, read_items, query))
    except MicsApiError as error:
        if start and error.from_platform and error.status_code in PAST_THE_END:
            return ItemPage([], 0, None)
        raise


class ListReading:
    """What one reading of the list showed.

    ``found`` are the wanted executions. ``new`` are those of the instances asked for that no earlier reading showed,
    by instance.
    """

    def __init__(
        self, wanted: Collection[str], instance_ids: Collection[str], known: Collection[str] | None
    ) -> None:
        self.found: dict[str, ListedExecution] = {}
        self.new: dict[str, list[ListedExecution]] = {}
        self.seen: set[str] = set()
        self.dates: list[Any] = []
        self.is_whole = False
        self._wanted = frozenset(wanted)
        self._instance_ids = frozenset(instance_ids)
        self._known = known
        self._known_seen = 0
        self._pages = 0
        self._pages_without_hit = 0
        self._shows_instances = True

    @property
    def is_continuous(self) -> bool:
        """Whether no execution that was created since the reading before is missing."""
        if self._known is None or not self._shows_instances:
            return False
        return self.is_whole or (self._has_joined and is_descending(self.dates))

    def pages_needed(self, page_size: int) -> int:
        """Return how many more pages to read at once; 0 for none."""
        missing = len(self._wanted) - len(self.found)
        is_worth_it = self._pages_without_hit < min(missing, MAX_PAGES_WITHOUT_HIT) and self._pages < len(
            self._wanted
        )
        needed = -(-missing // page_size) if is_worth_it else 0
        if self._instance_ids and self._known is not None:
            # Where the dates do not tell the order, only the whole of a short list shows what is new.
            limit = 2 if self._has_joined and not is_descending(self.dates) else MAX_PAGES_FOR_NEW
            needed = max(needed, int(not self.is_continuous and self._pages < limit))
        return min(needed, MAX_PAGES_AT_ONCE)

    def add(self, items: Iterable[tuple[str, dict[str, Any]]]) -> bool:
        """Add a page, its newest item first; return whether it has items that no earlier page had."""
        found_before, seen_before = len(self.found), len(self.seen)
        for name, item in items:
            if name in self.seen:
                continue
            self.seen.add(name)
            if name in self._wanted:
                self.found[name] = ListedExecution(name, item)
            if self._instance_ids or not self._pages:
                self.dates.append(item.get("creation_date"))
            if self._known is not None and name in self._known:
                self._known_seen += 1
            elif self._instance_ids:
                self._add_new(ListedExecution(name, item))
        self._pages += 1
        self._pages_without_hit = 0 if len(self.found) > found_before else self._pages_without_hit + 1
        return len(self.seen) > seen_before

    def _add_new(self, listed: ListedExecution) -> None:
        instance_id = listed.instance_id
        if instance_id is None:
            self._shows_instances = False
        elif instance_id in self._instance_ids:
            self.new.setdefault(instance_id, []).append(listed)

    @property
    def _has_joined(self) -> bool:
        return self._known is not None and self._known_seen >= min(MIN_KNOWN, len(self._known) or 1)


def is_descending(dates: Sequence[Any]) -> bool:
    """Whether dates, of any form but all of one, do not increase."""
    if not (
        all(isinstance(each, int | float) for each in dates) or all(isinstance(each, str) for each in dates)
    ):
        return False
    return all(later >= earlier for later, earlier in pairwise(dates))


class OrganisationList:
    """Reads the list again and again, and remembers where its newest end is, and what it has shown."""

    def __init__(self) -> None:
        self._newest_last = False
        self._end = 0
        self._width = 0
        self._known: frozenset[str] | None = None

    async def read(
        self, client: AsyncMicsClient, wanted: Collection[str], instance_ids: Collection[str] = ()
    ) -> ListReading:
        """Read the list as far as the ``wanted`` executions, and the new ones of some instances, are likely to be.

        Another page is read only while that is likely to cost less than requests by id.

        :raises MicsNotFoundError: this platform does not have that list
        """
        page_size = LARGE_PAGE_SIZE if len(wanted) > PAGE_SIZE else PAGE_SIZE
        reading = ListReading(wanted, instance_ids, self._known)
        if not self._newest_last:
            await self._read_newest_first(client, reading, page_size)
            shows_no_date = not is_descending(reading.dates) and not is_descending(reading.dates[::-1])
            is_ascending = is_descending(reading.dates[::-1]) and not is_descending(reading.dates)
            self._newest_last = not reading.is_whole and (
                is_ascending or (shows_no_date and bool(wanted) and not reading.found)
            )
        if self._newest_last:
            reading = ListReading(wanted, instance_ids, self._known)
            await self._read_newest_last(client, reading, page_size)
            self._newest_last = is_descending(reading.dates) or bool(reading.found)
        is_full = self._known is None or len(self._known) > MOST_KNOWN
        self._known = frozenset(reading.seen if is_full else reading.seen.union(self._known or ()))
        return reading

    async def _read_newest_first(self, client: AsyncMicsClient, reading: ListReading, page_size: int) -> None:
        page = await _get_page(client, 0, page_size)
        reading.add(page.items)
        reading.is_whole = not page.size or page.size > page_size
        if not reading.is_whole:
            older = range(page.size, MOST_PAGES * page.size, page.size)
            await self._read_older(client, reading, iter(older), page_size)

    async def _read_newest_last(self, client: AsyncMicsClient, reading: ListReading, page_size: int) -> None:
        start, page = await self._last_page(client, page_size)
        self._end = start + page.size
        reading.add(reversed(page.items))
        width = self._full_size(page_size)
        older = (max(0, place) for place in range(start - width, -width, -width))
        if start:
            await self._read_older(client, reading, older, page_size)

    async def _read_older(
        self, client: AsyncMicsClient, reading: ListReading, starts: Iterator[int], page_size: int
    ) -> None:
        at_once = 1
        while count := min(at_once, reading.pages_needed(page_size)):
            pages = await _get_pages(client, list(islice(starts, count)), page_size)
            is_grown = [
                reading.add(reversed(page.items) if self._newest_last else page.items) for page in pages
            ]
            if not any(is_grown):
                reading.is_whole = bool(pages) and not pages[-1].size
                return
            at_once *= 2

    async def _last_page(self, client: AsyncMicsClient, page_size: int) -> tuple[int, ItemPage]:
        """Return the last page of the list, and where it starts.

        The end is where it was at the last reading, or a little further. If not, it is searched for in growing steps.
        A ``total`` is only taken for a hint of where it is.
        """
        start = max(0, self._end - self._full_size(page_size) // 2)
        page = await _get_page(client, start, page_size)
        if not page.size and start:
            start, page = 0, await _get_page(client, 0, page_size)
        guess = 0 if self._end else (page.total or 0) - self._full_size(page_size) // 2
        step = page.size
        for _ in range(MOST_PAGES):
            is_short = page.size < self._full_size(page_size)
            if is_short and 0 < start + page.size < self._end:
                # The platform gives smaller pages than before: this one need not be the last.
                is_short, self._width = False, page.size
            self._width = max(self._width, page.size)
            if (is_short and self._end) or not page.size:
                break
            ahead = guess if guess > start + page.size else start + step
            further = await _get_page(client, ahead, page_size)
            if further.items[:1] == page.items[:1]:
                break
            if further.size:
                start, page, step = ahead, further, step * 2
            elif ahead != guess and step <= page.size:
                break
            else:
                step = page.size
            guess = 0
        return start, page

    def _full_size(self, page_size: int) -> int:
        """Return how many items a page has that is not the last one, as far as is known."""
        return min(self._width or page_size, page_size)


async def _get_pages(client: AsyncMicsClient, starts: Sequence[int], page_size: int) -> list[ItemPage]:
    """Return pages of the list, which are read at the same time."""
    tasks = [asyncio.ensure_future(_get_page(client, start, page_size)) for start in starts]
    try:
        return [await each for each in tasks]
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
