"""Ten mistakes that a user makes, each one clear line in the task's log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_mics.operators import MicsCreateExecutionOperator, MicsCreateInstanceOperator
from local_airflow.home import copy_of
from tests.provider.dag_runs import DagFolder, DagRun
from tests.provider.mics_connections import connection_to
from tests.provider.task_logs import failure_of
from tests.sandbox_server import SandboxServer

WRONG_TOKEN = "a-token-that-was-revoked"
DAG_FILE = """
import os
from datetime import UTC, datetime

from tests.airflow_names import DAG
from airflow_provider_mics.operators import MicsCreateExecutionOperator, MicsCreateInstanceOperator

INSTANCE = os.environ["INSTANCE"]


def execute(task_id, instance_id=INSTANCE, **arguments):
    settings = {"deferrable": True, "submission_timeout": 1} | arguments
    MicsCreateExecutionOperator(task_id=task_id, instance_id=instance_id, **settings)


def create(task_id, **fields):
    names = {"group_id": "com.test.batches", "artifact_id": "test-batch", "name": "new"}
    MicsCreateInstanceOperator(task_id=task_id, **names, **fields)


with DAG("mistakes", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)) as mistakes:
    execute("wrong_token", mics_conn_id="wrong_token")
    execute("wrong_organisation", organisation_id="9999")
    execute("unknown_instance", instance_id="4711")
    execute("no_connection", mics_conn_id="nowhere")
    execute("host_without_scheme", mics_conn_id="host_without_scheme")
    create("cron_without_status", cron="{{ '30 5 * * *' }}", cron_status="{{ '' }}")
    create("invalid_cron", cron="{{ '61 5 * * *' }}", cron_status="{{ 'ACTIVE' }}")
    execute("negative_date", expected_start_date="{{ -5 }}")
    execute("id_with_spaces", instance_id="{{ '11 85' }}")
    execute("platform_is_down", mics_conn_id="platform_is_down")
"""
LINES = {
    "wrong_token": r"GET /v1/integration_batch_instances/1/executions: .+ "
    r"\(HTTP 401, error_code \w+, error_id [\w-]+\)",
    "wrong_organisation": r"POST /v1/integration_batch_instances/1/executions: .*9999.* "
    r"\(HTTP 403, error_code \w+, error_id [\w-]+\)",
    "unknown_instance": r"GET /v1/integration_batch_instances/4711/executions: .*4711 not found "
    r"\(HTTP 404, error_code \w+, error_id [\w-]+\)",
    "no_connection": r"there is no connection 'nowhere': add one of type 'mediarithmics', "
    r"with the API token as its password",
    "host_without_scheme": r"connection host_without_scheme: host 'api\.example\.com' has no scheme: write it like https://api\.mediarithmics\.com",
    "cron_without_status": r"cron '30 5 \* \* \*' is given without cron_status: give both, or neither for manual runs",
    "invalid_cron": r"cron '61 5 \* \* \*' .+",
    "negative_date": r"expected_start_date -5 is negative: give a moment after 1970, in epoch milliseconds",
    "id_with_spaces": r"instance_id '11 85' is not an id: give the platform's id, such as '1185'",
    "platform_is_down": r"GET /v1/integration_batch_instances/1/executions: no response from "
    r"http://127\.0\.0\.1:9: .*[Cc]onnection refused",
}


@pytest.fixture(scope="module")
def run(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagRun]:
    folder = DagFolder(copy_of(airflow_home, tmp_path_factory.mktemp("mistakes") / "airflow"))
    with SandboxServer() as sandbox:
        environ = {
            "INSTANCE": sandbox.create_instance(),
            "AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox),
            "AIRFLOW_CONN_WRONG_TOKEN": connection_to(sandbox, password=WRONG_TOKEN),
            "AIRFLOW_CONN_HOST_WITHOUT_SCHEME": connection_to(sandbox, host="api.example.com"),
            "AIRFLOW_CONN_PLATFORM_IS_DOWN": connection_to(sandbox, host="http://127.0.0.1:9"),
        }
        yield folder.run(DAG_FILE, environ=environ)
        assert sandbox.executions() == []


@pytest.mark.parametrize("mistake", LINES)
def test_a_mistake_is_one_clear_line(run: DagRun, mistake: str) -> None:
    assert run.task(mistake).state == "failed"
    line = failure_of(run, mistake)
    print(f"{mistake}: {line}")  # noqa: T201 - pytest -rP shows them all
    assert re.fullmatch(LINES[mistake], line), line


def test_no_token_shows_in_any_of_them(run: DagRun) -> None:
    assert WRONG_TOKEN not in run.log


CALLS = """
from datetime import UTC, datetime

import structlog
from tests.airflow_names import DAG, task

from airflow_provider_mics.hooks import MicsHook

structlog.reset_defaults()

with DAG("calls", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)) as calls:
    for name in ("refused", "no_zone", "no_bundle", "down"):
        @task(task_id=name)
        def call(conn_id):
            MicsHook(conn_id).get_instance("1")

        call(name)
"""


@pytest.mark.skipif(not airflow_version.startswith("3.0."), reason="dag.test() logs so on Airflow 3.0 only")
def test_in_the_log_as_airflow_3_0_has_it_the_token_shows_only_where_airflow_masks_it(
    dag_folder: DagFolder, sandbox: SandboxServer
) -> None:
    """It has debug lines, and in tracebacks the variables of each frame."""
    changes: dict[str, dict[str, Any]] = {
        "refused": {},
        "no_zone": {"extra": {"timezone": "Paris"}},
        "no_bundle": {"extra": {"verify": "/no/such/bundle.pem"}},
        "down": {"host": "http://127.0.0.1:9"},
    }
    environ = {
        f"AIRFLOW_CONN_{name.upper()}": connection_to(sandbox, password=WRONG_TOKEN, **change)
        for name, change in changes.items()
    }
    run = dag_folder.run(CALLS, environ=environ)
    assert {task.state for task in run.tasks} == {"failed"}
    assert " locals " in run.log
    shown = [line for line in run.log.splitlines() if WRONG_TOKEN in line]
    assert shown
    assert all("msg=MaskSecret(value=" in line for line in shown)


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ({"cron": "30 5 * * *"}, "cron_without_status"),
        ({"cron": "61 5 * * *", "cron_status": "ACTIVE"}, "invalid_cron"),
    ],
)
def test_literal_arguments_are_refused_when_the_dag_is_parsed(fields: dict[str, str], mistake: str) -> None:
    with pytest.raises(ValueError, match="create: cron") as refusal:
        MicsCreateInstanceOperator(task_id="create", group_id="g", artifact_id="a", name="n", **fields)
    assert "\n" not in str(refusal.value), mistake


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [({"expected_start_date": -5}, "negative_date"), ({"instance_id": "11 85"}, "id_with_spaces")],
)
def test_a_literal_date_or_id_is_refused_when_the_dag_is_parsed(fields: dict[str, str], mistake: str) -> None:
    with pytest.raises(ValueError, match=LINES[mistake]):
        MicsCreateExecutionOperator(**{"task_id": "run", "instance_id": "1"} | fields)
