"""Executions as lists show them, read as cheaply as can be: most of what a list holds is nobody's business here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_mics.api.answers import Page, page
from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.paging import PAGE_SIZE

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
