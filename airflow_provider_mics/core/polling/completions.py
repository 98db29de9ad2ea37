"""Detecting ended executions of an instance, each once, also across restarts of the process that polls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from airflow_provider_mics.api.calls import Steps, flow
from airflow_provider_mics.api.errors import MicsNotFoundError
from airflow_provider_mics.api.executions import get_execution, read_recent_executions
from airflow_provider_mics.api.field_types import EPOCH, from_milliseconds, milliseconds
from airflow_provider_mics.api.models import Execution

LIST_LAG = timedelta(minutes=5)
"""How much later than others an execution may appear in the list."""
MAX_REQUESTS_BY_ID = 5
"""How many executions that are not over, and far back in the list, a look asks for by their ids."""
LATE_ARRIVAL = timedelta(hours=1)
"""How long after a newer end an older one may still show: executions end in any order, and lists lag behind."""


@dataclass(frozen=True)
class CompletionCursor:
    """Which ends of an instance's executions were processed. Its size does not grow with the history.

    ``ended`` holds the processed ends from ``since`` on, by execution id. An earlier end counts as processed, unless
    the execution was in ``still_open`` until now.
    """

    since: datetime
    ended: Mapping[str, datetime]
    still_open: frozenset[str]

    @classmethod
    def start(cls, executions: Sequence[Execution]) -> Self:
        """Return the cursor after the first read of a history: all its ends count as processed."""
        return cls(EPOCH, {}, frozenset()).advance(executions)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read the result of `to_json`.

        :raises Exception: ``value`` is something else
        """
        ended = {str(name): from_milliseconds(end) for name, end in value["ended"].items()}
        return cls(from_milliseconds(value["since"]), ended, frozenset(map(str, value["still_open"])))

    def to_json(self) -> dict[str, Any]:
        """Return the cursor as plain JSON; equal cursors give equal JSON."""
        return {
            "since": milliseconds(self.since),
            "ended": {name: milliseconds(end) for name, end in sorted(self.ended.items())},
            "still_open": sorted(self.still_open),
        }

    def new_completions(
        self, executions: Sequence[Execution], *, is_partial: bool = False
    ) -> tuple[list[Execution], Self]:
        """Return the executions that ended since, the earliest end first, and the advanced cursor.

        ``is_partial``: an execution that is not among them may still exist, and be open.
        """
        new = [each for each in executions if each.is_over and self._is_new(each)]
        return sorted(new, key=_ended_at), self.advance(executions, is_partial=is_partial)

    def _is_new(self, execution: Execution) -> bool:
        if execution.id in self.still_open:
            return True
        return _ended_at(execution) >= self.since and execution.id not in self.ended

    def advance(self, executions: Sequence[Execution], *, is_partial: bool = False) -> Self:
        """Return the cursor after these executions were processed too."""
        ended = dict(self.ended)
        for each in executions:
            if each.is_over:
                # An execution that was open until now ended now, whatever end the platform reports or adds later.
                end = _ended_at(each)
                ended[each.id] = max(end, self.since) if each.id in self.still_open else end
        since = max([self.since, *(end - LATE_ARRIVAL for end in ended.values())])
        still_open = frozenset(each.id for each in executions if not each.is_over)
        if is_partial:
            still_open |= self.still_open - {each.id for each in executions}
        return type(self)(since, {name: end for name, end in ended.items() if end >= since}, still_open)


@flow
def list_recent_executions(instance_id: str, cursor: CompletionCursor | None) -> Steps[list[Execution]]:
    """List the executions of an instance that may have ended since; all of them without a cursor.

    In a list that is sorted by creation these are the new ones, and those that were not over before. Of the latter, a
    few that are far back are asked for by their ids.
    """
    if cursor is None:
        # Whole, since an execution of any age may still run. It shows at which end the next look begins.
        listed = yield from read_recent_executions(instance_id, lambda: lambda _: False)
        return list(listed.items)
    listed = yield from read_recent_executions(instance_id, lambda: _is_read_before(cursor, frozenset()))
    executions = list(listed.items)
    missing = cursor.still_open.difference(each.id for each in executions)
    try:
        if len(missing) <= MAX_REQUESTS_BY_ID:
            for execution_id in sorted(missing):
                execution = yield from get_execution(instance_id, execution_id)
                executions.append(execution)
            return executions
    except MicsNotFoundError:
        # It is gone, or this platform does not have the route: the list tells.
        pass
    listed = yield from read_recent_executions(instance_id, lambda: _is_read_before(cursor, missing))
    return list(listed.items)


def _is_read_before(cursor: CompletionCursor, wanted: frozenset[str]) -> Callable[[Execution], bool]:
    """Return a condition that tells, from the newest execution on, whether all older ones were read before.

    What the list showed late was created at most `LIST_LAG` before an execution that it showed. ``wanted`` are read in
    any case.
    """
    missing = set(wanted)
    since = cursor.since
    has_known = False

    def is_enough(execution: Execution) -> bool:
        nonlocal since, has_known
        missing.discard(execution.id)
        created = execution.creation_date
        if created is None:
            return False
        if not has_known and (execution.id in cursor.ended or execution.id in cursor.still_open):
            has_known = True
            since = max(since, created - LIST_LAG)
        return not missing and created < since

    return is_enough


def _ended_at(execution: Execution) -> datetime:
    """Return its end; without one its start or creation, the nearest known time."""
    return execution.end_date or execution.start_date or execution.creation_date or EPOCH
