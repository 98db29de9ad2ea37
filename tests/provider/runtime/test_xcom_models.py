"""What the hook returns goes through XCom: the next task gets the same models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_provider_mics.api import executions, models
from airflow_provider_mics.runtime.xcom_models import MODELS
from local_airflow.components import IS_AIRFLOW_2
from tests.provider.own_process import printed_by

try:
    from airflow.sdk import plugins_manager, serde
except ImportError:  # before Airflow 3.2
    from airflow import plugins_manager
    from airflow.serialization import serde

if TYPE_CHECKING:
    from pathlib import Path

    from tests.provider.dag_runs import DagFolder
    from tests.sandbox_server import SandboxServer

DAGS = """
from datetime import UTC, datetime

from tests.airflow_names import DAG, task

with DAG("hooks", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)) as dag:

    @task
    def ask(params):
        from airflow_provider_mics.hooks import MicsHook

        hook, instance_id = MicsHook(), params["instance_id"]
        execution = hook.create_execution(instance_id)
        return {
            "instance": hook.get_instance(instance_id),
            "instances": hook.list_instances(),
            "created": execution,
            "executions": hook.list_executions(instance_id),
            "canceled": hook.cancel_execution(instance_id, execution.id),
        }

    @task
    def read(answers):
        execution = answers["executions"][0]
        return {
            "name": answers["instance"].name,
            "names": [each.name for each in answers["instances"]],
            "same": execution.id == answers["created"].id == answers["canceled"].execution.id,
            "start": (execution.expected_start_date - answers["created"].expected_start_date).total_seconds(),
            "json": answers["instance"].to_json(),
        }

    read(ask())
"""
# What a process that runs a task does before it reads XCom, without a DAG file that imports this package.
READ = """
import json, sys
from {plugins} import integrate_macros_plugins
integrate_macros_plugins()
assert "airflow_provider_mics.api.models" not in sys.modules
from {serde} import deserialize
print("<<" + deserialize(json.loads(sys.argv[1])).name)
"""


def test_the_next_task_reads_what_the_hook_returned(
    dag_folder: DagFolder, mics_default: SandboxServer
) -> None:
    instance_id = mics_default.create_instance("nightly", cron="0 5 * * *", properties={"outcome": "hang"})
    run = dag_folder.run(DAGS, conf={"instance_id": instance_id})
    assert run.state == "success", run.log
    answer = run.xcom("read")
    stored = mics_default.call("GET", f"integration_batch_instances/{instance_id}")
    assert (answer["name"], answer["names"], answer["same"], answer["start"]) == (
        "nightly",
        ["nightly"],
        True,
        0,
    )
    assert {key: value for key, value in answer["json"].items() if value is not None} == {
        key: value for key, value in stored.items() if value is not None
    }


def test_a_process_that_does_not_import_this_package_can_read_them(airflow_home: Path) -> None:
    plugins_manager.integrate_macros_plugins()
    source = READ.format(plugins=plugins_manager.__name__, serde=serde.__name__)
    instance = models.Instance.model_validate({"id": "7", "name": "nightly"})
    printed = printed_by(source, airflow_home, json.dumps(serde.serialize(instance)))
    assert printed.startswith("nightly")


@pytest.mark.parametrize("version", [0, 1])
def test_what_an_earlier_line_of_airflow_wrote_is_read(version: int) -> None:
    """Airflow 2.11 writes version 0 of a model, the lines of Airflow 3 version 1 of the same fields."""
    plugins_manager.integrate_macros_plugins()
    execution = models.Execution.model_validate(
        {
            "id": 7,
            "status": "SUCCEEDED",
            "parameters": {"execution_type": "CRON", "expected_start_date": 1_700_000_000_123},
            "start_date": 1_700_000_000_456,
            "duration": 2500,
            "unknown": {"a": [1, None]},
        }
    )
    written = serde.serialize(execution)
    assert written["__version__"] == (0 if IS_AIRFLOW_2 else 1)
    assert written["__data__"] == execution.model_dump(mode="json")
    if version <= written["__version__"]:
        assert serde.deserialize(written | {"__version__": version}) == execution


@pytest.mark.parametrize("module", [models, executions])
def test_every_model_is_allowed(module) -> None:
    public = {
        f"{each.__module__}.{name}"
        for name, each in vars(module).items()
        if isinstance(each, type) and each.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public - {"airflow_provider_mics.api.models.Resource"} <= set(MODELS)
