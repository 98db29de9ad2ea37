"""One try of an Airflow task, read from its context on Airflow 2.11 and 3.x."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.api.field_types import from_milliseconds, milliseconds
from airflow_provider_mics.core.exactly_once.identity import DATED_RUNS, ExecutionIdentity, TaskTry
from airflow_provider_mics.core.exactly_once.moments import TaskName
from airflow_provider_mics.runtime.generations import generation_of, read_try_state, write_try_state

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import Context


def task_try_of(context: Context, siblings: tuple[TaskName, ...] = ()) -> TaskTry:
    """Return what the identity of this try's execution depends on.

    ``siblings`` are the tasks of the DAG that create executions.
    """
    task_instance: Any = context["ti"]
    dag_run: Any = context["dag_run"]
    run_type = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    moment = _run_moment(dag_run, run_type)
    generation = generation_of(context)
    is_test = _is_task_test(context)
    return TaskTry(
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_instance.task_id,
        map_index=task_instance.map_index,
        run_type="manual" if is_test else run_type,
        run_moment=moment,
        run_started=dag_run.start_date or moment,
        generation=generation,
        is_retry=task_instance.try_number - 1 > generation and not is_test,
        logical_date=getattr(dag_run, "logical_date", None),
        # Airflow 2 gives none to a task of `airflow dags test`.
        try_started=getattr(task_instance, "start_date", None) or datetime.now(UTC),
        siblings=siblings,
    )


def _is_task_test(context: Context) -> bool:
    """Whether this is ``airflow tasks test``. If the date has a run, Airflow gives the test that run's try number."""
    is_test_mode: Any = context.get("test_mode", False)
    return bool(is_test_mode) or os.environ.get("AIRFLOW_TEST_MODE") == "True"


def _run_moment(dag_run: Any, run_type: str) -> datetime:
    """Return the time that the run is for: ``run_after`` (Airflow 3), or the end of a scheduled or backfilled interval.

    Of any other run of Airflow 2 it is the logical date: a clear sets ``queued_at`` anew, also one of another task.
    """
    run_after: datetime | None = getattr(dag_run, "run_after", None)
    if run_after is not None:
        return run_after
    end: datetime | None = dag_run.data_interval_end if run_type in DATED_RUNS else None
    logical_date: datetime = dag_run.logical_date
    return end or logical_date


def deadline_of(context: Context, timeout: timedelta | None) -> datetime | None:
    """Return when this try must have ended (UTC): ``timeout`` from now, or at its ``execution_timeout``.

    Airflow 3 does not count the time of a deferral towards ``execution_timeout``, so the wait enforces it.
    """
    deadlines = [datetime.now(UTC) + timeout] if timeout is not None else []
    execution_timeout = context["task"].execution_timeout
    if execution_timeout is not None:
        started: datetime = context["ti"].start_date or datetime.now(UTC)
        deadlines.append(started + execution_timeout)
    return min(deadlines, default=None)


def wait_started_at(context: Context) -> datetime:
    """Return when this try began to wait; for a rescheduled sensor, when it first ran.

    ``start_date`` is not enough: Airflow gives a rescheduled sensor a new one each time it runs again.
    """
    task_instance: Any = context["ti"]
    if getattr(context["task"], "reschedule", False):
        first: datetime | None = _first_reschedule_date(context)
        if first is not None:
            return first
    return task_instance.start_date or datetime.now(UTC)


def _first_reschedule_date(context: Context) -> Any:
    task_instance: Any = context["ti"]
    if hasattr(task_instance, "get_first_reschedule_date"):
        return task_instance.get_first_reschedule_date(context)
    from airflow.sensors.base import _orig_start_date  # type: ignore[import-not-found]  # Airflow 2 only

    first_try = task_instance.max_tries - context["task"].retries + 1
    return _orig_start_date(
        dag_id=task_instance.dag_id,
        task_id=task_instance.task_id,
        run_id=task_instance.run_id,
        map_index=task_instance.map_index,
        try_number=first_try,
    )


def store_moment(
    context: Context, instance_id: str, moment: datetime | None, execution_id: str | None = None
) -> None:
    """Leave the moment and the execution of this try to the next one, where Airflow has a place for them (3.3).

    The moment is stored before the execution is created, so that it is certain even if the worker dies.
    """
    state = {
        "instance_id": instance_id,
        "expected_start_date": None if moment is None else milliseconds(moment),
        "execution_id": execution_id,
    }
    write_try_state(context, task_try_of(context).generation, state)


def with_stored_moment(context: Context, identity: ExecutionIdentity) -> ExecutionIdentity:
    """Return the identity at the moment that an earlier try stored; as it is if none did since the last clear."""
    moment = _stored_for(context, identity).get("expected_start_date")
    if identity.moments is None or not isinstance(moment, int):
        return identity
    return identity.settled_at(from_milliseconds(moment))


def stored_execution_id(context: Context, identity: ExecutionIdentity) -> str | None:
    """Return the execution that an earlier try stored; None if none did since the last clear."""
    execution_id = _stored_for(context, identity).get("execution_id")
    return None if execution_id is None else str(execution_id)


def _stored_for(context: Context, identity: ExecutionIdentity) -> dict[str, Any]:
    task_try = task_try_of(context)
    stored = read_try_state(context) if task_try.is_retry else None
    expected = (task_try.generation, identity.instance_id)
    if stored is None or (stored["generation"], stored.get("instance_id")) != expected:
        return {}
    return stored
