"""Ended executions as asset events: each once, through outages and restarts."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__ as airflow_version
from packaging.version import Version

from airflow_provider_mics.triggers import MicsExecutionEventTrigger
from local_airflow.components import IS_AIRFLOW_2, SOON_TAKEN_FOR_DEAD, LocalAirflow
from local_airflow.home import copy_of
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.long

HAS_STATE_STORE = Version(airflow_version) >= Version("3.3")

PATIENCE_S = 20
NEVER_ENDS = {"outcome": "hang"}


class Store:
    """An asset's state store, as Airflow 3.3 gives it to a trigger."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def aget(self, key: str, default: Any = None) -> Any:
        return json.loads(self.kept[key]) if key in self.kept else default

    async def aset(self, key: str, value: Any) -> None:
        self.kept[key] = json.dumps(value)


class Watching:
    """A running trigger and its events."""

    def __init__(self, sandbox: SandboxServer, trigger: MicsExecutionEventTrigger) -> None:
        self._sandbox = sandbox
        self._trigger = trigger
        self.events: list[Any] = []

    @property
    def ids(self) -> list[str]:
        return [event["execution_id"] for event in self.events]

    async def run(self) -> None:
        async for event in self._trigger.run():
            self.events.append(event.payload)

    async def until(self, holds: Callable[[], Any]) -> None:
        for _ in range(50 * PATIENCE_S):
            if holds():
                return
            await asyncio.sleep(0.02)
        raise TimeoutError(f"not within {PATIENCE_S} s; events: {self.events}")

    async def looks(self, count: int = 2) -> None:
        """Wait until it has looked so often from now on."""
        before = self._sandbox.counters()
        await self.until(lambda: sum(self._sandbox.counters().values()) >= sum(before.values()) + count)


@asynccontextmanager
async def watching(
    sandbox: SandboxServer, instance_id: str, store: Store | None = None, **arguments: Any
) -> AsyncIterator[Watching]:
    trigger = MicsExecutionEventTrigger(instance_id, poll_interval=0.05, **arguments)
    trigger.asset_state_store = store
    watched = Watching(sandbox, trigger)
    task = asyncio.create_task(watched.run())
    try:
        await watched.looks()
        yield watched
        assert not task.done(), "a watcher never ends"
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def ended(sandbox: SandboxServer, instance_id: str, status: str = "SUCCEEDED") -> str:
    execution_id = str(sandbox.create_execution(instance_id)["id"])
    sandbox.end_execution(execution_id, status)
    return execution_id


async def test_each_end_since_the_start_is_one_event_if_its_status_is_wanted(
    mics_default: SandboxServer,
) -> None:
    instance_id = mics_default.create_instance(properties=NEVER_ENDS)
    ended(mics_default, instance_id)
    async with watching(mics_default, instance_id, statuses=["FAILED", "SUCCEEDED"]) as watched:
        good, _, bad = (
            ended(mics_default, instance_id, word) for word in ("SUCCEEDED", "CANCELED", "FAILED")
        )
        await watched.until(lambda: len(watched.events) >= 2)
        await watched.looks()
    assert watched.ids == [good, bad]
    event = watched.events[1]
    assert (event["instance_id"], event["status"], event["execution"]["id"]) == (instance_id, "FAILED", bad)
    assert json.loads(json.dumps(watched.events)) == watched.events
    assert mics_default.token not in json.dumps(watched.events)


async def test_ends_while_no_trigger_runs_fire_in_the_next_one(
    mics_default: SandboxServer,
) -> None:
    instance_id = mics_default.create_instance(properties=NEVER_ENDS)
    store = Store()
    async with watching(mics_default, instance_id, store) as watched:
        first = ended(mics_default, instance_id)
        await watched.until(lambda: watched.ids == [first])
        await watched.looks()
    missed = ended(mics_default, instance_id)
    async with watching(mics_default, instance_id, store) as watched:
        await watched.until(lambda: watched.ids)
        await watched.looks()
        assert watched.ids == [missed]
    async with watching(mics_default, instance_id) as watched:
        assert watched.ids == [], "without a store, nothing is known of before"


