"""`airflow dags test` and `airflow tasks test` of one date, again and again: each starts its own execution."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local_airflow.home import copy_of, environ_for
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.long

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT_SECONDS = 600
DATE, FUTURE = "2026-01-31T05:30:00+00:00", "2031-01-31T05:30:00+00:00"
NAMES = ("at_once", "given", "on_cron", "retried", "later")
DAG_FILE = """
import json
import os
from datetime import UTC, datetime, timedelta

from tests.airflow_names import DAG
from airflow_provider_mics.operators import MicsCreateExecutionOperator

I = json.loads(os.environ["INSTANCES"])
START = datetime(2024, 1, 1, tzinfo=UTC)


class LosesItsWorkerOnce(MicsCreateExecutionOperator):
    def _wait(self, context, execution):
        if context["ti"].try_number == 1:
            raise RuntimeError("the worker is lost")
        return super()._wait(context, execution)


def run(task_id, kind=MicsCreateExecutionOperator, **arguments):
    settings = {"poll_interval": 0.2, "retries": 0, "retry_delay": timedelta(0)}
    return kind(task_id=task_id, instance_id=I[task_id], **settings | arguments)


with DAG("repeated", schedule=None, start_date=START) as repeated:
    run("at_once")
    run("given", expected_start_date="2026-02-01T00:00:00Z")
    run("on_cron", cron="30 5 * * *")
    run("retried", LosesItsWorkerOnce, retries=1)

with DAG("later", schedule=None, start_date=START) as later:
    run("later")
"""
RUNNER = """
import json
import sys
from airflow.cli.cli_parser import get_parser

for arguments in json.loads(sys.argv[1]):
    args = get_parser().parse_args(arguments)
    args.func(args)
"""
TESTS = (
    ["dags", "reserialize"],
    ["dags", "test", "repeated", DATE],
    ["dags", "test", "repeated", DATE],
    *(["tasks", "test", "repeated", task_id, DATE] for task_id in ("at_once", "given", "on_cron", "at_once")),
    ["dags", "test", "later", FUTURE],
)


def airflow(home: Path, commands: Sequence[list[str]], environ: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, json.dumps(commands)],
        check=False,
        env=environ_for(home) | environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@pytest.fixture(scope="module")
def executions(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The executions of each instance after all commands."""
    home = copy_of(airflow_home, tmp_path_factory.mktemp("repeated") / "airflow")
    (home / "dags" / "repeated.py").write_text(DAG_FILE)
    with SandboxServer() as sandbox:
        ids = {name: sandbox.create_instance(name, properties={"duration_s": 0.5}) for name in NAMES}
        environ = {
            "AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox),
            "INSTANCES": json.dumps(ids),
            "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES": "airflow.*",
        }
        airflow(home, TESTS, environ)
        yield {name: sandbox.executions(ids[name]) for name in NAMES} | {"now": sandbox.now_ms()}


@pytest.mark.parametrize(("task_id", "count"), [("at_once", 4), ("given", 3), ("on_cron", 3), ("retried", 2)])
def test_each_test_of_one_date_starts_its_own_execution(
    executions: dict[str, Any], task_id: str, count: int
) -> None:
    assert [each["status"] for each in executions[task_id]] == ["SUCCEEDED"] * count
    assert {each["execution_type"] for each in executions[task_id]} == {"MANUAL"}


def test_a_test_of_a_future_date_starts_at_once(executions: dict[str, Any]) -> None:
    [execution] = executions["later"]
    assert execution["status"] == "SUCCEEDED"
    assert execution["expected_start_date"] < executions["now"]
