"""Finding executions in the platform's lists, whose order nobody has promised, in as few pages as can be."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from airflow_provider_mics.api.calls import Steps, flow
from airflow_provider_mics.api.executions import ORGANISATION_EXECUTIONS, executions_path
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.paging import MOST_PAGES
from airflow_provider_mics.watching.sightings import Part, Sighting, part_of_list

E = TypeVar("E", Sighting, Execution)

MOST_PAGES_IN_VAIN = 5
"""Pages in a row without any of the awaited, after which one look goes no further into a list."""


@dataclass
class ListOrder:
    """What was learned of a list: whether its newest items come last. The bet is that they come first."""

    newest_last: bool = False


@dataclass
class _Search(Generic[E]):
    """The awaited ids, which of them were found, and how many pages in a row held none."""

    wanted: frozenset[str]
    found: dict[str, E] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)
    pages: int = 0
    in_vain: int = 0

    @property
    def missing(self) -> int:
        return len(self.wanted) - len(self.found)

    @property
    def is_worth_a_page(self) -> bool:
        """Whether another page is likely to cost less than asking for what is missing by its id."""
        return self.in_vain < min(self.missing, MOST_PAGES_IN_VAIN) and self.pages < len(self.wanted)

    def take(self, part: Part[E]) -> bool:
        """Note what a page holds; False where it holds nothing that was not met before."""
        found_before, met_before = len(self.found), len(self.met)
        for item in part.items:
            self.met.add(item.id)
            if item.id in self.wanted:
                self.found.setdefault(item.id, item)
        self.pages += 1
        self.in_vain = 0 if len(self.found) > found_before else self.in_vain + 1
        return len(self.met) > met_before


@flow
def find_in_organisation(wanted: Collection[str], order: ListOrder) -> Steps[dict[str, Sighting]]:
    """Those of the ``wanted`` ids that the organisation's list shows where its newest are; ``order`` learns where.

    What is missing from the result can still be in the list: another page is read only while that costs less than
    asking for what is missing by its id.

    :raises MicsNotFoundError: this platform does not have that list
    """
    search: _Search[Sighting] = _Search(frozenset(wanted))
    query = {"organisation_id": None}
    first = yield from part_of_list(ORGANISATION_EXECUTIONS, Sighting, query)
    search.take(first)
    found_first = len(search.found)
    if order.newest_last:
        search.in_vain = 0
    for start in starts_of_pages(first, from_the_end=order.newest_last):
        if not search.is_worth_a_page:
            break
        if not search.take((yield from part_of_list(ORGANISATION_EXECUTIONS, Sighting, query, start))):
            break
    order.newest_last = len(search.found) > found_first if order.newest_last else not search.found
    return search.found


@flow
def find_in_instance(instance_id: str, wanted: Collection[str]) -> Steps[dict[str, Execution]]:
    """Those of the ``wanted`` executions that the instance's list shows, read to its end if need be."""
    search: _Search[Execution] = _Search(frozenset(wanted))
    path = executions_path(instance_id)
    first = yield from part_of_list(path, Execution, {})
    search.take(first)
    for start in starts_of_pages(first):
        if not search.missing or not search.take((yield from part_of_list(path, Execution, {}, start))):
            break
    return search.found


def starts_of_pages(first: Part[Any], *, from_the_end: bool = False) -> Iterator[int]:
    """Where the pages after the first begin; from the end of the list only where the platform says its length."""
    if first.given == 0:
        return
    if from_the_end:
        yield from range((first.total or 0) - first.given, 0, -first.given)
    else:
        end = MOST_PAGES * first.given if first.total is None else first.total
        yield from range(first.given, end, first.given)
