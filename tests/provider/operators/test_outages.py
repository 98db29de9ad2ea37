"""A deferrable task bears an outage while it submits without a worker, and creates one execution."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_mics import outage_triggers, triggers
from airflow_provider_mics.operators import MicsCreateExecutionOperator, pending_submission
from airflow_provider_mics.outage_triggers import MicsOutageTrigger
from airflow_provider_mics.triggers import MicsExecutionTrigger
from tests.airflow_names import AirflowException, AirflowFailException, TaskDeferred
from tests.sandbox_server import SandboxServer

MOMENT = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_submission, "WORKER_PATIENCE", timedelta(0))


def task(instance_id: str, **arguments: Any) -> tuple[MicsCreateExecutionOperator, Any]:
    """The task as a worker has it, and its context."""
    operator = MicsCreateExecutionOperator(
        task_id="run", instance_id=instance_id, deferrable=True, **arguments
    )
    ti = SimpleNamespace(
        dag_id="nightly", run_id="manual", task_id="run", map_index=-1, try_number=1, max_tries=0,
        start_date=datetime.now(UTC), xcom_push=lambda **_: None,
    )  # fmt: skip
    dag_run = SimpleNamespace(run_type="manual", run_after=MOMENT, start_date=MOMENT, clear_number=0)
    return operator, {"ti": ti, "dag_run": dag_run, "task": operator}


@pytest.mark.long
@pytest.mark.parametrize("fault", [{"kind": "503"}, {"kind": "html", "parameters": {"status": 404}}])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_outage_is_waited_for_without_a_worker(
    mics_default: SandboxServer, fault: dict[str, Any], method: str
) -> None:
    instance_id = mics_default.create_instance(properties={"outcome": "hang"})
    mics_default.faults([{**fault, "method": method}])
    operator, context = task(instance_id)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    trigger: Any = deferred.value.trigger
    assert type(trigger) is MicsOutageTrigger
    assert deferred.value.method_name == "after_outage"
    assert 0 < trigger.deadline - datetime.now(UTC).timestamp() <= 600
    mics_default.clear_faults()
    again, context = task(instance_id)
    with pytest.raises(TaskDeferred) as waits:
        again.after_outage(context, json.loads(json.dumps(trigger.state)))
    assert type(waits.value.trigger) is MicsExecutionTrigger
    assert [each["id"] for each in mics_default.executions(instance_id)] == [waits.value.trigger.execution_id]


def test_an_outage_that_outlasts_the_submission_is_a_failure_that_can_be_retried(
    mics_default: SandboxServer,
) -> None:
    instance_id = mics_default.create_instance()
    mics_default.faults([{"kind": "gateway", "parameters": {"status": 403}}])
    operator, context = task(instance_id, submission_timeout=0)
    with pytest.raises(AirflowException) as raised:
        operator.execute(context)
    assert not isinstance(raised.value, AirflowFailException)
    assert "HTTP 403" in str(raised.value)


def test_the_execution_timeout_ends_the_wait_for_the_end_of_an_outage(mics_default: SandboxServer) -> None:
    instance_id = mics_default.create_instance()
    mics_default.faults([{"kind": "503"}])
    operator, context = task(instance_id, execution_timeout=timedelta(minutes=1))
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    trigger: Any = deferred.value.trigger
    assert trigger.deadline == (context["ti"].start_date + timedelta(minutes=1)).timestamp()
    mics_default.clear_faults()
    context["ti"].start_date -= timedelta(minutes=1)
    with pytest.raises(AirflowException, match="execution_timeout has passed") as raised:
        operator.after_outage(context, trigger.state)
    assert not isinstance(raised.value, AirflowFailException)
    assert mics_default.executions(instance_id) == []


@pytest.mark.long
def test_what_an_outage_hid_is_found_and_canceled_after_the_execution_timeout(
    mics_default: SandboxServer,
) -> None:
    """A request was sent, and its answer was lost: the batch must not go on unnoticed."""
    instance_id = mics_default.create_instance(properties={"outcome": "hang"})
    mics_default.faults([{"kind": "503", "method": "POST"}])
    operator, context = task(instance_id, execution_timeout=timedelta(minutes=1))
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    state = deferred.value.trigger.state  # type: ignore[attr-defined]
    mics_default.clear_faults()
    context["ti"].start_date -= timedelta(minutes=1)
    with pytest.raises(TaskDeferred) as waits:
        operator.after_outage(context, state)
    trigger: Any = waits.value.trigger
    assert type(trigger) is MicsExecutionTrigger
    assert trigger.deadline <= datetime.now(UTC).timestamp()


def of_a_task() -> Any:
    """As a triggerer gives it to a trigger."""
    return SimpleNamespace(dag_id="nightly", task_id="run", run_id="manual", map_index=-1, try_number=1)


@pytest.fixture
def lost_answer(
    mics_default: SandboxServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> tuple[str, Any]:
    """An instance whose new execution nobody knows, as the platform went down before it answered, and the trigger."""
    instance_id = mics_default.create_instance(properties={"outcome": "hang"})
    stranger = mics_default.create_execution(instance_id, round(MOMENT.timestamp() * 1000), "CRON")
    mics_default.end_execution(stranger["id"], "CANCELED")
    after_looking = {"kind": "503", "method": "GET", "after": 1}
    mics_default.faults([{"kind": "drop_after", "method": "POST", "times": 1}, after_looking])
    operator, context = task(instance_id, cancel_on_kill=getattr(request, "param", True))
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    path, arguments = deferred.value.trigger.serialize()
    trigger = MicsOutageTrigger(**json.loads(json.dumps(arguments)))
    assert path.endswith(type(trigger).__name__)
    trigger.task_instance = of_a_task()
    assert trigger.execution_id == ""
    return instance_id, trigger


def answers(monkeypatch: pytest.MonkeyPatch, by_user: bool) -> None:
    async def was_killed_by_user(*_: Any) -> bool:
        return by_user

    monkeypatch.setattr(triggers, "was_killed_by_user_async", was_killed_by_user)


@pytest.mark.long
@pytest.mark.parametrize(
    ("lost_answer", "by_user", "status"),
    [(True, True, "CANCELED"), (True, False, "RUNNING"), (False, True, "RUNNING")],
    indirect=["lost_answer"],
)
async def test_a_task_that_is_stopped_in_an_outage_leaves_no_batch_whose_answer_was_lost(
    mics_default: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    lost_answer: tuple[str, Any],
    by_user: bool,
    status: str,
) -> None:
    instance_id, trigger = lost_answer
    answers(monkeypatch, by_user)
    await asyncio.to_thread(mics_default.clear_faults)
    other = await asyncio.to_thread(mics_default.create_execution, instance_id)
    await trigger.on_kill()
    found = await asyncio.to_thread(mics_default.executions, instance_id)
    assert [each["status"] for each in found if each["id"] == other["id"]] != ["CANCELED"]
    [own] = [each for each in found[1:] if each["id"] != other["id"]]
    assert own["status"] == status


@pytest.mark.long
async def test_a_task_that_is_stopped_while_the_platform_is_down_says_what_to_look_for(
    mics_default: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    lost_answer: tuple[str, Any],
) -> None:
    instance_id, trigger = lost_answer
    answers(monkeypatch, by_user=True)
    monkeypatch.setattr(outage_triggers, "CANCEL_TIMEOUT", 1.0)
    await trigger.on_kill()
    [_, own] = await asyncio.to_thread(mics_default.executions, instance_id)
    log = caplog.text + capsys.readouterr().out  # Airflow 3 writes to the latter
    line = next(each for each in log.splitlines() if "cancel it there" in each)
    assert f"run instance {instance_id}" in line
    assert f"a MANUAL execution with expected_start_date {own['expected_start_date']}," in line
    assert "error" in line.lower()
