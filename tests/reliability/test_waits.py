"""Hundreds of waits survive the death of the process that waits, and of the platform that is asked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.case_counts import IS_FULL
from tests.provider.mics_connections import connection_to
from tests.reliability.conftest import Tell
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.long

pytest.importorskip("airflow", reason="these processes run Airflow's triggers")

WAITS = 500 if IS_FULL else 100
INSTANCES = 10
PATIENCE_S = 120


@pytest.fixture
def platform(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> SandboxServer:
    monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", connection_to(sandbox))
    return sandbox


def running_executions(server: SandboxServer) -> list[tuple[str, str]]:
    instances = [server.create_instance(properties={"outcome": "hang"}) for _ in range(INSTANCES)]
    return [
        (instance_id, server.create_execution(instance_id)["id"])
        for instance_id in instances
        for _ in range(WAITS // INSTANCES)
    ]


def end(server: SandboxServer, waits: list[tuple[str, str]], status: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda wait: server.end_execution(wait[1], status), waits))


def looks(server: SandboxServer) -> int:
    return sum(server.counters().values())


def test_waits_killed_with_their_process_all_end_in_the_next_one(platform: SandboxServer, tell: Tell) -> None:
    from tests.reliability.waiting_processes import WaitingProcess

    waits = running_executions(platform)
    platform.reset_counters()
    first = WaitingProcess(waits)
    try:
        platform.wait_until(lambda: looks(platform) >= 3, PATIENCE_S)
        end(platform, waits[: WAITS // 4], "SUCCEEDED")
        seen = first.events(WAITS // 10, PATIENCE_S)
    finally:
        first.kill()
    end(platform, waits[WAITS // 4 : WAITS // 2], "FAILED")
    second = WaitingProcess(waits)
    try:
        end(platform, waits[WAITS // 2 :], "SUCCEEDED")
        events = second.events(WAITS, PATIENCE_S)
    finally:
        second.kill()
    assert {execution_id for execution_id, _, _ in events} == {execution_id for _, execution_id in waits}
    assert {kind for _, kind, _ in events} == {"completed"}
    assert sum(status == "FAILED" for _, _, status in events) == WAITS // 2 - WAITS // 4
    assert len(platform.executions()) == WAITS, "nobody created another, nobody canceled one"
    tell(f"{WAITS} waits, killed after {len(seen)} events, restarted: {len(events)} ended, 0 lost, 0 double")


def test_waits_go_on_when_the_platform_is_killed_and_comes_back(platform: SandboxServer, tell: Tell) -> None:
    from tests.reliability.waiting_processes import WaitingProcess

    waits = running_executions(platform)
    platform.reset_counters()
    process = WaitingProcess(waits)
    try:
        for _ in range(2):
            platform.wait_until(lambda: looks(platform) >= 3, PATIENCE_S)
            platform.kill()
            assert not process.events(1, 2), "an outage ends no wait"
            platform.start()
        end(platform, waits, "SUCCEEDED")
        events = process.events(WAITS, PATIENCE_S)
    finally:
        process.kill()
    assert sorted(execution_id for execution_id, _, _ in events) == sorted(each for _, each in waits)
    assert {(kind, status) for _, kind, status in events} == {("completed", "SUCCEEDED")}
    assert len(platform.executions()) == WAITS
    tell(f"{WAITS} waits, the platform killed twice: {len(events)} ended, 0 lost, 0 double")
