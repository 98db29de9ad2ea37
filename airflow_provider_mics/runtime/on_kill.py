"""Whether a killed task was stopped by a user, who wants the execution canceled, or by Airflow's machinery.

What is canceled then is in ``operators/stopping.py`` and ``triggers.py``. Airflow calls the same hooks for both:

* An operator's ``on_kill`` runs in the worker at every SIGTERM, on all lines: a user marked, cleared or deleted the
  running task, its ``execution_timeout`` passed, the worker was evicted or redeployed, or the scheduler took a live
  worker for dead. Airflow 3 kills the process five seconds later.
* A trigger's ``on_kill`` exists since Airflow 3.3. It runs when a user marks, clears or deletes a deferred task, but
  also when another triggerer takes the trigger over. It does not run when a triggerer shuts down or a timeout passes.
* Before 3.3 a trigger only gets a ``CancelledError``, whatever the reason, a restart of the triggerer included.

So Airflow is asked first what became of the task. Where it gives no answer in time, the execution is left alone.

* ``running``, ``deferred``: a try goes on. It waits for this execution if XCom says so. With none in XCom yet, it is
  looking for this one, to go on with it, or after a clear to cancel it. With another in XCom, this one is left over.
  One whose id is not known yet may be any that the try finds, so it is left to the try.
* ``up_for_retry``: the scheduler believes that the worker died. The next try goes on with the execution.
* None, ``scheduled``, ``queued``: on a worker, the next try was planned without asking this one to stop, since a
  running task that is cleared is ``restarting``. For a trigger, a user cleared the task.
* ``failed``: a user marked it, or the scheduler failed it because its worker gave no sign of life.
* Any other state: a user stopped the task (``success``, ``skipped``, ``restarting``), or deleted it.

What tells a ``failed`` of the scheduler from one of a user: Airflow 2 writes an event to its log table before it fails
a task (`SCHEDULER_EVENTS`), which workers and triggerers can read. Airflow 3 shows a worker no such thing. There,
`SupervisorWatch` asks through the task's supervisor for the state, again and again: a supervisor that answers also
sends the heartbeat. If the last answer is older than half of the heartbeat timeout, it may have been the scheduler.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version
from airflow.configuration import conf
from asgiref.sync import sync_to_async

from airflow_provider_mics.runtime.compat import XCom
from airflow_provider_mics.runtime.xcom_keys import EXECUTION_ID_KEY

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

QUERY_TIMEOUT = 4.0
"""Seconds. A triggerer that shuts down may never get an answer from Airflow, and has ten seconds to exit."""
LONG_QUERY_TIMEOUT = 18.0
"""Seconds. Airflow 3.3 calls a trigger's ``on_kill`` only while the triggerer keeps running, with a limit of 30."""
IS_AIRFLOW_2 = airflow_version.startswith("2.")
TRY_GOES_ON = ("running", "deferred")
NEXT_TRY_IS_PLANNED = (None, "scheduled", "queued")
DELETED = "deleted"
"""In place of the state of a task that Airflow no longer has."""
SCHEDULER_EVENTS = ("heartbeat timeout", "state mismatch", "stuck in queued tries exceeded")
"""Events in the log table of Airflow 2.11 for tasks that the scheduler failed (``jobs/scheduler_job_runner.py``)."""


