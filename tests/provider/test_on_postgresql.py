"""A whole Airflow with two schedulers, as deployments have it: on PostgreSQL, which refuses text that SQLite takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from local_airflow.components import IS_AIRFLOW_2, LocalAirflow
from local_airflow.home import migrate
from tests.case_counts import IS_FULL
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(IS_AIRFLOW_2, reason="asks nothing of Airflow's line: see Airflow 3"),
]

RUNS = 500 if IS_FULL else 24
CLIENTS = 12
RUN_SECONDS = 6
DAGS = """
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_mics.dag_factory import integration_batch_dags
from airflow_provider_mics.operators import MicsCreateExecutionOperator


def many_at_once(dag, instance):
    dag.max_active_runs = 16


generated = integration_batch_dags(
    default_args={"deferrable": False}, poll_interval=0.2, snapshot_ttl=timedelta(hours=1), customize=many_at_once
)
globals().update(generated)

for name, deferrable in (("deferred", True), ("blocking", False)):
    with DAG(name, schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), max_active_runs=8) as dag:
        MicsCreateExecutionOperator(
            task_id="run", instance_id="{{ dag_run.conf.instance_id }}", deferrable=deferrable, poll_interval=1
        )
    globals()[name] = dag
"""
NUL = "end of file\\u0000 at line 7"
"""As JSON writes it. PostgreSQL can store it neither as text nor as JSON."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture(scope="module")
def shared_instance(sandbox: SandboxServer) -> str:
    """An instance that has a generated DAG."""
    return sandbox.create_instance("shared", properties={"duration_s": 0})


@pytest.fixture(scope="module")
def airflow(
    sandbox: SandboxServer, shared_instance: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAirflow]:
    from local_airflow.postgres import postgres

    home = tmp_path_factory.mktemp("postgresql")
    with postgres(home / "postgresql") as url:
        migrate(home, url)
        (home / "dags" / "batches.py").write_text(DAGS)
        environ = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox),
        }
        with LocalAirflow(home, environ) as airflow:
            airflow.start("scheduler", "second scheduler")
            airflow.until(airflow.api.is_healthy, 150)
            yield airflow


@pytest.mark.parametrize("dag_id", ["deferred", "blocking"])
def test_a_nul_in_what_a_batch_says_harms_nobody(
    airflow: LocalAirflow, sandbox: SandboxServer, dag_id: str
) -> None:
    waiting = sandbox.create_instance(f"waiting {dag_id}", properties={"outcome": "hang"})
    texts = {"result": f'{{"note": "{NUL}"}}', "error_message": "no such file\x00 on the server"}
    outcomes = {"success": "succeed", "failed": "fail"}
    instances = {
        state: sandbox.create_instance(
            f"{dag_id} {state}", properties={"outcome": outcome, "duration_s": 4, **texts}
        )
        for state, outcome in outcomes.items()
    }
    neighbour = airflow.trigger(dag_id, {"instance_id": waiting})
    runs = {state: airflow.trigger(dag_id, {"instance_id": one}) for state, one in instances.items()}
    for state, run_id in runs.items():
        airflow.until(lambda run_id=run_id: airflow.api.run_state(dag_id, run_id) in outcomes, 120)
        assert airflow.api.run_state(dag_id, run_id) == state, airflow.task_log(dag_id)[-3000:]
    assert airflow.api.run_state(dag_id, neighbour) == "running"
    [execution] = sandbox.executions(waiting)
    sandbox.end_execution(execution["id"], "SUCCEEDED")
    airflow.until(lambda: airflow.api.run_state(dag_id, neighbour) == "success")
    assert "end of file" in str(airflow.api.xcom(dag_id, runs["success"], "run", "return_value"))


def test_each_of_many_runs_from_many_clients_has_an_execution_of_its_own(
    airflow: LocalAirflow, sandbox: SandboxServer, shared_instance: str, record_property
) -> None:
    dag_id = f"mics_integration_batch_{shared_instance}"
    airflow.trigger(dag_id)
    with ThreadPoolExecutor(CLIENTS) as clients:
        accepted = list(clients.map(lambda _: airflow.trigger(dag_id), range(RUNS - 1)))

    def all_ended() -> bool:
        return (
            sum(airflow.api.count_runs(dag_id=dag_id, state=each) for each in ("success", "failed")) == RUNS
        )

    airflow.until(all_ended, 60 + RUN_SECONDS * RUNS)
    assert airflow.api.count_runs(dag_id=dag_id, state="success") == RUNS == len(accepted) + 1
    executions = sandbox.executions(shared_instance)
    moments = Counter(each["expected_start_date"] for each in executions)
    record_property("figures", f"{RUNS} runs accepted, {len(executions)} executions, {len(moments)} moments")
    assert len(executions) == len(moments) == RUNS
