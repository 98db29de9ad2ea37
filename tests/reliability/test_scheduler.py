"""A real Airflow whose scheduler stops for three ticks, and whose triggerer is killed: one execution for each tick."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.case_counts import IS_FULL
from tests.provider.mics_connections import connection_to
from tests.reliability.conftest import AIRFLOW_LINE, Tell
from tests.sandbox_server import SandboxServer

pytestmark = [
    pytest.mark.skipif(not IS_FULL, reason="takes some eight minutes: make chaos"),
    pytest.mark.skipif(AIRFLOW_LINE in ("", "2"), reason="the parts of Airflow 3 are started one by one"),
]

DAGS = """
from datetime import timedelta

from airflow_provider_mics.dag_factory import integration_batch_dags

globals().update(
    integration_batch_dags(
        platform_grace=timedelta(seconds=30),
        poll_interval=1.0,
        snapshot_ttl=timedelta(seconds=20),
        default_args={"retries": 3, "retry_delay": timedelta(seconds=5)},
    )
)
"""
MINUTE_MS = 60_000
DURATION_S = 20
START_S = 240
FIRST_RUN_S = 480
RUN_S = 300


def minute(moment_ms: int) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(moment_ms / 1000))


def ticks_on(server: SandboxServer, instance_id: str) -> Counter[int]:
    """How many executions started for each tick."""
    book = server.executions(instance_id)
    assert {each["execution_type"] for each in book} <= {"CRON"}, "nobody ran it by hand"
    return Counter(each["expected_start_date"] for each in book if each["started_at"] is not None)


def by_api(server: SandboxServer, instance_id: str) -> set[int]:
    """The ticks whose execution Airflow created."""
    return {each["expected_start_date"] for each in server.executions(instance_id, created_by="api")}


def test_each_tick_has_one_execution_whoever_fires_and_whoever_stops(
    migrated_home: Path, tmp_path: Path, sandbox: SandboxServer, tell: Tell
) -> None:
    from local_airflow.components import SOON_TAKEN_FOR_DEAD, LocalAirflow
    from local_airflow.home import copy_of

    instance_id = sandbox.create_instance(cron="*/1 * * * *", properties={"duration_s": DURATION_S})
    home = copy_of(migrated_home, tmp_path / "home")
    (home / "dags" / "batches.py").write_text(DAGS)
    environ = {"AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox), **SOON_TAKEN_FOR_DEAD}
    with LocalAirflow(home, environ) as airflow:
        airflow.until(airflow.api.is_healthy, START_S)

        def succeeded() -> int:
            return airflow.api.count_runs(state="success")

        def further_runs(count: int) -> Callable[[], bool]:
            before = succeeded()
            return lambda: succeeded() >= before + count

        airflow.until(further_runs(1), FIRST_RUN_S)
        airflow.until(lambda: airflow.api.count_tasks(state="deferred"), RUN_S)
        airflow.kill("triggerer")
        airflow.start("triggerer")
        airflow.until(further_runs(1), RUN_S)

        airflow.stop("scheduler")
        stopped_at = sandbox.now_ms()
        resumes_at = (stopped_at // MINUTE_MS + 3) * MINUTE_MS + 5_000
        airflow.until(lambda: sandbox.now_ms() >= resumes_at, RUN_S)
        airflow.start("scheduler")
        airflow.until(further_runs(1), RUN_S)

        sandbox.quirks(platform_silent=True)
        airflow.until(lambda: len(by_api(sandbox, instance_id)) >= 2, 2 * RUN_S)
        airflow.until(further_runs(1), RUN_S)
        airflow.stop("scheduler")
        states = {state: airflow.api.count_runs(state=state) for state in ("success", "failed", "running")}

    counts, ours = ticks_on(sandbox, instance_id), by_api(sandbox, instance_id)
    missed = set(range((stopped_at // MINUTE_MS + 1) * MINUTE_MS, resumes_at, MINUTE_MS))
    tell(
        f"{len(counts)} ticks with executions ({len(ours)} of them created by Airflow), runs: {states}; "
        f"the scheduler was stopped from {minute(stopped_at)} to {minute(resumes_at)}: {len(missed)} ticks, "
        f"of which Airflow created {len(missed & ours)}; triggerers killed: 1; double: "
        f"{sum(count > 1 for count in counts.values())}"
    )
    assert set(counts.values()) == {1}, {minute(tick): count for tick, count in counts.items()}
    assert set(range(min(counts), max(counts) + 1, MINUTE_MS)) == set(counts), "no tick was lost"
    assert not missed & ours, "the platform fired what the scheduler missed, and nobody ran it again"
    assert not states["failed"]
