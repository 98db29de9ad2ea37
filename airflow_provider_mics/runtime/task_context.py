"""What a try of an Airflow task is, read from its context on 2.11 and on 3.x."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version

from airflow_provider_mics.core.exactly_once.identity import TaskTry

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


CLEARS_ARE_COUNTED = tuple(map(int, airflow_version.split(".")[:2])) >= (3, 2)

"""Whether each clear moves a run's ``clear_number``; before Airflow 3.2 that of a run still going did not."""


def task_try_of(context: Context) -> TaskTry:
    """This try, as what decides on the identity of its execution.

    How many tries came before the task's last clear is ``max_tries - retries`` on every line: a clear sets
    ``max_tries`` to the tries so far plus the retries, and a retry leaves it (``clear_task_instances``). More than
    there were tries at all, or any without a clear, only says that the DAG's ``retries`` were lowered meanwhile.
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
    """When the run is for. Airflow 3 says so (``run_after``); before, a scheduled run is for its interval's end."""
    run_after: datetime | None = getattr(dag_run, "run_after", None)
    if run_after is not None:
        return run_after
    if run_type == "scheduled":
        return dag_run.data_interval_end or dag_run.logical_date  # type: ignore[no-any-return]
    return getattr(dag_run, "queued_at", None) or dag_run.logical_date  # type: ignore[no-any-return]


def deadline_of(context: Context, timeout: timedelta | None) -> datetime | None:
    """The moment at which this try must have ended: its ``timeout`` from now, or its ``execution_timeout``.

    Airflow 3 does not count the time of a deferral into ``execution_timeout``, so the wait itself ends on it.
    """
    deadlines = [datetime.now(UTC) + timeout] if timeout is not None else []
    execution_timeout = context["task"].execution_timeout
    if execution_timeout is not None:
        started: datetime = context["ti"].start_date or datetime.now(UTC)
        deadlines.append(started + execution_timeout)
    return min(deadlines, default=None)


def wait_began(context: Context) -> datetime:
    """When this try began to wait; a sensor that is rescheduled began at the first of its visits to a worker.

    ``start_date`` does not tell: on every line a rescheduled sensor is given a new one at each visit.
    """
    task_instance: Any = context["ti"]
    if getattr(context["task"], "reschedule", False):
        first: datetime | None = _first_visit(context)
        if first is not None:
            return first
    return task_instance.start_date or datetime.now(UTC)


def _first_visit(context: Context) -> Any:
    task_instance: Any = context["ti"]
    if hasattr(task_instance, "get_first_reschedule_date"):
        return task_instance.get_first_reschedule_date(context)
    from airflow.sensors.base import _orig_start_date  # type: ignore[import-not-found]  # Airflow 2 asks it so

    first_try = task_instance.max_tries - context["task"].retries + 1
    return _orig_start_date(
        dag_id=task_instance.dag_id,
        task_id=task_instance.task_id,
        run_id=task_instance.run_id,
        map_index=task_instance.map_index,
        try_number=first_try,
    )


NOTE = "mics_execution"

logger = logging.getLogger(__name__)


def note_execution(context: Context, execution_id: str) -> None:
    """Write down the execution of this try for the next one."""
    store: Any = context.get("task_state_store")
    if store is None:
        return
    try:
        store.set(NOTE, {"execution_id": execution_id, "generation": task_try_of(context).generation})
    except Exception as error:  # noqa: BLE001 - the next try finds the execution without it
        logger.debug("The execution is not noted: %s", error)


def noted_execution(context: Context) -> str | None:
    """The execution that an earlier try wrote down, unless the task was cleared since: the note survives a clear."""
    store: Any = context.get("task_state_store")
    task_try = task_try_of(context)
    if store is None or not task_try.is_retry:
        return None
    try:
        note = store.get(NOTE)
    except Exception as error:  # noqa: BLE001 - the execution is found without it
        logger.debug("What an earlier try noted cannot be read: %s", error)
        return None
    if not isinstance(note, dict) or note.get("generation") != task_try.generation:
        return None
    return str(note.get("execution_id"))
