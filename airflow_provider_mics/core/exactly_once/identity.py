"""Identify the execution of a piece of work, so that every try of it refers to the same execution.

The platform has no idempotency key, but it keeps what an execution was created with: its type and its expected start
date, to the millisecond. Together with the instance, these identify it on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zlib import crc32

from airflow_provider_mics.api.field_types import ExecutionType, milliseconds
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.planning.cron_ticks import Cron

TASK_OFFSET_RANGE_MS = 10_000
"""The offsets that keep the tasks of one run apart are smaller than this many milliseconds."""
MAPPED_STEP = timedelta(milliseconds=100)
"""Between two mapped tasks of one run. A clear moves a task by a millisecond, and no task is cleared so often."""
STRANGER_AGE = timedelta(hours=1)
"""An execution that was created so long before the run began is of another run, even if a clock is wrong."""
RUN_OFFSET_RANGE_MS = 3_600_000
"""The offsets that keep runs of the same start date apart are smaller than this many milliseconds."""


@dataclass(frozen=True)
class TaskTry:
    """What identifies the piece of work of one try of an Airflow task. Datetimes are aware.

    ``run_moment`` is the time of the run: ``run_after`` (Airflow 3), ``queued_at`` or ``logical_date`` (2.11); for a
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
        """Keeps two tasks of one run apart: without it the second would adopt the execution of the first.

        Mapped tasks are numbered from the offset they have in common: of a hundred hashes, two are likely to collide.
        """
        task_offset = _hash_offset(f"{self.dag_id}.{self.task_id}.-1", TASK_OFFSET_RANGE_MS)
        return task_offset + (self.map_index + 1) * MAPPED_STEP

    @property
    def run_offset(self) -> timedelta:
        """Keeps runs apart that the scheduler starts together, as it does with cleared or backfilled ones."""
        return _hash_offset(self.run_id, RUN_OFFSET_RANGE_MS)


def _hash_offset(name: str, range_ms: int) -> timedelta:
    return timedelta(milliseconds=crc32(name.encode()) % range_ms)


@dataclass(frozen=True)
class ExecutionIdentity:
    """What identifies one execution, whether it exists yet or not.

    ``tolerance`` and ``candidate_times`` are for ticks, whose time two schedulers may record differently:
    ``candidate_times`` are the times at which the platform may fire the same tick around a change of clocks.
    Executions created before ``not_before`` are of other runs.
    """

    instance_id: str
    execution_type: ExecutionType
    expected_start_date: datetime
    tolerance: timedelta = timedelta(0)
    candidate_times: tuple[datetime, ...] = ()
    not_before: datetime | None = None

    def __str__(self) -> str:
        return f"{self.execution_type} execution of instance {self.instance_id} for {utc(self.expected_start_date)}"

    @property
    def is_scheduled(self) -> bool:
        """Whether it is a tick of the instance's cron."""
        return self.execution_type == ExecutionType.CRON

    def as_tick_of(self, cron: Cron | None) -> ExecutionIdentity:
        """Return this identity with the tolerance and the candidate times of a tick of ``cron``."""
        if cron is None or not cron.is_tick(self.expected_start_date):
            return self
        return replace(
            self, tolerance=cron.tolerance, candidate_times=cron.candidate_times(self.expected_start_date)
        )

    def matches(self, execution: Execution) -> bool:
        """Whether ``execution`` has this identity: same type and same millisecond, or tick within the tolerance."""
        expected = execution.expected_start_date
        if expected is None or execution.execution_type != self.execution_type:
            return False
        return self._is_near(expected, self.tolerance)

    def may_match(self, execution: Execution) -> bool:
        """Whether ``execution`` may have this identity, as far as the platform shows its type and its moment."""
        other_types = set(ExecutionType) - {self.execution_type}
        if execution.execution_type in other_types:
            return False
        expected = execution.expected_start_date
        if expected is None:
            return True
        rounding = timedelta(seconds=1) if execution.parameters.moment_is_rounded else timedelta(0)
        return self._is_near(expected, self.tolerance + rounding)

    def _is_near(self, moment: datetime, tolerance: timedelta) -> bool:
        return any(
            timedelta(milliseconds=abs(milliseconds(moment) - milliseconds(each))) <= tolerance
            for each in (self.expected_start_date, *self.candidate_times)
        )


def identity_of(
    task_try: TaskTry,
    instance_id: str,
    *,
    execution_type: ExecutionType | None = None,
    expected_start_date: datetime | None = None,
    runs_on_cron: bool = False,
) -> ExecutionIdentity:
    """Return the identity of the execution of this try and of every retry of it.

    ``expected_start_date`` is an aware datetime. ``runs_on_cron`` says that the DAG's schedule is the instance's own
    cron, so that a scheduled run is a tick of it. To the platform, ``CRON`` means just that; anything else that a
    person or a DAG asks for is MANUAL.
    """
    is_rerun = task_try.generation > 0 or task_try.run_type == "backfill"
    if not is_rerun and (
        execution_type == ExecutionType.CRON or (runs_on_cron and task_try.run_type == "scheduled")
    ):
        tick = expected_start_date or task_try.run_moment
        return ExecutionIdentity(instance_id, ExecutionType.CRON, tick)
    own_moment = task_try.run_started - task_try.run_offset if is_rerun else task_try.run_moment
    moment = expected_start_date or own_moment - task_try.offset
    generation = timedelta(milliseconds=task_try.generation)
    return ExecutionIdentity(
        instance_id,
        ExecutionType.MANUAL,
        moment + generation,
        not_before=task_try.run_started - STRANGER_AGE,
    )
