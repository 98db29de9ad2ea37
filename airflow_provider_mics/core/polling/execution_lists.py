"""Executions as lists show them, read as cheaply as can be: most of what a list holds is nobody's business here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_mics.api.calls import Call, Flow, Steps, flow
from airflow_provider_mics.api.executions import (
    ORGANISATION_EXECUTIONS,
    executions_path,
)
from airflow_provider_mics.api.field_types import EPOCH
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.paging import MOST_PAGES, PAGE_SIZE
from airflow_provider_mics.api.responses import Page, page

M = TypeVar("M", bound=BaseModel)


class Sighting(BaseModel):
    """What a list shows of an execution, as far as it tells whether there is something to say about it.

    All but ``id`` and ``status`` are as the platform wrote them: thousands are read for each one that is looked
    into, and `as_execution` does that.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True, defer_build=True)

    id: str
    status: str
    external_model_id: Any = None
    parameters: Any = None
    creation_date: Any = None
    start_date: Any = None
    duration: Any = None
    num_tasks: Any = None
    completed_tasks: Any = None
    erroneous_tasks: Any = None

    @property
    def state(self) -> tuple[object, ...]:
        """Differs from one sighting to the next where there is news."""
        return self.status, self.completed_tasks, self.num_tasks, self.erroneous_tasks

    def may_be_of(self, instance_id: str) -> bool:
        """Whether it is an execution of that instance, as far as the platform says whose it is."""
        return self.external_model_id is None or str(self.external_model_id) == instance_id

    def as_execution(self) -> Execution:
        """The same, understood."""
        return Execution.model_validate(self.model_dump())


@dataclass(frozen=True)
class Part(Generic[M]):
    """A part of a list: what of it could be read, and how many items were ``given``."""

    items: list[M]
    given: int
    total: int | None


def part_of_list(path: str, model: type[M], query: Mapping[str, Any], first_result: int = 0) -> Call[Part[M]]:
    """One page of a list; an item that makes no sense is left out and harms no other."""
    window = {"first_result": first_result, "max_results": PAGE_SIZE}
    return Call("GET", path, _part_reader(model), {**query, **window})


def _part_reader(model: type[M]) -> Callable[[bytes], Part[M]]:
    read_all = page(model)
    read_loosely = page(cast("type[Any]", Any))

    def read(content: bytes) -> Part[M]:
        try:
            return _part(read_all(content))
        except ValidationError:
            answer = read_loosely(content)
        readable = [item for raw in answer.data if (item := _read_item(model, raw)) is not None]
        return Part(readable, len(answer.data), answer.total)

    return read


def _part(answer: Page[M]) -> Part[M]:
    return Part(answer.data, len(answer.data), answer.total)


def _read_item(model: type[M], raw: Any) -> M | None:
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None


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


Matches = Callable[[Execution], bool]


WHOLE_LIST_EVERY = 10

"""Looks. In between, a list with the same length and the same first page is taken for the same list."""


class Appearance:
    """Whether an instance has an execution that ``matches``, asked again and again."""

    def __init__(self, instance_id: str, matches: Matches) -> None:
        self._path = executions_path(instance_id)
        self._matches = matches
        self._known: Part[Execution] | None = None
        self._looks = 0

    def look(self) -> Flow[Execution | None]:
        """The execution that matches, the newest where the page that shows it has several; None where none does."""
        return Flow(self._look)

    def _look(self) -> Steps[Execution | None]:
        first = part = yield from part_of_list(self._path, Execution, {})
        found = self._matching(first)
        self._looks += 1
        if found or (self._is_known(first) and self._looks % WHOLE_LIST_EVERY):
            return found
        met = {each.id for each in first.items}
        for start in starts_of_pages(first):
            part = yield from part_of_list(self._path, Execution, {}, start)
            found = self._matching(part)
            if found or met.issuperset(each.id for each in part.items):
                break
            met.update(each.id for each in part.items)
        # A list that changed while it was read may have hidden an item between two pages.
        self._known = first if part.total == first.total else None
        return found

    def _matching(self, part: Part[Execution]) -> Execution | None:
        found = [each for each in part.items if self._matches(each)]
        return _newest(found) if found else None

    def _is_known(self, first: Part[Execution]) -> bool:
        if self._known is None or first.total is None or first.total != self._known.total:
            return False
        return [each.id for each in first.items] == [each.id for each in self._known.items]


def _newest(executions: Sequence[Execution]) -> Execution:
    return max(executions, key=lambda each: (each.creation_date or EPOCH, len(each.id), each.id))


class Target(NamedTuple):
    """One execution that is waited for."""

    instance_id: str
    execution_id: str
