"""How many tries of a task came before its last clear, on Airflow 2.11 and 3.x.

A clear sets ``max_tries`` to the tries so far plus ``retries``, and a retry does not change it
(``clear_task_instances`` in Airflow's ``models/taskinstance.py``). So the number is ``max_tries - retries``, unless
``retries`` was changed in the DAG since. Each version of Airflow shows in another way whether it was:

* 3.3 has a state store of the task, which keeps the number from one try to the next.
* 3.2 and later count each clear of a run in ``clear_number``: without one, the number is zero.
* 2.11 keeps the earlier tries of a task in its database, each with the ``max_tries`` of its time.

On 3.0 and 3.1, a clear and a change of ``retries`` cannot be distinguished.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import Context

CLEARS_ARE_COUNTED = tuple(map(int, airflow_version.split(".")[:2])) >= (3, 2)
"""Whether every clear increments the run's ``clear_number``. Before Airflow 3.2 a clear of a running run did not."""
ENDED_WITHOUT_RETRY = ("success", "skipped", "upstream_failed", "removed")
"""States of an earlier try after which only a clear starts another one."""
TRY_STATE_KEY = "mics_execution"
"""Key, in the task's state store (Airflow 3.3), of what a try leaves to the next one."""
COUNTS = {"generation", "max_tries", "try_number", "clear_number"}
"""What `write_try_state` adds to the state."""
logger = logging.getLogger(__name__)


def generation_of(context: Context) -> int:
    """Return how many tries of this task came before its last clear; 0 if it was not cleared."""
    task_instance: Any = context["ti"]
    clears: int | None = getattr(context["dag_run"], "clear_number", None)
    tries_before = task_instance.try_number - 1
    if tries_before <= 0 or (CLEARS_ARE_COUNTED and clears == 0):
        return 0
    calculated = max(0, task_instance.max_tries - context["task"].retries)
    stored = read_try_state(context)
    if stored is not None:
        if stored["max_tries"] != task_instance.max_tries:
            return int(min(max(calculated, stored["try_number"]), tries_before))
        # The same `max_tries` after a clear of this task: then `retries` was lowered by the number of tries before it.
        was_cleared = stored["clear_number"] != clears and stored["try_number"] == calculated
        return calculated if was_cleared else int(stored["generation"])
    if airflow_version.startswith("2."):
        recorded = _generation_in_history(task_instance)
        if recorded is not None:
            return recorded
    # A larger number than there were tries only means that `retries` was lowered.
    return calculated if calculated <= tries_before else 0


def _generation_in_history(task_instance: Any) -> int | None:
    """Return the generation by the earlier tries in the database of Airflow 2; None if they are not known.

    Tries before the last clear have another ``max_tries`` than now, or have ended in a state without a retry.
    """
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from airflow.utils.session import create_session

    try:
        with create_session() as session:
            tries = (
                session.query(
                    TaskInstanceHistory.try_number, TaskInstanceHistory.max_tries, TaskInstanceHistory.state
                )
                .filter_by(
                    dag_id=task_instance.dag_id,
                    task_id=task_instance.task_id,
                    run_id=task_instance.run_id,
                    map_index=task_instance.map_index,
                )
                .filter(TaskInstanceHistory.try_number < task_instance.try_number)
                .all()
            )
    except Exception as error:  # noqa: BLE001 - a worker without access to the database
        logger.debug("Could not read the earlier tries: %s", error)
        return None
    if not tries:
        return None
    return max(
        (
            number
            for number, max_tries, state in tries
            if max_tries != task_instance.max_tries or state in ENDED_WITHOUT_RETRY
        ),
        default=0,
    )


def read_try_state(context: Context) -> dict[str, Any] | None:
    """Return what an earlier try left in the task's state store, which also survives a clear; None without one."""
    store: Any = context.get("task_state_store")
    if store is None:
        return None
    try:
        stored = store.get(TRY_STATE_KEY)
    except Exception as error:  # noqa: BLE001 - the execution is found without it
        logger.debug("Could not read the state of an earlier try: %s", error)
        return None
    return stored if isinstance(stored, dict) and stored.keys() >= COUNTS else None


def write_try_state(context: Context, generation: int, state: dict[str, Any]) -> None:
    """Leave ``state`` to the next try, where Airflow has a task state store."""
    store: Any = context.get("task_state_store")
    if store is None:
        return
    task_instance: Any = context["ti"]
    counts = {
        "generation": generation,
        "max_tries": task_instance.max_tries,
        "try_number": task_instance.try_number,
        "clear_number": getattr(context["dag_run"], "clear_number", None),
    }
    try:
        store.set(TRY_STATE_KEY, counts | state)
    except Exception as error:  # noqa: BLE001 - the next try finds the execution without it
        logger.debug("Could not write the state of this try: %s", error)
