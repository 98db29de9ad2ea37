"""What a blocking task leaves in Airflow's database where XCom goes through a custom backend, and what events say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_mics.runtime.xcom_keys import INSTANCE_LINK_KEY
from local_airflow.home import copy_of
from tests.provider.dag_runs import DagFolder
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

BACKEND = """
import json
import os
from pathlib import Path
from tests.airflow_names import XCom  # noqa
try:
    from airflow.sdk.bases.xcom import BaseXCom
except ImportError:
    from airflow.models.xcom import BaseXCom

STORE = Path(os.environ["XCOM_STORE"])


class StoredElsewhere(BaseXCom):
    @staticmethod
    def serialize_value(value, **_):
        number = len(list(STORE.iterdir()))
        (STORE / str(number)).write_text(json.dumps(value, default=str))
        return BaseXCom.serialize_value(f"elsewhere://{number}")

    @staticmethod
    def deserialize_value(result):
        address = BaseXCom.deserialize_value(result)
        assert address.startswith("elsewhere://"), address
        return json.loads((STORE / address.removeprefix("elsewhere://")).read_text())
""".replace("from tests.airflow_names import XCom  # noqa\n", "")
DAG_FILE = """
import json
import os
import sqlite3
from datetime import UTC, datetime

from airflow.models.taskinstancekey import TaskInstanceKey
from tests.airflow_names import DAG, BaseOperator
from airflow_provider_mics.dag_factory import instance_asset
from airflow_provider_mics.links import MicsInstanceLink
from airflow_provider_mics.operators import MicsCreateExecutionOperator

GOOD = os.environ["GOOD"]


class Shown(MicsCreateExecutionOperator):
    def execute(self, context):
        done = super().execute(context)
        # What the web server would show now: Airflow itself mends the row when the task ends.
        with sqlite3.connect(os.path.join(os.environ["AIRFLOW_HOME"], "airflow.db")) as database:
            query = "SELECT CAST(value AS TEXT) FROM xcom WHERE key = 'mics_instance_link'"
            print("[[" + str(database.execute(query).fetchall()) + "]]")
        print("((" + json.dumps(context["outlet_events"][instance_asset(GOOD)].extra) + "))")
        return done


class ReadLink(BaseOperator):
    def execute(self, context):
        ti = context["ti"]
        link = MicsInstanceLink().get_link(
            self, ti_key=TaskInstanceKey(ti.dag_id, "runs", ti.run_id, 1, -1)
        )
        print("<<" + json.dumps(link) + ">>")


with DAG("linked", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), default_args={"retries": 0}) as linked:
    runs = Shown(
        task_id="runs", instance_id=GOOD, poll_interval=0.2, outlets=[instance_asset(GOOD)]
    )
    runs >> ReadLink(task_id="read")
"""


@pytest.mark.long
def test_the_link_is_right_with_a_backend_of_ones_own(
    airflow_home: Path, tmp_path: Path, sandbox: SandboxServer
) -> None:
    good = sandbox.create_instance("good", properties={"duration_s": 0})
    folder = DagFolder(copy_of(airflow_home, tmp_path / "airflow"))
    folder.write(BACKEND, "xcom_backend_elsewhere.py")
    store = tmp_path / "store"
    store.mkdir()
    run = folder.run(
        DAG_FILE,
        environ={
            "AIRFLOW_CONN_MICS_DEFAULT": connection_to(
                sandbox, {"console_url": "https://console.example.com/"}
            ),
            "GOOD": good,
            "XCOM_STORE": str(store),
            "AIRFLOW__CORE__XCOM_BACKEND": "xcom_backend_elsewhere.StoredElsewhere",
            "PYTHONPATH": f"{folder.home / 'dags'}:{Path(__file__).parents[2]}",
        },
    )
    page = f"https://console.example.com/#/o/1185/jobs/integration_batch_instances/{good}"
    assert run.task("runs").state == "success", run.log[-3000:]
    assert f"<<{json.dumps(page)}>>" in run.log
    assert run.xcom("runs").startswith("elsewhere://"), "the backend is in use"
    stored = run.xcom("runs", INSTANCE_LINK_KEY)
    # Airflow 3 shows what is in its database; Airflow 2 asks the backend.
    assert stored == page if airflow_version.startswith("3") else stored.startswith("elsewhere://")
    if airflow_version.startswith("3"):
        [shown] = re.findall(r"\[\[(.*)\]\]", run.log)
        assert page in shown
    said = json.loads(re.findall(r"\(\((.*)\)\)", run.log)[0])
    [execution] = sandbox.call("GET", f"integration_batch_instances/{good}/executions")
    assert (said["instance_id"], said["execution_id"], said["status"]) == (good, execution["id"], "SUCCEEDED")
    assert said["start_date"].endswith("+00:00")
    assert said["duration"] >= 0
