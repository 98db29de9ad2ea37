"""The link to the instance, also of a task that failed, is mapped, or did not wait.

That it is there while a task runs or is deferred is in ``test_on_kill.py``, where a real Airflow runs.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_mics import operators
from airflow_provider_mics.links import MicsInstanceLink, MicsPluginLink
from airflow_provider_mics.sensors import MicsExecutionSensor
from local_airflow.home import copy_of
from tests.provider.dag_runs import DagFolder
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

DAG_FILE = """
import json
import os
from datetime import UTC, datetime

from airflow.models.taskinstancekey import TaskInstanceKey
from tests.airflow_names import DAG, BaseOperator
from airflow_provider_mics.links import MicsInstanceLink
from airflow_provider_mics.operators import MicsCreateExecutionOperator

I = json.loads(os.environ["INSTANCES"])


class ReadLinks(BaseOperator):
    def execute(self, context):
        ti = context["ti"]
        keys = [("fails", -1), ("mapped", 0), ("mapped", 1), ("none_yet", -1)]
        return [
            MicsInstanceLink().get_link(
                self, ti_key=TaskInstanceKey(ti.dag_id, task_id, ti.run_id, 1, map_index)
            )
            for task_id, map_index in keys
        ]


with DAG("linked", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), default_args={"retries": 0}) as linked:
    fails = MicsCreateExecutionOperator(task_id="fails", instance_id=I["bad"], poll_interval=0.2, deferrable=True)
    mapped = MicsCreateExecutionOperator.partial(task_id="mapped", wait_for_completion=False).expand(
        instance_id=[I["bad"], I["good"]]
    )
    [fails, mapped] >> ReadLinks(task_id="read", trigger_rule="all_done")
"""


def test_the_link_of_a_failed_or_mapped_task_opens_its_instance(
    airflow_home: Path, tmp_path: Path, sandbox: SandboxServer
) -> None:
    bad = sandbox.create_instance("bad", properties={"duration_s": 0, "outcome": "fail"})
    good = sandbox.create_instance("good", properties={"duration_s": 0})
    environ = {
        "AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox, {"console_url": "https://console.example.com/"}),
        "INSTANCES": json.dumps({"bad": bad, "good": good}),
    }
    run = DagFolder(copy_of(airflow_home, tmp_path / "airflow")).run(DAG_FILE, environ=environ)
    page = "https://console.example.com/#/o/1185/jobs/integration_batch_instances/"
    assert run.task("fails").state == "failed"
    assert run.xcom("read") == [page + bad, page + bad, page + good, ""]


@pytest.mark.parametrize("name", [*operators.__all__, "MicsExecutionSensor"])
def test_every_operator_links_to_its_instance_or_plugin(name: str) -> None:
    kind = getattr(operators, name, MicsExecutionSensor)
    links = [type(link) for link in kind.operator_extra_links]
    assert links == ([MicsPluginLink] if "Plugin" in name else [MicsInstanceLink])
