"""One try of an Airflow task, read from its context on Airflow 2.11 and 3.x."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version

from airflow_provider_mics.core.exactly_once.identity import TaskTry

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

CLEARS_ARE_COUNTED = tuple(map(int, airflow_version.split(".")[:2])) >= (3, 2)
"""Whether every clear increments the run's ``clear_number``. Before Airflow 3.2 a clear of a running run did not."""
EXECUTION_STATE_KEY = "mics_execution"
"""Key of the execution in the task's state store (Airflow 3.3)."""
logger = logging.getLogger(__name__)


def task_try_of(context: Context) -> TaskTry:
    """Return what the identity of this try's execution depends on.

    The number of tries before the task's last clear is ``max_tries - retries`` on all lines of Airflow: a clear sets
    ``max_tries`` to the tries so far plus the retries, and a retry does not change it (``clear_task_instances`` in
    Airflow's ``models/taskinstance.py``). A larger number than there were tries, or any number without a clear, only
    means that ``retries`` was lowered in the DAG in the meantime.
    """
    task_instance: Any = context["ti"]
    dag_run: Any = context["dag_run"]
    run_type = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    moment = _run_moment(dag_run, run_type)
    tries_before = task_instance.try_number - 1
    generation = max(0, task_instance.max_tries - context["task"].retries)
    was_never_cleared = CLEARS_ARE_COUNTED and getattr(dag_run, "clear_number", None) == 0
    if generation > tries_before or was_never_cleared:
        generation = 0
    return TaskTry(
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_instance.task_id,
        map_index=task_instance.map_index,
        run_type=run_type,
        run_moment=moment,
        run_started=dag_run.start_date or moment,
        generation=generation,
        is_retry=tries_before > generation,
    )


def _run_moment(dag_run: Any, run_type: str) -> datetime:
    """Return the time that the run is for: ``run_after`` (Airflow 3), or the end of a scheduled run's interval."""
    run_after: datetime | None = getattr(dag_run, "run_after", None)
    if run_after is not None:
        return run_after
    if run_type == "scheduled":
        return dag_run.data_interval_end or dag_run.logical_date  # type: ignore[no-any-return]
    return getattr(dag_run, "queued_at", None) or dag_run.logical_date  # type: ignore[no-any-return]


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


def store_execution_id(context: Context, execution_id: str) -> None:
    """Save the execution of this try for the next one, where Airflow has a task state store (3.3)."""
    store: Any = context.get("task_state_store")
    if store is None:
        return
    try:
        generation = task_try_of(context).generation
        store.set(EXECUTION_STATE_KEY, {"execution_id": execution_id, "generation": generation})
    except Exception as error:  # noqa: BLE001 - the next try finds the execution without it
        logger.debug("Could not save the execution id: %s", error)


def stored_execution_id(context: Context) -> str | None:
    """Return the execution that an earlier try saved, unless the task was cleared since.

    The state store survives a clear, so the saved generation is compared.
    """
    store: Any = context.get("task_state_store")
    task_try = task_try_of(context)
    if store is None or not task_try.is_retry:
        return None
    try:
        stored = store.get(EXECUTION_STATE_KEY)
    except Exception as error:  # noqa: BLE001 - the execution is found without it
        logger.debug("Could not read the execution id of an earlier try: %s", error)
        return None
    if not isinstance(stored, dict) or stored.get("generation") != task_try.generation:
        return None
    return str(stored.get("execution_id"))
