"""The triggers: plain JSON in, one event out, through outages and restarts; and everything of a DAG serializes."""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException
from airflow.serialization import serialized_objects

from airflow_provider_mics import operators
from airflow_provider_mics.api import ExecutionType
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.polling import poller
from airflow_provider_mics.runtime import on_kill
from airflow_provider_mics.runtime.on_kill import TaskWait
from airflow_provider_mics.runtime.trigger_events import outcome_of
from airflow_provider_mics.sensors import MicsExecutionSensor
from airflow_provider_mics.triggers import MicsExecutionTrigger, MicsTickTrigger
from tests.sandbox_server import SandboxServer

TICK = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
ARGUMENTS: dict[str, Any] = {
    "MicsCreatePluginOperator": {"group_id": "g", "artifact_id": "a"},
    "MicsCreatePluginVersionOperator": {"plugin_id": "1", "version": "1.0.0"},
    "MicsCreateInstanceOperator": {"group_id": "g", "artifact_id": "a", "name": "n"},
    "MicsUpdateInstanceOperator": {"instance_id": "1", "name": "n"},
    "MicsDeleteExecutionOperator": {"execution_id": "1"},
    "MicsCancelExecutionOperator": {"execution_id": "1"},
}


def tick_trigger(instance_id: str = "1", seconds: float = 5, **arguments: Any) -> MicsTickTrigger:
    identity = ExecutionIdentity(
        instance_id, ExecutionType.CRON, TICK, timedelta(seconds=60), (TICK, TICK + timedelta(hours=1))
    )
    return MicsTickTrigger.of(identity, datetime.now(UTC) + timedelta(seconds=seconds), **arguments)


@pytest.mark.parametrize(
    "trigger",
    [
        MicsExecutionTrigger("1", "2"),
        MicsExecutionTrigger("1", "2", "other", "1185", 5.0, 1795470000.5, cancel_on_kill=False),
        tick_trigger(mics_conn_id="other", organisation_id="1185", poll_interval=5.0),
    ],
)
def test_a_trigger_comes_back_the_same_from_plain_json(trigger: Any) -> None:
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)
    assert "token" not in json.dumps(arguments)


def serialized(dag: DAG) -> dict[str, Any]:
    name = "DagSerialization" if hasattr(serialized_objects, "DagSerialization") else "SerializedDAG"
    kind = getattr(serialized_objects, name)
    as_json: dict[str, Any] = json.loads(json.dumps(kind.to_dict(dag)))
    kind.from_dict(as_json)
    return as_json


@pytest.mark.parametrize("name", [*operators.__all__, "MicsExecutionSensor"])
def test_every_operator_and_the_sensor_survive_the_serialization_of_their_dag(name: str) -> None:
    kind = getattr(operators, name, MicsExecutionSensor)
    arguments = ARGUMENTS.get(name, {"instance_id": "1"})
    if "Execution" in name:
        arguments = {"instance_id": "1"} | arguments
    with DAG("d", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)) as dag:
        kind(task_id="plain", **arguments)
        first = next(iter(arguments))
        kept = {key: value for key, value in arguments.items() if key != first}
        kind.partial(task_id="mapped", **kept).expand(**{first: [arguments[first]] * 2})
    assert serialized(dag) == serialized(dag)
    assert name in json.dumps(serialized(dag))


@pytest.fixture
def hangs(mics_default: SandboxServer) -> tuple[str, str]:
    instance = mics_default.create_instance("hangs", properties={"outcome": "hang"})
    return instance, mics_default.create_execution(instance)["id"]


async def event_of(trigger: Any) -> Any:
    events = [event.payload async for event in trigger.run()]
    assert len(events) == 1
    assert json.loads(json.dumps(events[0])) == events[0]
    return outcome_of(events[0])


async def test_the_end_of_an_execution_is_the_event(
    mics_default: SandboxServer, hangs: tuple[str, str]
) -> None:
    waiting = asyncio.create_task(event_of(MicsExecutionTrigger(*hangs, poll_interval=0.1)))
    await asyncio.sleep(0)
    await asyncio.to_thread(mics_default.end_execution, hangs[1], "FAILED")
    outcome = await asyncio.wait_for(waiting, 20)
    assert outcome.execution.failed
    assert outcome.execution_id == hangs[1]


async def test_an_outage_is_waited_out(mics_default: SandboxServer, hangs: tuple[str, str]) -> None:
    waiting = asyncio.create_task(event_of(MicsExecutionTrigger(*hangs, poll_interval=0.1)))
    await asyncio.to_thread(mics_default.wait_until, mics_default.counters)
    await asyncio.to_thread(mics_default.restart)
    await asyncio.to_thread(mics_default.end_execution, hangs[1], "SUCCEEDED")
    assert (await asyncio.wait_for(waiting, 60)).execution.succeeded


async def test_the_deadline_is_an_absolute_time(mics_default: SandboxServer, hangs: tuple[str, str]) -> None:
    kept = {"poll_interval": 0.1, "cancel_on_kill": False}
    outcome = await event_of(MicsExecutionTrigger(*hangs, deadline=time.time() + 0.5, **kept))
    assert outcome.timed_out
    assert "was not over at" in outcome.message
    assert outcome.message.endswith("; it goes on")
    again = await event_of(MicsExecutionTrigger(*hangs, deadline=time.time() - 60, **kept))
    assert again.timed_out
    assert [each["status"] for each in mics_default.executions()] == ["RUNNING"]


