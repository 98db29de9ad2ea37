"""What the history of an instance tells of how its platform fires ticks: how early, and how late.

Reading a whole history for each tick would cost more with each execution. So its newest part is examined once in a
process, and later only what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from airflow_provider_mics.api.calls import KnownLists, Steps
from airflow_provider_mics.api.executions import executions_path
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.api.list_history import ListHistory
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.core.exactly_once.twins import Lateness, observed_lateness

MOST_EXAMINED = 400
"""How many of the newest executions are examined. A platform that was late before them has to be learned anew."""
IsEnough = Callable[[Execution], bool]


@dataclass(frozen=True)
class TickFacts:
    """What was examined up to the execution that was created at ``newest``, and what it tells.

    ``lead`` is the longest time before a tick at which its execution was created.
    """

    newest: datetime
    lead: timedelta
    lateness: Lateness | None

    @classmethod
    def of(cls, executions: Sequence[Execution], tolerance: timedelta, earlier: Self | None) -> Self | None:
        """Return the facts of these executions, and those that were known before; None if there are none.

        :param tolerance: by how much the times of two executions of one tick may differ
        """
        created = [each.creation_date for each in executions if each.creation_date is not None]
        if not created:
            return earlier
        leads = [lead_of(each) for each in executions]
        facts = cls(max(created), max(leads), observed_lateness(executions, tolerance))
        return facts if earlier is None else facts.combined_with(earlier)

    def combined_with(self, other: TickFacts) -> Self:
        """Return what both tell."""
        lateness = self.lateness.combined_with(other.lateness) if self.lateness else other.lateness
        return replace(
            self, newest=max(self.newest, other.newest), lead=max(self.lead, other.lead), lateness=lateness
        )


def lead_of(execution: Execution) -> timedelta:
    """Return how long before its tick an execution was created; 0 for any other."""
    due, created = execution.expected_start_date, execution.creation_date
    if execution.execution_type != ExecutionType.CRON or due is None or created is None:
        return timedelta(0)
    return max(timedelta(0), due - created)


def is_examined(known: TickFacts | None) -> Callable[[], IsEnough]:
    """Return conditions that tell, from the newest execution on, whether all that is not known yet was read.

    What is new may be the second execution of a tick that fell before. So the reading goes back to that tick.
    """

    def make() -> IsEnough:
        oldest = None if known is None else known.newest
        count = 0

        def is_enough(execution: Execution) -> bool:
            nonlocal count, oldest
            count += 1
            created, due = execution.creation_date, execution.expected_start_date
            if count >= MOST_EXAMINED:
                return True
            if oldest is None or created is None:
                return False
            if execution.execution_type == ExecutionType.CRON and due is not None and created >= oldest:
                oldest = min(oldest, due)
            return created < oldest

        return is_enough

    return make


def recall_tick_facts(instance_id: str) -> Steps[TickFacts | None]:
    """Return what this process knows of an instance; None if nothing."""
    history: ListHistory | None = yield KnownLists()
    facts: TickFacts | None = None if history is None else history.noted(executions_path(instance_id))
    return facts


def note_tick_facts(instance_id: str, facts: TickFacts | None) -> Steps[None]:
    """Remember what an instance's history tells, for the next tick in this process."""
    history: ListHistory | None = yield KnownLists()
    if history is not None and facts is not None:
        history.note(executions_path(instance_id), facts)
