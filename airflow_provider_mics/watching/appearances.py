"""Looking for an execution that is not there yet, without reading a long history at every look."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airflow_provider_mics.api.calls import Flow, Steps
from airflow_provider_mics.api.executions import executions_path
from airflow_provider_mics.api.fields import EPOCH
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.watching.lists import starts_of_pages
from airflow_provider_mics.watching.sightings import Part, part_of_list

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
        return Flow(self._look, "look for an execution")

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
