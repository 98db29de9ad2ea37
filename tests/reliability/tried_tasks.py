"""The operator as a worker runs it: in a process of its own, which says each step it is about to take and waits.

The process is forked from one that has imported Airflow already, as Airflow's own workers are.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

from airflow_provider_mics.api.calls import Call, Job, Sleep, Step, drive
from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.operators.executions import MicsCreateExecutionOperator
from tests.airflow_names import TaskDeferred
from tests.reliability.crashes import observed
from tests.reliability.lab_time import SkippedTime

FORK = multiprocessing.get_context("fork")
ANSWER_WITHIN_S = 60
RUN_MOMENT = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
DEFERRED = "deferred"
LOOK = "before GET executions"
OnLook = Callable[[int], None]
"""Told of each look at the list that a try is about to take, counted from 0."""


class _ToldHook(MicsHook):
    """The real hook, whose flows tell of each step."""

    def __init__(self, worker: _Worker) -> None:
        super().__init__()
        self._worker = worker

    def run(self, job: Job[Any]) -> Any:
        worker = self._worker
        return drive(job, observed(self.get_conn().perform, worker.time, worker.before, worker.after))


@dataclass
class _Worker:
    """The child's side: tells where it is, and goes on when it is told to."""

    pipe: Connection
    time: SkippedTime

    def reach(self, place: str) -> None:
        self.pipe.send(place)
        self.pipe.recv()

    def before(self, step: Step) -> None:
        if isinstance(step, (Call, Sleep)):
            self.reach(f"before {_name(step)}")

    def after(self, step: Step) -> None:
        if isinstance(step, (Call, Sleep)):
            self.reach(f"after {_name(step)}")

    def execute(self, instance_id: str, try_number: int) -> None:
        operator = MicsCreateExecutionOperator(
            task_id="run", instance_id=instance_id, deferrable=True, retries=10
        )
        operator.__dict__["hook"] = _ToldHook(self)
        try:
            operator.execute(self._context(operator, try_number))
        except TaskDeferred as deferral:
            self.reach(f"{DEFERRED} {deferral.trigger.execution_id}")

    def _context(self, operator: MicsCreateExecutionOperator, try_number: int) -> Any:
        task_instance = SimpleNamespace(
            dag_id="nightly",
            task_id=operator.task_id,
            map_index=-1,
            run_id="manual",
            try_number=try_number,
            max_tries=operator.retries,
            start_date=RUN_MOMENT,
            xcom_push=lambda key, value: self.reach(f"xcom {key}"),
        )
        dag_run = SimpleNamespace(
            run_type="manual",
            run_after=RUN_MOMENT,
            queued_at=RUN_MOMENT,
            logical_date=RUN_MOMENT,
            start_date=RUN_MOMENT + timedelta(seconds=1),
        )
        return {"ti": task_instance, "dag_run": dag_run, "task": operator}


def _name(step: Step) -> str:
    if isinstance(step, Call):
        return f"{step.method} {step.path.rsplit('/', 1)[-1]}"
    return "sleep"


def _work(pipe: Connection, instance_id: str, try_number: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        _Worker(pipe, SkippedTime(RUN_MOMENT)).execute(instance_id, try_number)
        pipe.send("ended")
    except Exception:
        traceback.print_exc()
        raise
    finally:
        pipe.close()
        os._exit(0)


class TriedTask:
    """One try of the task in its process, from the side of who watches it, and kills it."""

    def __init__(self, instance_id: str, try_number: int, on_look: OnLook) -> None:
        self._pipe, theirs = FORK.Pipe()
        self._process = FORK.Process(target=_work, args=(theirs, instance_id, try_number))
        self._process.start()
        self._on_look = on_look
        self._looks = 0
        theirs.close()

    def place(self) -> str:
        """The next place it reaches."""
        if not self._pipe.poll(ANSWER_WITHIN_S):
            raise TimeoutError("the worker says nothing")
        place = str(self._pipe.recv())
        if place == LOOK:
            self._on_look(self._looks)
            self._looks += 1
        return place

    def go(self) -> None:
        self._pipe.send("go")

    def kill(self) -> None:
        """SIGKILL, by its pid, and wait for its end."""
        self._process.kill()
        self._process.join(ANSWER_WITHIN_S)
        self._pipe.close()


@contextmanager
def tried(instance_id: str, try_number: int, on_look: OnLook) -> Iterator[TriedTask]:
    """A try of the task, whose process is gone afterwards, whatever happened."""
    task = TriedTask(instance_id, try_number, on_look)
    try:
        yield task
    finally:
        task.kill()


def killed_at(instance_id: str, try_number: int, point: int, on_look: OnLook) -> str:
    """Kill a try where it reaches its ``point``-th place, from 0; that place, or the one at which it was deferred."""
    with tried(instance_id, try_number, on_look) as task:
        for _ in range(point):
            place = task.place()
            if place.startswith(DEFERRED):
                return place
            task.go()
        return task.place()


def killed_where(instance_id: str, place: str, on_look: OnLook) -> None:
    """Kill a first try at a place."""
    with tried(instance_id, 1, on_look) as task:
        while task.place() != place:
            task.go()


def completed(instance_id: str, try_number: int, on_look: OnLook) -> str:
    """Let a try go on until it is deferred; the id of the execution that it waits for."""
    with tried(instance_id, try_number, on_look) as task:
        while not (place := task.place()).startswith(DEFERRED):
            task.go()
        return place.removeprefix(DEFERRED).strip()
