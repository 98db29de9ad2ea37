"""The triggers: plain JSON in, one event out, through outages and restarts."""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_mics import hooks, outage_triggers
from airflow_provider_mics.api import ExecutionType
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.outage_triggers import MicsOutageTrigger
from airflow_provider_mics.runtime.compat import get_async_connection
from airflow_provider_mics.runtime.trigger_events import outcome_of
from airflow_provider_mics.triggers import MicsExecutionTrigger, MicsTickTrigger
from tests.airflow_names import AirflowNotFoundException
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

TICK = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)


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
        MicsOutageTrigger({"known_ids": ["3"]}, 2, instance_id="1", execution_id="2", deadline=1795470000.5),
        MicsOutageTrigger(
            {},
            1,
            {"execution_type": "CRON", "known_ids": ["3"]},
            instance_id="1",
            execution_id="",
            deadline=1.5,
        ),
    ],
)
def test_a_trigger_is_the_same_after_serialization(trigger: Any) -> None:
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)
    assert "token" not in json.dumps(arguments)


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


async def test_the_wait_survives_an_outage(mics_default: SandboxServer, hangs: tuple[str, str]) -> None:
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
    assert outcome.message.endswith("; it was not canceled")
    again = await event_of(MicsExecutionTrigger(*hangs, deadline=time.time() - 60, **kept))
    assert again.timed_out
    assert [each["status"] for each in mics_default.executions()] == ["RUNNING"]


@pytest.mark.parametrize(
    ("is_outage", "problem"),
    [(False, "execution 4711 of instance 1 could not be read"), (True, "unreachable")],
)
async def test_only_an_outage_is_called_one_at_the_deadline(
    mics_default: SandboxServer,
    hangs: tuple[str, str],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    is_outage: bool,
    problem: str,
) -> None:
    if is_outage:
        gateway = {"kind": "gateway", "path": "executions/4711", "parameters": {"status": 404}}
        await asyncio.to_thread(mics_default.faults, [gateway])
    trigger = MicsExecutionTrigger(
        hangs[0], "4711", poll_interval=30, deadline=time.time() + 1, cancel_on_kill=False
    )
    outcome = await event_of(trigger)
    assert outcome.timed_out
    log = caplog.text + capsys.readouterr().out  # Airflow 3 writes to the latter
    line = next(each for each in log.splitlines() if "Timed out, and" in each)
    assert problem in line
    assert ("unreachable" in line) is is_outage


async def test_at_the_deadline_the_execution_is_canceled_and_its_end_awaited(
    mics_default: SandboxServer, hangs: tuple[str, str]
) -> None:
    mics_default.quirks(cancel_takes_s=3)
    outcome = await event_of(MicsExecutionTrigger(*hangs, poll_interval=0.1, deadline=time.time() + 0.5))
    assert outcome.timed_out
    assert outcome.is_handled
    assert outcome.message.endswith("; canceled it (cancel action)")
    assert [each["status"] for each in mics_default.executions()] == ["CANCELED"]


async def test_an_execution_canceled_at_the_deadline_by_a_lost_triggerer_is_a_timeout(
    mics_default: SandboxServer, hangs: tuple[str, str]
) -> None:
    await asyncio.to_thread(mics_default.end_execution, hangs[1], "CANCELED")
    outcome = await event_of(MicsExecutionTrigger(*hangs, poll_interval=0.1, deadline=time.time() - 5))
    assert outcome.timed_out
    assert outcome.is_handled
    assert outcome.message.endswith("; it is canceled")


