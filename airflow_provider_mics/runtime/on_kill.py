"""Who stopped a waiting task: a person, who wants the batch ended, or the machinery, which does not?

Airflow calls the same hooks for both: ``on_kill`` of an operator at any SIGTERM, ``on_kill`` of a trigger also when
it moves to another triggerer, and before 3.3 nothing but a cancellation. So what became of the task is asked first.
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


QUESTION_SECONDS = 4.0

"""A triggerer or worker that shuts down may never get an answer from Airflow, and has ten seconds to end."""

LONG_QUESTION_SECONDS = 18.0

"""Airflow 3.3 calls ``on_kill`` of a trigger only while the triggerer goes on, and gives it 30 seconds."""

WAITING_STATES = ("running", "deferred", "up_for_retry")

"""The last is no person's doing: the scheduler took the worker for dead, and the next try goes on with the batch."""


@dataclass(frozen=True)
class TaskWait:
    """One task instance and the execution it waits for."""

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
        """Whether the task goes on waiting for this execution, on this worker or another.

        Its state alone does not tell: after a clear, the next try may be waiting already. But XCom is emptied when
        a try begins, and each try writes its execution there before it waits.
        """
        return self._state() in WAITING_STATES and self._written_execution_id() == self.execution_id

    def _state(self) -> str | None:
        state = _state_before_3(self) if airflow_version.startswith("2.") else _state(self)
        return None if state is None else str(getattr(state, "value", state))

    def _written_execution_id(self) -> str | None:
        value = XCom.get_one(
            key=EXECUTION_ID_KEY,
            dag_id=self.dag_id,
            task_id=self.task_id,
            run_id=self.run_id,
            map_index=self.map_index,
        )
        return None if value is None else str(value)


def was_killed_by_user(waiting: TaskWait, patience: float = QUESTION_SECONDS) -> bool:
    """Whether nobody waits for the execution any more. Where Airflow gives no answer in time, nobody said so."""
    answers: list[bool] = []

    def ask() -> None:
        with suppress(Exception):
            answers.append(not waiting.still_waits())

    # A thread: the signal that brought us here may have interrupted the very channel the question goes through.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience)
    return bool(answers and answers[0])


async def was_killed_by_user_async(waiting: TaskWait, patience: float = QUESTION_SECONDS) -> bool:
    """As `was_killed_by_user`, without blocking the event loop."""
    try:
        still_waits = await asyncio.wait_for(sync_to_async(waiting.still_waits)(), patience)
    except Exception:  # noqa: BLE001 - no answer, whatever the reason
        return False
    return not still_waits


def warm_up(waiting: TaskWait) -> None:
    """Ask once while nothing depends on it: the first question of a triggerer takes Airflow 3 some ten seconds."""
    if not _asked_ahead and not airflow_version.startswith("2."):
        question = asyncio.create_task(was_killed_by_user_async(waiting, LONG_QUESTION_SECONDS))
        _asked_ahead.append(question)


_asked_ahead: list[asyncio.Task[bool]] = []


def _state(waiting: TaskWait) -> Any:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states = RuntimeTaskInstance.get_task_states(
        dag_id=waiting.dag_id,
        task_ids=[waiting.task_id],
        run_ids=[waiting.run_id],
        map_index=waiting.map_index,
    )
    name = waiting.task_id if waiting.map_index < 0 else f"{waiting.task_id}_{waiting.map_index}"
    return states.get(waiting.run_id, {}).get(name)


def _state_before_3(waiting: TaskWait) -> Any:
    """On Airflow 2 workers and triggerers have the database, and nothing else to ask."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    session: Session
    with create_session() as session:
        return (
            session.query(TaskInstance.state)
            .filter_by(
                dag_id=waiting.dag_id,
                task_id=waiting.task_id,
                run_id=waiting.run_id,
                map_index=waiting.map_index,
            )
            .scalar()
        )
