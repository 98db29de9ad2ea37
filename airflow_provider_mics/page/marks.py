"""One execution as a mark: its state, how long it took, and who fired it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from airflow_provider_mics.api.field_types import ExecutionType, from_milliseconds, milliseconds
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.core.exactly_once.handover import DEFAULT_PLATFORM_GRACE

MOST_CLOCK_ERROR = timedelta(seconds=20)
"""How much earlier than the end of its grace Airflow may seem to have created the execution of a tick."""


class FiredBy(StrEnum):
    """Who created an execution."""

    PLATFORM = "the platform"
    AIRFLOW = "Airflow"
    PERSON = "a person"
    UNKNOWN = "unknown"


class RunLink(NamedTuple):
    """A run of a DAG that waits, or waited, for an execution."""

    dag_id: str
    run_id: str


RunLinks = Mapping[str, Sequence[RunLink]]
"""The runs in Airflow by the id of their execution."""


@dataclass(frozen=True)
class Mark:
    """An execution of a batch. ``moment`` is its start, or when it is expected to start (UTC), or None."""

    execution: Execution
    state: str
    moment: datetime | None
    duration: timedelta | None
    fired_by: FiredBy
    run: RunLink | None


def mark_of(execution: Execution, links: Sequence[RunLink], user_id: str | None, now: datetime) -> Mark:
    """Return the mark of an execution.

    :param links: the runs in Airflow that wait, or waited, for it
    :param user_id: the platform's id of the user whose token Airflow has, or None if it is not known
    """
    moment = execution.start_date or execution.expected_start_date or execution.creation_date
    duration = execution.duration
    if duration is None and execution.start_date is not None and not execution.is_over:
        duration = max(timedelta(0), now - execution.start_date)
    run = links[0] if links else None
    return Mark(execution, _state(execution), moment, duration, _fired_by(execution, run, user_id), run)


def _state(execution: Execution) -> str:
    """Return the class of a status: those that a person reacts to in the same way look the same."""
    if execution.succeeded:
        return "warned" if execution.erroneous_tasks else "succeeded"
    if execution.failed:
        return "failed"
    if execution.canceled:
        return "canceled"
    if execution.is_pending:
        return "pending"
    return "running" if execution.status_is_known else "unknown"


def _fired_by(execution: Execution, run: RunLink | None, user_id: str | None) -> FiredBy:
    """Return who created an execution. A scheduled run in Airflow mostly adopts the platform's."""
    if execution.execution_type == ExecutionType.CRON:
        return FiredBy.AIRFLOW if run is not None and _is_by_airflow(execution, user_id) else FiredBy.PLATFORM
    if run is not None:
        return FiredBy.AIRFLOW
    return FiredBy.PERSON if execution.execution_type == ExecutionType.MANUAL else FiredBy.UNKNOWN


def _is_by_airflow(execution: Execution, user_id: str | None) -> bool:
    """Whether Airflow created the execution of a tick, and not the platform."""
    creator = (execution.model_extra or {}).get("user_id")
    if creator is not None and user_id is not None:
        return str(creator) == user_id
    due, created = execution.expected_start_date, execution.creation_date
    if due is None or created is None:
        return False
    return created - due >= DEFAULT_PLATFORM_GRACE - MOST_CLOCK_ERROR


def newest_first(executions: Sequence[Execution]) -> list[Execution]:
    """Return executions by when they were created; ids decide where the platform does not show that."""
    return sorted(executions, key=_age_key, reverse=True)


def _age_key(execution: Execution) -> tuple[int, int, str]:
    created = execution.creation_date or execution.start_date or execution.expected_start_date
    return (milliseconds(created) if created else 0, len(execution.id), execution.id)


EPOCH_START = from_milliseconds(0)
"""Since when the executions of an instance are known whose history was read to its beginning."""
