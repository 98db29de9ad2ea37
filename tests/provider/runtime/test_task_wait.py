"""What each state of a task means for the execution that a killed try of it waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from airflow_provider_mics.runtime import on_kill
from airflow_provider_mics.runtime.on_kill import DELETED, SupervisorWatch, TaskWait, supervisor_watched

OWN, OTHER = "7", "8"


@dataclass(frozen=True)
class Told(TaskWait):
    """A wait whose Airflow is told what to answer; tests in a real Airflow are beside this one."""

    answer: str | None = None
    in_xcom: str | None = OWN
    has_scheduler_event: bool = False
    states: list[str] = field(default_factory=list, compare=False)

    def state(self) -> str | None:
        return self.states.pop(0) if self.states else self.answer

    def _execution_id_in_xcom(self) -> str | None:
        return self.in_xcom

    def _was_failed_by_scheduler(self) -> bool:
        return self.has_scheduler_event


def wait(answer: str | None, **more: object) -> Told:
    return Told("dag", "task", "run", -1, OWN, 1, answer=answer, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_on_worker", [True, False])
@pytest.mark.parametrize("state", ["running", "deferred"])
@pytest.mark.parametrize(("in_xcom", "goes_on"), [(OWN, True), (None, True), (OTHER, False)])
def test_a_try_that_goes_on_keeps_its_execution_and_what_it_may_be_looking_for(
    state: str, in_xcom: str | None, goes_on: bool, is_on_worker: bool
) -> None:
    assert wait(state, in_xcom=in_xcom, is_on_worker=is_on_worker).still_waits() is goes_on


@pytest.mark.parametrize("state", ["running", "deferred"])
@pytest.mark.parametrize("in_xcom", [OWN, None])
def test_an_execution_that_is_not_known_yet_is_left_to_a_try_that_goes_on(
    state: str, in_xcom: str | None
) -> None:
    unknown = Told("dag", "task", "run", -1, "", 1, answer=state, in_xcom=in_xcom)
    assert unknown.still_waits()


@pytest.mark.parametrize("state", [None, "scheduled", "queued"])
def test_a_planned_try_keeps_the_execution_of_a_worker_but_not_that_of_a_cleared_trigger(
    state: str | None,
) -> None:
    assert wait(state, is_on_worker=True).still_waits()
    assert not wait(state).still_waits()


@pytest.mark.parametrize("state", ["success", "skipped", "restarting", "removed", "upstream_failed", DELETED])
def test_any_other_state_is_a_users_wish(state: str) -> None:
    assert not wait(state, is_on_worker=True).still_waits()
    assert not wait(state).still_waits()


def test_a_failed_task_may_be_the_schedulers_doing() -> None:
    assert not wait("failed", is_on_worker=True).still_waits()
    assert wait("failed", is_on_worker=True, has_scheduler_event=True).still_waits()
    assert wait("up_for_retry", is_on_worker=True).still_waits()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock that the watch reads."""
    start, passed = time.time(), [0.0]
    monkeypatch.setattr(on_kill.time, "time", lambda: start + passed[0])

    def move(seconds: float) -> None:
        passed[0] += seconds

    return move


def test_a_supervisor_that_was_silent_for_half_the_timeout_may_have_been_taken_for_dead(
    clock: Callable[[float], None],
) -> None:
    watch = SupervisorWatch(wait("running"))
    clock(149)
    assert not watch.has_gap
    clock(2)
    assert watch.has_gap


@pytest.mark.skipif(on_kill.IS_AIRFLOW_2, reason="Airflow 2 logs who failed the task")
def test_a_supervisor_may_be_silent_before_the_watch_begins(clock: Callable[[float], None]) -> None:
    class Failed(TaskWait):
        def state(self) -> str:
            return "failed"

    waiting = Failed("dag", "task", "run", -1, OWN, 1, is_on_worker=True)
    assert not waiting.still_waits()
    clock(151)
    assert waiting.still_waits()


def test_only_the_answer_that_the_task_is_running_ends_the_silence(clock: Callable[[float], None]) -> None:
    watch = SupervisorWatch(wait("failed"))
    clock(200)
    watch.ask()
    assert watch.has_gap
    watch.wait = wait("running")
    watch.ask()
    assert not watch.has_gap


def test_the_watch_ends_with_the_wait() -> None:
    with supervisor_watched(wait("running")):
        pass
    assert on_kill._watches == []