async def test_a_deadline_that_passes_cancels_and_waits_until_the_platform_has_done_so(
    mics_default: SandboxServer, hangs: tuple[str, str]
) -> None:
    mics_default.quirks(cancel_takes_s=3)
    outcome = await event_of(MicsExecutionTrigger(*hangs, poll_interval=0.1, deadline=time.time() + 0.5))
    assert outcome.timed_out
    assert outcome.is_settled
    assert outcome.message.endswith("; canceled it (cancel action)")
    assert [each["status"] for each in mics_default.executions()] == ["CANCELED"]


async def test_a_triggerer_that_ended_before_it_could_tell_of_the_deadline_is_followed_by_one_that_does(
    mics_default: SandboxServer, hangs: tuple[str, str]
) -> None:
    await asyncio.to_thread(mics_default.end_execution, hangs[1], "CANCELED")
    outcome = await event_of(MicsExecutionTrigger(*hangs, poll_interval=0.1, deadline=time.time() - 5))
    assert outcome.timed_out
    assert outcome.is_settled
    assert outcome.message.endswith("; it is canceled")


async def test_a_batch_that_ended_just_before_the_deadline_has_ended_in_time(
    mics_default: SandboxServer, hangs: tuple[str, str]
) -> None:
    waiting = asyncio.create_task(
        event_of(MicsExecutionTrigger(*hangs, poll_interval=60, deadline=time.time() + 3))
    )

    def is_looked_at() -> bool:
        return any(route.startswith("GET") and "executions" in route for route in mics_default.counters())

    await asyncio.to_thread(mics_default.wait_until, is_looked_at)
    await asyncio.to_thread(mics_default.end_execution, hangs[1], "SUCCEEDED")
    outcome = await waiting
    assert not outcome.timed_out
    assert outcome.execution is not None
    assert outcome.execution.succeeded


async def test_what_can_never_be_watched_is_an_error_and_final(
    mics_default: SandboxServer, hangs: tuple[str, str]
) -> None:
    mics_default.set_tokens({"another-token": ["1185"]})
    outcome = await event_of(MicsExecutionTrigger(*hangs, poll_interval=0.1))
    assert outcome.is_final
    assert "HTTP 401" in outcome.message
    assert mics_default.token not in outcome.message


async def test_a_connection_that_is_not_there_is_an_error_and_final(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "CONNECTION_RETRY_SECONDS", 0)
    outcome = await asyncio.wait_for(
        event_of(MicsExecutionTrigger("1", "2", "nowhere", poll_interval=0.1)), 20
    )
    assert outcome.is_final
    assert outcome.message.startswith("there is no connection 'nowhere'")


async def test_a_tick_that_appears_is_the_event(mics_default: SandboxServer) -> None:
    instance = mics_default.create_instance("ticks", cron="30 5 * * *", properties={"duration_s": 0})
    waiting = asyncio.create_task(event_of(tick_trigger(instance, 20, poll_interval=0.1)))
    await asyncio.sleep(0)
    late = round((TICK + timedelta(seconds=30)).timestamp() * 1000)
    made = await asyncio.to_thread(mics_default.create_execution, instance, late, "CRON")
    assert (await asyncio.wait_for(waiting, 20)).execution.id == made["id"]


async def test_a_tick_that_does_not_appear_runs_out(mics_default: SandboxServer) -> None:
    instance = mics_default.create_instance("ticks", cron="30 5 * * *")
    outcome = await event_of(tick_trigger(instance, 0.5, poll_interval=0.1))
    assert outcome.timed_out
    assert outcome.execution is None


async def test_a_trigger_that_has_no_task_or_has_fired_cancels_nothing(
    mics_default: SandboxServer, hangs: tuple[str, str]
) -> None:
    trigger = MicsExecutionTrigger(*hangs)
    trigger.task_instance = None
    await trigger.on_kill()
    waiting = asyncio.create_task(event_of(MicsExecutionTrigger(*hangs, poll_interval=0.1)))
    await asyncio.sleep(0.2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    statuses = await asyncio.to_thread(mics_default.executions, hangs[0])
    assert [each["status"] for each in statuses] == ["RUNNING"]


@pytest.mark.parametrize("event", [None, {}, {"status": "done"}, "over", {"status": "success"}])
def test_an_event_that_is_not_ours_is_never_taken_for_a_success(event: Any) -> None:
    with pytest.raises(AirflowException, match="says nothing of the execution"):
        outcome_of(event)


class Answer(TaskWait):
    """A question to Airflow with a known answer: Airflow's own answers are in ``test_stopping.py``."""

    def still_waits(self) -> bool:
        if self.task_id == "silent":
            time.sleep(1)
        if self.task_id == "broken":
            raise RuntimeError("the supervisor is gone")
        return self.task_id == "waits"


@pytest.mark.parametrize(
    ("answer", "stopped"), [("waits", False), ("gone", True), ("silent", False), ("broken", False)]
)
async def test_only_a_clear_answer_says_that_a_person_stopped_the_task(answer: str, stopped: bool) -> None:
    waiting = Answer("dag", answer, "run", -1, "7")
    assert on_kill.was_killed_by_user(waiting, 0.3) is stopped
    assert await on_kill.was_killed_by_user_async(waiting, 0.3) is stopped