async def test_it_keeps_polling_through_an_outage_and_a_replaced_token(
    mics_default: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance_id = mics_default.create_instance(properties=NEVER_ENDS)
    async with watching(mics_default, instance_id) as watched:
        mics_default.kill()
        await asyncio.sleep(0.2)
        mics_default.start()
        first = ended(mics_default, instance_id)
        await watched.until(lambda: watched.ids == [first])
        mics_default.set_tokens({"another-token": [mics_default.organisation_id]})
        await watched.looks()
        mics_default.token = "another-token"
        monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", connection_to(mics_default))
        second = ended(mics_default, instance_id)
        await watched.until(lambda: watched.ids == [first, second])


async def test_two_triggers_of_one_asset_have_separate_state(mics_default: SandboxServer) -> None:
    instance_id = mics_default.create_instance(properties=NEVER_ENDS)
    store = Store()
    for statuses in (["SUCCEEDED"], ["FAILED"]):
        async with watching(mics_default, instance_id, store, statuses=statuses):
            pass
    missed = ended(mics_default, instance_id, "FAILED")
    async with watching(mics_default, instance_id, store, statuses=["SUCCEEDED"]) as watched:
        assert watched.ids == []
    async with watching(mics_default, instance_id, store, statuses=["FAILED"]) as watched:
        await watched.until(lambda: watched.ids == [missed])


async def test_a_temporary_error_of_the_state_store_loses_no_event(mics_default: SandboxServer) -> None:
    class SlowAtFirst(Store):
        failures = 1

        async def aget(self, key: str, default: Any = None) -> Any:
            if self.kept and self.failures:
                self.failures -= 1
                raise RuntimeError("the supervisor is busy")
            return await super().aget(key, default)

    instance_id = mics_default.create_instance(properties=NEVER_ENDS)
    store = SlowAtFirst()
    async with watching(mics_default, instance_id, store):
        pass
    missed = ended(mics_default, instance_id)
    async with watching(mics_default, instance_id, store) as watched:
        await watched.until(lambda: watched.ids == [missed])


@pytest.mark.skipif(not HAS_STATE_STORE, reason="assets have a state store since Airflow 3.3")
def test_a_trigger_of_two_assets_saves_its_state_with_each() -> None:
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import AssetStateStoreAccessors

    trigger = MicsExecutionEventTrigger("1")
    trigger.asset_state_store = AssetStateStoreAccessors([Asset("one"), Asset("other")])
    assert len(trigger._stores) == 2


def test_it_is_the_same_after_serialization() -> None:
    trigger = MicsExecutionEventTrigger("1", ["SUCCEEDED", "FAILED"], "other", "1185", 5.0)
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)
    assert arguments["statuses"] == ["FAILED", "SUCCEEDED"]
    assert MicsExecutionEventTrigger("1", statuses="FAILED").statuses == ["FAILED"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"instance_id": "a b"}, "instance_id 'a b' is not an id"),
        ({"instance_id": "1", "statuses": ["RUNNING"]}, "status 'RUNNING' is not one of CANCELED"),
        ({"instance_id": "1", "poll_interval": 0}, "poll_interval 0 must be above 0 seconds"),
    ],
)
def test_invalid_arguments_are_refused_when_the_dag_is_parsed(arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        MicsExecutionEventTrigger(**arguments)


DAGS = """
import os
from datetime import UTC, datetime

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_mics.triggers import MicsExecutionEventTrigger

trigger = MicsExecutionEventTrigger(os.environ["INSTANCE"], poll_interval=1)
ran = Asset("nightly import ran", watchers=[AssetWatcher(name="mediarithmics", trigger=trigger)])

with DAG("after_the_batch", schedule=[ran], start_date=datetime(2024, 1, 1, tzinfo=UTC)):

    @task
    def run(triggering_asset_events=None):
        for event in triggering_asset_events[ran]:
            print("after", event.extra["payload"]["execution_id"])

    run()
"""


@pytest.mark.skipif(IS_AIRFLOW_2, reason="asset watchers came with Airflow 3")
def test_a_dag_runs_after_each_execution_of_another_origin(
    airflow_home: Path, tmp_path: Path, mics_default: SandboxServer
) -> None:
    instance_id = mics_default.create_instance(properties=NEVER_ENDS)
    home = copy_of(airflow_home, tmp_path / "airflow")
    (home / "dags" / "after_the_batch.py").write_text(DAGS)
    mics_default.reset_counters()
    with LocalAirflow(home, {"INSTANCE": instance_id, **SOON_TAKEN_FOR_DEAD}) as airflow:

        def wait_for_run(execution_id: str) -> None:
            airflow.until(lambda: f"after {execution_id}" in airflow.task_log("after_the_batch"), 120)

        airflow.until(lambda: sum(mics_default.counters().values()) >= 2, 150)
        wait_for_run(ended(mics_default, instance_id))
        if (
            not HAS_STATE_STORE
        ):  # executions that end while the triggerer restarts are missed, as the docs say
            return
        airflow.stop("triggerer")
        missed = ended(mics_default, instance_id)
        airflow.start("triggerer")
        wait_for_run(missed)
        log = airflow.task_log("after_the_batch")
    assert log.count(f"after {missed}") == 1
