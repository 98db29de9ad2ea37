"""Whether a killed task was stopped by a user, who wants the execution canceled, or by Airflow's machinery.

Airflow calls the same hooks for both:

* An operator's ``on_kill`` runs in the worker at every SIGTERM, on all lines: a user marked, cleared or deleted the
  running task, its ``execution_timeout`` passed, or the worker was evicted or redeployed. Airflow 3 kills the process
  five seconds later.
* A trigger's ``on_kill`` exists since Airflow 3.3. It runs when a user marks, clears or deletes a deferred task, but
  also when another triggerer takes the trigger over. It does not run when a triggerer shuts down or a timeout passes.
* Before 3.3 a trigger only gets a ``CancelledError``, whatever the reason, a restart of the triggerer included.

So Airflow is asked first what became of the task. While the task still waits for the execution, here or elsewhere, the
execution is left alone, and so it is where Airflow does not answer in time. In all other cases a user stopped the task.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import XCom
from asgiref.sync import sync_to_async

from airflow_provider_mics.runtime.xcom_keys import EXECUTION_ID_KEY

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

QUERY_TIMEOUT = 4.0
"""Seconds. A triggerer that shuts down may never get an answer from Airflow, and has ten seconds to exit."""
LONG_QUERY_TIMEOUT = 18.0
"""Seconds. Airflow 3.3 calls a trigger's ``on_kill`` only while the triggerer keeps running, with a limit of 30."""
WAITING_STATES = ("running", "deferred", "up_for_retry")
"""States of a task that still waits. ``up_for_retry`` is set when the scheduler believes that the worker died."""


@dataclass(frozen=True)
class TaskWait:
    """A task instance and the execution that it waits for."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    execution_id: str

    @classmethod
    def of(cls, task_instance: Any, execution_id: str) -> TaskWait:
        return cls(
            task_instance.dag_id,
            task_instance.task_id,
            task_instance.run_id,
            task_instance.map_index,
            execution_id,
        )

    def still_waits(self) -> bool:
        """Ask Airflow whether the task still waits for this execution, on this worker or another.

        The state alone is not enough: after a clear the next try may already be waiting for its own execution. XCom
        is emptied when a try begins, and each try writes its execution there before it waits.
        """
        return self._state() in WAITING_STATES and self._execution_id_in_xcom() == self.execution_id

    def _state(self) -> str | None:
        state = _state_on_airflow_2(self) if airflow_version.startswith("2.") else _state_on_airflow_3(self)
        return None if state is None else str(getattr(state, "value", state))

    def _execution_id_in_xcom(self) -> str | None:
        value = XCom.get_one(
            key=EXECUTION_ID_KEY,
            dag_id=self.dag_id,
            task_id=self.task_id,
            run_id=self.run_id,
            map_index=self.map_index,
        )
        return None if value is None else str(value)


def was_killed_by_user(wait: TaskWait, timeout: float = QUERY_TIMEOUT) -> bool:
    """Whether the task no longer waits for the execution. False where Airflow gives no answer within ``timeout`` s."""
    answers: list[bool] = []

    def query() -> None:
        with suppress(Exception):
            answers.append(not wait.still_waits())

    # In a thread: the signal may have interrupted this one while it used the channel that the query needs.
    thread = threading.Thread(target=query, daemon=True)
    thread.start()
    thread.join(timeout)
    return bool(answers and answers[0])


async def was_killed_by_user_async(wait: TaskWait, timeout: float = QUERY_TIMEOUT) -> bool:  # noqa: ASYNC109
    """As `was_killed_by_user`, without blocking the event loop."""
    try:
        still_waits = await asyncio.wait_for(sync_to_async(wait.still_waits)(), timeout)
    except Exception:  # noqa: BLE001 - no answer, whatever the reason
        return False
    return not still_waits


def warm_up(wait: TaskWait) -> None:
    """Send the first query of this triggerer ahead of time: on Airflow 3 it takes about ten seconds."""
    if not _warm_up_queries and not airflow_version.startswith("2."):
        query = asyncio.create_task(was_killed_by_user_async(wait, LONG_QUERY_TIMEOUT))
        _warm_up_queries.append(query)


_warm_up_queries: list[asyncio.Task[bool]] = []


def _state_on_airflow_3(wait: TaskWait) -> Any:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states = RuntimeTaskInstance.get_task_states(
        dag_id=wait.dag_id,
        task_ids=[wait.task_id],
        run_ids=[wait.run_id],
        map_index=wait.map_index,
    )
    name = wait.task_id if wait.map_index < 0 else f"{wait.task_id}_{wait.map_index}"
    return states.get(wait.run_id, {}).get(name)


def _state_on_airflow_2(wait: TaskWait) -> Any:
    """Read the state from the database, which workers and triggerers of Airflow 2 can reach."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    session: Session
    with create_session() as session:
        return (
            session.query(TaskInstance.state)
            .filter_by(
                dag_id=wait.dag_id,
                task_id=wait.task_id,
                run_id=wait.run_id,
                map_index=wait.map_index,
            )
            .scalar()
        )
