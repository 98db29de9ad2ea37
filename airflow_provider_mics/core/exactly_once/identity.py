"""What makes an execution the same one for every try of the same piece of work.

The platform has no idempotency key, but it keeps what an execution was created with: its type and the moment it is
expected to start, to the millisecond. With the instance, these identify it on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zlib import crc32

from airflow_provider_mics.api.field_types import ExecutionType, milliseconds
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.planning.cron_ticks import Cron

OFFSET_RANGE = 10_000

"""Milliseconds within which the tasks of one run are kept apart."""

MAPPED_STEP = timedelta(milliseconds=100)

"""Between two mapped tasks of one run: more than any task is cleared times, each of which moves it by a millisecond."""

RUN_OFFSET_RANGE = 3_600_000

"""Milliseconds within which runs are kept apart that were begun in the same millisecond."""


@dataclass(frozen=True)
class TaskTry:
    """What of one try of an Airflow task decides whose execution it is. Datetimes are aware.

    ``run_moment`` is what the run is for: ``run_after`` (Airflow 3), ``queued_at`` or ``logical_date`` (2.11); for a
    scheduled run, the tick. ``generation`` counts the tries before the last clear of this task.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    run_type: str
    run_moment: datetime
    run_started: datetime
    generation: int = 0
    is_retry: bool = False

    @property
    def offset(self) -> timedelta:
        """Keeps two tasks of one run apart: without it the second would take the first's execution for its own.

        Mapped tasks are counted on from their common offset, since chance would bring two of a hundred together.
        """
        of_task = _drawn(f"{self.dag_id}.{self.task_id}.-1", OFFSET_RANGE)
        return of_task + (self.map_index + 1) * MAPPED_STEP

    @property
    def run_offset(self) -> timedelta:
        """Keeps two runs apart that the scheduler begins in one go, as it does with those cleared or backfilled."""
        return _drawn(self.run_id, RUN_OFFSET_RANGE)


def _drawn(name: str, milliseconds_range: int) -> timedelta:
    return timedelta(milliseconds=crc32(name.encode()) % milliseconds_range)


@dataclass(frozen=True)
class ExecutionIdentity:
    """One execution-to-be.

    ``tolerance`` and ``candidate_times`` are for ticks, whose moment two schedulers may record differently:
    ``candidate_times`` are the moments at which the platform may fire the same tick around a change of clocks.
    """

    instance_id: str
    execution_type: ExecutionType
    expected_start_date: datetime
    tolerance: timedelta = timedelta(0)
    candidate_times: tuple[datetime, ...] = ()

    def __str__(self) -> str:
        return f"{self.execution_type} execution of instance {self.instance_id} for {utc(self.expected_start_date)}"

    @property
    def is_scheduled(self) -> bool:
        return self.execution_type == ExecutionType.CRON

    def as_tick_of(self, cron: Cron | None) -> ExecutionIdentity:
        """The same, as it may be written down by a platform that fires ``cron``."""
        if cron is None or not cron.is_tick(self.expected_start_date):
            return self
        return replace(
            self, tolerance=cron.tolerance, candidate_times=cron.candidate_times(self.expected_start_date)
        )

    def matches(self, execution: Execution) -> bool:
        """Whether ``execution`` is this one: same type and same millisecond, or same tick within the tolerance."""
        expected = execution.expected_start_date
        if expected is None or execution.execution_type != self.execution_type:
            return False
        return any(
            timedelta(milliseconds=abs(milliseconds(expected) - milliseconds(moment))) <= self.tolerance
            for moment in (self.expected_start_date, *self.candidate_times)
        )


def identity_of(
    task_try: TaskTry,
    instance_id: str,
    *,
    execution_type: ExecutionType | None = None,
    expected_start_date: datetime | None = None,
    runs_on_cron: bool = False,
) -> ExecutionIdentity:
    """The execution that this try, and every retry of it, is about.

    ``runs_on_cron`` says that the DAG's schedule is the instance's own cron, so that a scheduled run is a tick of
    it. To the platform ``CRON`` means just that; anything else a person or a DAG asks for is MANUAL.
    """
    asked_anew = task_try.generation > 0 or task_try.run_type == "backfill"
    if not asked_anew and (
        execution_type == ExecutionType.CRON or (runs_on_cron and task_try.run_type == "scheduled")
    ):
        tick = expected_start_date or task_try.run_moment
        return ExecutionIdentity(instance_id, ExecutionType.CRON, tick)
    own_moment = task_try.run_started - task_try.run_offset if asked_anew else task_try.run_moment
    moment = expected_start_date or own_moment - task_try.offset
    generation = timedelta(milliseconds=task_try.generation)
    return ExecutionIdentity(instance_id, ExecutionType.MANUAL, moment + generation)