@dataclass(frozen=True)
class TaskWait:
    """A task instance and the execution that it waits for.

    ``execution_id`` is empty where it is not known yet. ``try_number`` is that of the try that waits.
    ``is_on_worker``: it waits in a worker, and not in a triggerer. ``since`` is when it began (epoch seconds): until
    then, Airflow answered this try.
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    execution_id: str
    try_number: int = 0
    is_on_worker: bool = False
    since: float = field(default_factory=time.time, compare=False)

    @classmethod
    def of(cls, task_instance: Any, execution_id: str, *, is_on_worker: bool = False) -> TaskWait:
        return cls(
            task_instance.dag_id,
            task_instance.task_id,
            task_instance.run_id,
            task_instance.map_index,
            execution_id,
            task_instance.try_number,
            is_on_worker,
        )

    @property
    def task_instance(self) -> dict[str, Any]:
        """What names the task instance in a query to Airflow."""
        return {
            "dag_id": self.dag_id,
            "task_id": self.task_id,
            "run_id": self.run_id,
            "map_index": self.map_index,
        }

    def still_waits(self) -> bool:
        """Ask Airflow whether the task still waits for this execution, or may: on this worker, or in its next try.

        The state alone is not enough: after a clear the next try may already be waiting for its own execution. XCom
        is emptied when a try begins, and each try writes its execution there before it waits.
        """
        state = self.state()
        if state in TRY_GOES_ON:
            return not self.execution_id or self._execution_id_in_xcom() in (None, self.execution_id)
        if state in NEXT_TRY_IS_PLANNED:
            return self.is_on_worker
        if state == "failed":
            return self._was_failed_by_scheduler()
        return state == "up_for_retry"

    def state(self) -> str | None:
        """Ask Airflow for the state of the task instance; `DELETED` where there is none."""
        state = _state_on_airflow_2(self) if IS_AIRFLOW_2 else _state_on_airflow_3(self)
        return None if state is None else str(getattr(state, "value", state))

    def _execution_id_in_xcom(self) -> str | None:
        value = XCom.get_one(
            key=EXECUTION_ID_KEY,
            **self.task_instance,
        )
        return None if value is None else str(value)

    def _was_failed_by_scheduler(self) -> bool:
        if IS_AIRFLOW_2:
            return _has_scheduler_event(self)
        # The supervisor may stand still before the wait, and the watch, have begun.
        watch = next((each for each in _watches if each.wait is self), None) or SupervisorWatch(self)
        return self.is_on_worker and watch.has_gap


class SupervisorWatch:
    """When the supervisor of this task last said that the task is running (Airflow 3)."""

    def __init__(self, wait: TaskWait) -> None:
        self.wait = wait
        timeout = conf.getfloat("scheduler", "task_instance_heartbeat_timeout", fallback=300.0)
        self._interval = max(1.0, timeout / 10)
        self._longest_gap = timeout / 2
        # By the clock on the wall: a machine that was suspended sent no heartbeat either.
        self._seen_running_at = wait.since
        self._stopped = threading.Event()

    @property
    def has_gap(self) -> bool:
        """Whether it has not said so for so long that the scheduler may have taken it for dead."""
        return time.time() - self._seen_running_at > self._longest_gap

    def run(self) -> None:
        """Ask until `stop`, in a thread of its own: the request blocks as long as the supervisor stands still."""
        self.ask()
        while not self._stopped.wait(self._interval):
            self.ask()

    def ask(self) -> None:
        """Ask once; no answer is as good as none that the task is running."""
        asked_at = time.time()
        with suppress(Exception):
            if self.wait.state() == "running":
                self._seen_running_at = asked_at

    def stop(self) -> None:
        self._stopped.set()


_watches: list[SupervisorWatch] = []


@contextmanager
def supervisor_watched(wait: TaskWait | None) -> Iterator[None]:
    """While a task waits on a worker, note whether its supervisor is alive; not needed on Airflow 2."""
    if wait is None or IS_AIRFLOW_2 or _is_own_supervisor():
        yield
        return
    watch = SupervisorWatch(wait)
    _watches.append(watch)
    threading.Thread(target=watch.run, daemon=True).start()
    try:
        yield
    finally:
        watch.stop()
        _watches.remove(watch)


def _is_own_supervisor() -> bool:
    """Whether this process plays the supervisor too, as ``dag.test()`` does: requests from two threads disturb it.

    See ``InProcessSupervisorComms`` in Airflow's ``supervisor.py``, which replaces a global variable at each request.
    """
    from airflow.sdk.execution_time import task_runner

    return hasattr(getattr(task_runner, "SUPERVISOR_COMMS", None), "supervisor")


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
    if not _warm_up_queries and not IS_AIRFLOW_2:
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
    return states.get(wait.run_id, {}).get(name, DELETED)


def _state_on_airflow_2(wait: TaskWait) -> Any:
    """Read the state from the database, which workers and triggerers of Airflow 2 can reach."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    session: Session
    with create_session() as session:
        row = session.query(TaskInstance.state).filter_by(**wait.task_instance).one_or_none()
        return DELETED if row is None else row[0]


def _has_scheduler_event(wait: TaskWait) -> bool:
    """Whether the log table of Airflow 2 has an event of the scheduler for this try."""
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    session: Session
    with create_session() as session:
        found = (
            session.query(Log.id)
            .filter_by(**wait.task_instance, try_number=wait.try_number)
            .filter(Log.event.in_(SCHEDULER_EVENTS))
            .first()
        )
        return found is not None