async def test_an_execution_that_ends_just_before_the_deadline_is_in_time(
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


async def test_a_refused_token_is_a_final_error(mics_default: SandboxServer, hangs: tuple[str, str]) -> None:
    mics_default.set_tokens({"another-token": ["1185"]})
    outcome = await event_of(MicsExecutionTrigger(*hangs, poll_interval=0.1))
    assert outcome.is_final
    assert "HTTP 401" in outcome.message
    assert mics_default.token not in outcome.message


@pytest.mark.parametrize(
    "error", [None, ConnectionError("no API server"), ValueError("bad secret")], ids=repr
)
async def test_a_connection_that_airflow_cannot_read_ends_no_wait(
    error: Exception | None,
    mics_default: SandboxServer,
    hangs: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without an error, Airflow does not find it, which it also says where a secrets backend is down."""
    readings = []

    async def unreadable(conn_id: str) -> Any:
        readings.append(conn_id)
        if len(readings) < 4:
            raise error or AirflowNotFoundException("not found")
        return await get_async_connection(conn_id)

    monkeypatch.setattr(hooks, "get_async_connection", unreadable)
    await asyncio.to_thread(mics_default.end_execution, hangs[1], "SUCCEEDED")
    outcome = await asyncio.wait_for(event_of(MicsExecutionTrigger(*hangs, poll_interval=0.1)), 30)
    assert outcome.execution.succeeded
    assert len(readings) >= 4


async def test_a_connection_that_cannot_be_read_leaves_the_deadline_as_it_is(
    mics_default: SandboxServer, hangs: tuple[str, str]
) -> None:
    trigger = MicsExecutionTrigger(
        *hangs, "nowhere", poll_interval=0.1, deadline=time.time() + 1, cancel_on_kill=False
    )
    outcome = await asyncio.wait_for(event_of(trigger), 30)
    assert outcome.timed_out


async def test_a_token_replaced_in_the_connection_ends_no_wait(
    mics_default: SandboxServer, hangs: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = asyncio.create_task(event_of(MicsExecutionTrigger(*hangs, poll_interval=0.1)))
    route = "GET /v1/integration_batch_instances/{id}/executions/{id}"
    await asyncio.to_thread(mics_default.wait_until, lambda: mics_default.counters().get(route, 0) >= 2)
    await asyncio.to_thread(mics_default.set_tokens, {"the-new-token": ["1185"]})
    await asyncio.sleep(0.5)
    monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", connection_to(mics_default, password="the-new-token"))
    await asyncio.to_thread(mics_default.end_execution, hangs[1], "SUCCEEDED")
    assert (await asyncio.wait_for(waiting, 30)).execution.succeeded


def outage_trigger(instance_id: str, seconds: float) -> MicsOutageTrigger:
    return MicsOutageTrigger(
        instance_id=instance_id,
        execution_id="",
        deadline=time.time() + seconds,
        state={"known_ids": ["7"], "attempt": 1},
    )


async def test_an_outage_ends_with_the_first_answer_of_the_platform(
    mics_default: SandboxServer, hangs: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage_triggers, "FIRST_PAUSE", 0.1)
    gateway = {"kind": "html", "parameters": {"status": 404}, "times": 3}
    await asyncio.to_thread(mics_default.faults, [gateway])
    events = [event.payload async for event in outage_trigger(hangs[0], 60).run()]
    assert events == [{"known_ids": ["7"], "attempt": 1}]
    assert await asyncio.to_thread(mics_default.injected) == {"html": 3}


async def test_an_outage_is_waited_for_until_the_deadline(
    mics_default: SandboxServer, hangs: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage_triggers, "FIRST_PAUSE", 0.1)
    await asyncio.to_thread(mics_default.faults, [{"kind": "503"}])
    events = await asyncio.wait_for(anext(outage_trigger(hangs[0], 1).run()), 30)
    assert events.payload == {"known_ids": ["7"], "attempt": 1}


async def test_the_execution_of_a_tick_is_the_event(mics_default: SandboxServer) -> None:
    instance = mics_default.create_instance("ticks", cron="30 5 * * *", properties={"duration_s": 0})
    waiting = asyncio.create_task(event_of(tick_trigger(instance, 20, poll_interval=0.1)))
    await asyncio.sleep(0)
    late = round((TICK + timedelta(seconds=30)).timestamp() * 1000)
    made = await asyncio.to_thread(mics_default.create_execution, instance, late, "CRON")
    assert (await asyncio.wait_for(waiting, 20)).execution.id == made["id"]


async def test_a_tick_that_is_not_fired_times_out(mics_default: SandboxServer) -> None:
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
