"""Identify the execution of a piece of work, so that every try of it refers to the same execution.

The platform has no idempotency key, but it keeps what an execution was created with: its type and its expected start
date, to the millisecond. Together with the instance, these identify it on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from airflow_provider_mics.api.field_types import ExecutionType, from_milliseconds, milliseconds
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.exactly_once.moments import (
    CLOCK_TOLERANCE,
    EARLIEST,
    Moments,
    TaskName,
    WorkName,
    moments_at_once,
    moments_in_second,
)
from airflow_provider_mics.core.planning.cron_ticks import Cron

DATED_RUNS = ("scheduled", "backfill")
"""Types of runs whose logical date says what they are for. Airflow gives a date to one run of a DAG only."""
STRANGER_AGE = timedelta(hours=1)
"""An execution that was created so long before the run began is of another run, even if a clock is wrong."""


@dataclass(frozen=True)
class TaskTry:
    """What identifies the piece of work of one try of an Airflow task. Datetimes are aware.

    ``run_moment`` is the time of the run: ``run_after`` (Airflow 3) or ``logical_date`` (2.11); for a scheduled run or
    a backfill, the tick. ``logical_date`` is None for a run without one. ``try_started`` is when this try began; None
    means not before ``run_started``. ``generation`` counts the tries before the last clear of this task.
    ``siblings`` are the tasks of the DAG that create executions.
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
    logical_date: datetime | None = None
    try_started: datetime | None = None
    siblings: tuple[TaskName, ...] = ()

    @property
    def work(self) -> WorkName:
        return WorkName(
            self.dag_id, self.run_id, self.task_id, self.map_index, self.generation, self.siblings
        )

    @property
    def started(self) -> datetime:
        """When the run began. Airflow gives the runs of its test commands their logical date as their start."""
        if self.try_started is None or EARLIEST <= self.run_started <= self.try_started + CLOCK_TOLERANCE:
            return self.run_started
        return self.try_started


@dataclass(frozen=True)
class ExecutionIdentity:
    """What identifies one execution, whether it exists yet or not.

    ``tolerance`` and ``candidate_times`` are for ticks, whose time two schedulers may record differently:
    ``candidate_times`` are the times at which the platform may fire the same tick around a change of clocks.

    ``moments`` is None for what several may share on purpose, as a tick. Otherwise the execution belongs to one piece
    of work, and ``expected_start_date`` is the moment after ``attempt`` others that strangers have. Executions
    created before ``not_before`` are strangers'. ``is_settled`` says that an earlier try left this moment.
    """

    instance_id: str
    execution_type: ExecutionType
    expected_start_date: datetime
    tolerance: timedelta = timedelta(0)
    candidate_times: tuple[datetime, ...] = ()
    moments: Moments | None = None
    attempt: int = 0
    not_before: datetime | None = None
    is_settled: bool = False

    def __str__(self) -> str:
        name = f"{self.execution_type} execution of instance {self.instance_id}"
        # A moment that only tells executions apart says nothing to people.
        is_at_once = self.moments is not None and self.moments.is_wide
        return name if is_at_once else f"{name} for {utc(self.expected_start_date)}"

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
        """Whether ``execution`` has this identity: same type and millisecond, or tick within the tolerance."""
        created = execution.creation_date
        is_stranger = created is not None and self.not_before is not None and created < self.not_before
        return not is_stranger and self.has_moment_of(execution)

    def has_moment_of(self, execution: Execution) -> bool:
        """Whether ``execution``, a stranger's too, has the type and the moment of this identity."""
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

    def was_sent_as(self, execution: Execution) -> bool:
        """Whether ``execution``, as the platform answered, has the type and the moment that were sent."""
        expected = execution.expected_start_date
        return execution.execution_type == self.execution_type and (
            expected is not None and milliseconds(expected) == milliseconds(self.expected_start_date)
        )

    def settled_at(self, moment: datetime) -> ExecutionIdentity:
        """Return the identity at the moment that an earlier try of this piece of work took."""
        return replace(self, expected_start_date=moment, is_settled=True)

    def next(self) -> ExecutionIdentity:
        """Return the identity at the next moment, because a stranger has this one.

        :raises ValueError: it is an identity that several may share
        """
        if self.moments is None:
            raise ValueError(f"{self} has one moment")
        attempt = self.attempt + 1
        return replace(self, attempt=attempt, expected_start_date=self.moments.at(attempt))


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
        tick = milliseconds(expected_start_date or task_try.run_moment)
        return ExecutionIdentity(instance_id, ExecutionType.CRON, from_milliseconds(tick))
    if expected_start_date is not None:
        moments = moments_in_second(task_try.work, expected_start_date, task_try.started)
    else:
        date = task_try.logical_date
        is_own_date = date is not None and task_try.run_type in DATED_RUNS
        moments = moments_at_once(
            task_try.work, date or task_try.run_moment, task_try.started, is_own_date=is_own_date
        )
    return ExecutionIdentity(
        instance_id,
        ExecutionType.MANUAL,
        moments.at(0),
        moments=moments,
        not_before=task_try.started - STRANGER_AGE,
    )
