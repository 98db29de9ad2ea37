"""Triggers of ticks: a second execution is noticed, an outage renews the grace, and no event comes too early."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_mics import tick_triggers
from airflow_provider_mics.api import ExecutionType
from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.runtime.trigger_events import Outcome, outcome_of
from airflow_provider_mics.tick_triggers import MicsTickTrigger, tick_of
from airflow_provider_mics.triggers import MicsExecutionTrigger
from tests.sandbox_server import SandboxServer

TICK = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)


async def event_of(trigger: Any) -> Outcome:
    [event] = [event.payload async for event in trigger.run()]
    return outcome_of(event)


@pytest.mark.parametrize(("latency", "status"), [(3600, "CANCELED"), (0, "SUCCEEDED")])
async def test_a_second_execution_of_the_tick_is_noticed_while_the_first_runs(
    mics_default: SandboxServer, latency: int, status: str
) -> None:
    instance_id = mics_default.create_instance(properties={"outcome": "hang"})
    own = mics_default.create_execution(instance_id, milliseconds(TICK), "CRON")["id"]
    mics_default.wait_until(lambda: mics_default.executions(instance_id)[0]["status"] == "RUNNING")
    mics_default.quirks(start_latency_s=latency)
    identity = ExecutionIdentity(instance_id, ExecutionType.CRON, TICK, timedelta(seconds=60))
    trigger = MicsExecutionTrigger(
        instance_id, own, poll_interval=0.2, tick=tick_of(identity) | {"grace": 120.0}
    )
    waiting = asyncio.create_task(event_of(trigger))
    twin = await asyncio.to_thread(
        mics_default.create_execution, instance_id, milliseconds(TICK) + 30_000, "CRON"
    )

    path = f"/v1/integration_batch_instances/{instance_id}/executions"

    def looks() -> int:
        return sum((each["method"], each["path"]) == ("GET", path) for each in mics_default.seen_requests())

    looked = looks()
    await asyncio.to_thread(mics_default.wait_until, lambda: looks() >= looked + 2)
    for each in (twin["id"], own):
        if each == own or latency == 0:
            await asyncio.to_thread(mics_default.end_execution, each, "SUCCEEDED")
    outcome = await asyncio.wait_for(waiting, 20)
    assert outcome.twins == (twin["id"],)
    assert [each["status"] for each in mics_default.executions(instance_id)] == ["SUCCEEDED", status]


def tick_trigger(instance_id: str, seconds: float, **arguments: Any) -> MicsTickTrigger:
    identity = ExecutionIdentity(instance_id, ExecutionType.CRON, TICK, timedelta(seconds=60))
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    return MicsTickTrigger.of(identity, until, poll_interval=0.2, **arguments)


async def test_the_grace_stands_still_in_an_outage_and_begins_anew_after_it(
    mics_default: SandboxServer,
) -> None:
    instance_id = mics_default.create_instance()
    mics_default.faults([{"kind": 503}])
    waiting = asyncio.create_task(event_of(tick_trigger(instance_id, 2, grace=60.0)))
    await asyncio.sleep(3)
    assert not waiting.done()
    await asyncio.to_thread(mics_default.clear_faults)
    await asyncio.to_thread(mics_default.create_execution, instance_id, milliseconds(TICK), "CRON")
    outcome = await asyncio.wait_for(waiting, 40)
    assert outcome.execution is not None


async def test_an_outage_ends_no_later_than_the_tasks_own_time(mics_default: SandboxServer) -> None:
    instance_id = mics_default.create_instance()
    mics_default.faults([{"kind": 503}])
    give_up_at = time.time() + 3
    outcome = await asyncio.wait_for(
        event_of(tick_trigger(instance_id, 1, grace=60.0, give_up_at=give_up_at)), 20
    )
    assert outcome.timed_out
    assert time.time() >= give_up_at


async def test_an_execution_that_a_pause_has_canceled_is_not_the_one_waited_for(
    mics_default: SandboxServer,
) -> None:
    instance_id = mics_default.create_instance(properties={"outcome": "hang"})
    canceled = mics_default.create_execution(instance_id, milliseconds(TICK), "CRON")["id"]
    mics_default.end_execution(canceled, "CANCELED")
    waiting = asyncio.create_task(event_of(tick_trigger(instance_id, 20, ignored_ids=[canceled])))
    replanned = await asyncio.to_thread(
        mics_default.create_execution, instance_id, milliseconds(TICK), "CRON"
    )
    outcome = await asyncio.wait_for(waiting, 20)
    assert outcome.execution_id == replanned["id"]


@pytest.mark.parametrize(("has_scheduler", "waits"), [(True, True), (False, False)])
@pytest.mark.parametrize("kind", [MicsExecutionTrigger, MicsTickTrigger])
async def test_no_event_comes_before_the_scheduler_has_seen_the_deferral(
    mics_default: SandboxServer, monkeypatch: pytest.MonkeyPatch, kind: type, has_scheduler: bool, waits: bool
) -> None:
    monkeypatch.setattr(tick_triggers, "SHORTEST_DEFERRAL", 3.0)
    instance_id = mics_default.create_instance(properties={"duration_s": 0})
    execution_id = mics_default.create_execution(instance_id, milliseconds(TICK), "CRON")["id"]
    mics_default.wait_until(lambda: mics_default.executions(instance_id)[0]["status"] == "SUCCEEDED")
    trigger: Any = (
        MicsExecutionTrigger(instance_id, execution_id, poll_interval=0.2, cancel_on_kill=False)
        if kind is MicsExecutionTrigger
        else tick_trigger(instance_id, 20)
    )
    if has_scheduler:
        trigger.task_instance = SimpleNamespace(
            dag_id="dag", task_id="run", run_id="run", map_index=-1, try_number=1
        )
    began = time.monotonic()
    outcome = await asyncio.wait_for(event_of(trigger), 20)
    assert outcome.execution is not None
    assert (time.monotonic() - began >= 3) is waits


def test_the_shortest_deferral_is_some_loops_of_the_scheduler() -> None:
    assert tick_triggers.SHORTEST_DEFERRAL >= 10
