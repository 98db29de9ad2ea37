"""What was read of a list, how much of it that is, and in which order it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE
from airflow_provider_mics.api.responses import Page

T = TypeVar("T", Instance, Execution)
FEWEST_FOR_AN_ORDER = 3
Order = Literal["newest first", "oldest first", "none", "unknown"]
Raw = Mapping[str, Any]
ItemsPage: TypeAlias = Page[tuple[T, Raw]]


@dataclass
class Sample(Generic[T]):
    """What was read of a list. ``items`` are values and their JSON by id, in the order in which they came.

    ``end`` says which end of the list the pages are from. ``length`` is how many items the platform gave up to the end
    of the list, or None where that end was not seen. ``is_repeated``: a later page was the first one again.
    """

    pages: list[ItemsPage[T]] = field(default_factory=list)
    items: dict[str, tuple[T, Raw]] = field(default_factory=dict)
    length: int | None = None
    end: Literal["beginning", "far end"] = "beginning"
    is_repeated: bool = False
    _unreadable: set[int] = field(default_factory=set)

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
        """How many items cannot be read."""
        return len(self._unreadable)

    @property
    def known(self) -> int:
        """How many items were given, readable or not."""
        return len(self.items) + self.unreadable

    @property
    def is_complete(self) -> bool:
        return self.length is not None and self.known >= self.length

    @property
    def is_contradictory(self) -> bool:
        """Whether the list gave nothing, and counts items all the same."""
        return bool(self.pages) and self.known == 0 and bool(self.total)

    @property
    def ignores_paging(self) -> bool:
        """Whether a page was larger than what was asked for, or a later page was the first one again."""
        return self.is_repeated or any(each.size > LARGE_PAGE_SIZE for each in self.pages)

    def looked_at(self, noun: str) -> str:
        """Return how much was read: ``500 of 100,000 executions``."""
        number = len(self.items)
        if self.is_complete:
            return f"all {number:,} {noun}"
        length = self.length if self.length is not None else self.total
        if length is None or length <= self.known:
            return f"{number:,} {noun}, and there may be more"
        return f"{number:,} of {length:,} {noun}"

    def add(self, start: int, page: ItemsPage[T]) -> bool:
        """Add a page; return whether it had an item that no earlier page had."""
        before = self.known
        # The only item of a small page may come again where the order changes from request to request.
        is_telling = page.size > 1 or (page.size == 1 and (page.total or 0) <= 1)
        if start > 0 and is_telling and _identity(page) == _identity(self.pages[0]):
            self.is_repeated = True
            return False
        self.pages.append(page)
        self._unreadable.update(start + position for position in page.unreadable)
        for value, raw in page.data:
            self.items.setdefault(value.id, (value, raw))
        return self.known > before


def _identity(page: ItemsPage[T]) -> tuple[list[str], list[int]]:
    return [value.id for value, _ in page.data], sorted(page.unreadable)


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
