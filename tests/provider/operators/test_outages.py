"""A deferrable task bears an outage while it submits without a worker, and creates one execution."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

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
