"""Detecting ended executions of an instance, each once, also across restarts of the process that polls."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from airflow_provider_mics.api.calls import Call, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.executions import execution_path, may_lack_route, read_recent_executions
from airflow_provider_mics.api.field_types import EPOCH, from_milliseconds, milliseconds
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.responses import one

LIST_LAG = timedelta(minutes=5)
"""How much later than others an execution may appear in the list."""
MAX_REQUESTS_BY_ID = 5
"""How many executions that are not over, and far back in the list, a look asks for by their ids."""
MOST_READ_BACK = 2000
"""Executions that a look reads in search of those that are not over, where the platform has no request by id."""
MOST_OPEN = 500
"""Executions that are not over and are followed; beyond, the oldest are given up."""
FARTHEST_END = timedelta(days=1)
"""An end that is farther ahead comes of a wrong duration or clock. It must not make later ends count as processed."""
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
    def start(cls, executions: Sequence[Execution], now: datetime) -> Self:
        """Return the cursor after the first read of a history: all its ends count as processed."""
        return cls(EPOCH, {}, frozenset()).advance(executions, now)

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
        self, executions: Sequence[Execution], now: datetime, *, not_read: Collection[str] = ()
    ) -> tuple[list[Execution], Self]:
        """Return the executions that ended since, the earliest end first, and the advanced cursor.

        :param executions: what was read of the instance's executions
        :param now: the time of this machine
        :param not_read: executions that may exist and be open although they are not among ``executions``
        """
        new = [each for each in executions if each.is_over and self._is_new(each, now)]
        return sorted(new, key=_ended_at), self.advance(executions, now, not_read=not_read)

    def _is_new(self, execution: Execution, now: datetime) -> bool:
        if execution.id in self.still_open:
            return True
        return _ended_at(execution) >= self._since(now) and execution.id not in self.ended

    def _since(self, now: datetime) -> datetime:
        return self.since if self.since - now < FARTHEST_END else now

    def advance(
        self, executions: Sequence[Execution], now: datetime, *, not_read: Collection[str] = ()
    ) -> Self:
        """Return the cursor after these executions were processed too."""
        ended = dict(self.ended)
        newest = self._since(now) + LATE_ARRIVAL
        for each in executions:
            if each.is_over:
                # An execution that was open until now ended now, whatever end the platform reports or adds later.
                end = _ended_at(each)
                ended[each.id] = max(end, newest if each.id in self.still_open else ended.get(each.id, end))
        believable = (end - LATE_ARRIVAL for end in ended.values() if end - now < FARTHEST_END)
        since = max([self._since(now), *believable])
        still_open = {each.id for each in executions if _may_end(each)}
        still_open |= self.still_open.intersection(not_read) - {each.id for each in executions}
        newest_open = sorted(still_open, key=lambda name: (len(name), name))[-MOST_OPEN:]
        kept = {name: end for name, end in ended.items() if end >= since}
        return type(self)(since, kept, frozenset(newest_open))


class RecentExecutions(NamedTuple):
    """What `list_recent_executions` read. ``not_read`` were not over before, and may still not be."""

    executions: list[Execution]
    not_read: frozenset[str] = frozenset()


@flow
def list_recent_executions(instance_id: str, cursor: CompletionCursor | None) -> Steps[RecentExecutions]:
    """List the executions of an instance that may have ended since; all of them without a cursor.

    In a list that is sorted by creation these are the new ones, and those that were not over before. Of the latter, a
    few that are far back are asked for by their ids, other ones at each look.
    """
    if cursor is None:
        # Whole, since an execution of any age may still run. It shows at which end the next look begins.
        listed = yield from read_recent_executions(instance_id, lambda: lambda _: False)
        return RecentExecutions(list(listed.items))
    listed = yield from read_recent_executions(instance_id, lambda: _is_read_before(cursor, frozenset()))
    executions = list(listed.items)
    missing = cursor.still_open.difference(each.id for each in executions)
    asked = random.sample(sorted(missing), min(len(missing), MAX_REQUESTS_BY_ID))
    for execution_id in asked:
        path = execution_path(instance_id, execution_id)
        try:
            executions.append((yield from Call("GET", path, one(Execution, has_id=execution_id))))
        except MicsError as error:
            if not may_lack_route(error):
                raise
            # It is gone, or this platform does not have the route: the list tells.
            listed = yield from read_recent_executions(
                instance_id, lambda: _is_read_before(cursor, missing, MOST_READ_BACK)
            )
            not_read = frozenset() if listed.is_complete else missing - {execution_id}
            return RecentExecutions(list(listed.items), not_read)
    return RecentExecutions(executions, missing.difference(asked))


def _is_read_before(
    cursor: CompletionCursor, wanted: frozenset[str], most: int = 0
) -> Callable[[Execution], bool]:
    """Return a condition that tells, from the newest execution on, whether all older ones were read before.

    What the list showed late was created at most `LIST_LAG` before an execution that it showed. ``wanted`` are read in
    any case, unless they are further back than ``most`` executions.
    """
    missing = set(wanted)
    since = cursor.since
    has_known = False
    count = 0

    def is_enough(execution: Execution) -> bool:
        nonlocal since, has_known, count
        count += 1
        missing.discard(execution.id)
        created = execution.creation_date
        if created is None:
            return False
        if not has_known and (execution.id in cursor.ended or execution.id in cursor.still_open):
            has_known = True
            since = max(since, created - LIST_LAG)
        return created < since and (not missing or count >= most)

    return is_enough


def _may_end(execution: Execution) -> bool:
    """Whether it is not over. A status that this version does not know is taken for an end if there is a duration."""
    return not execution.is_over and (execution.status_is_known or execution.end_date is None)


def _ended_at(execution: Execution) -> datetime:
    """Return its end; without one its start or creation, the nearest known time."""
    return execution.end_date or execution.start_date or execution.creation_date or EPOCH
