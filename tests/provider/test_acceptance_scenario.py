"""The acceptance scenario of the platform's own web client, done with our operators."""

from __future__ import annotations

import pytest

from tests.provider.dag_runs import DagFolder, DagRun
from tests.sandbox_server import SandboxServer

SCENARIO = """
from datetime import UTC, datetime

from tests.airflow_names import DAG, chain, task

from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.operators import (
    MicsCreateExecutionOperator,
    MicsCreateInstanceOperator,
    MicsDeleteInstanceOperator,
    MicsPauseInstanceOperator,
    MicsResumeInstanceOperator,
    MicsUpdateInstanceOperator,
)


@task
def look():
    hook = MicsHook()
    return {
        kind: {each.id: each.to_json() for each in hook.list_instances(is_periodic=kind == "periodic")}
        for kind in ("periodic", "non-periodic")
    }


with DAG("scenario", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)) as scenario:
    create = MicsCreateInstanceOperator(
        task_id="create",
        group_id="com.test.batches",
        artifact_id="test-batch",
        name="acceptance",
        cpu_size="MEDIUM",
        ram_size="LARGE",
        properties={"import_path": "s3://bucket/in"},
    )
    instance_id = create.output["instance_id"]
    chain(
        create,
        look.override(task_id="after_create")(),
        MicsUpdateInstanceOperator(
            task_id="plan", instance_id=instance_id, cron="30 5 * * 1,6", cron_status="ACTIVE"
        ),
        look.override(task_id="after_plan")(),
        MicsCreateExecutionOperator(task_id="run_now", instance_id=instance_id, wait_for_completion=False),
        MicsUpdateInstanceOperator(task_id="replan", instance_id=instance_id, cron="30 * * * *"),
        look.override(task_id="after_replan")(),
        MicsUpdateInstanceOperator(task_id="clear", instance_id=instance_id, cron=None, cron_status=None),
        look.override(task_id="after_clear")(),
        MicsUpdateInstanceOperator(
            task_id="plan_again", instance_id=instance_id, cron="30 5 * * 1,6", cron_status="ACTIVE"
        ),
        MicsPauseInstanceOperator(task_id="pause", instance_id=instance_id),
        look.override(task_id="after_pause")(),
        MicsResumeInstanceOperator(task_id="resume", instance_id=instance_id),
        look.override(task_id="after_resume")(),
        MicsUpdateInstanceOperator(task_id="archive", instance_id=instance_id, archived=True),
        look.override(task_id="after_archive")(),
        MicsDeleteInstanceOperator(task_id="delete", instance_id=instance_id),
    )
"""


@pytest.fixture
def scenario(dag_folder: DagFolder, mics_default: SandboxServer) -> DagRun:
    mics_default.create_instance("somebody else's")  # its plugin exists, and its instance is in every list
    mics_default.quirks(start_latency_s=3600)  # what is to run now stays PENDING long enough to be seen
    return dag_folder.run(SCENARIO)


def test_the_acceptance_scenario_of_the_web_client(scenario: DagRun, mics_default: SandboxServer) -> None:
    assert scenario.state == "success", scenario.log[-6000:]
    created = scenario.xcom("create")
    instance_id = created["id"]
    assert (created["cpu_size"], created["ram_size"], created["disk_size"]) == ("MEDIUM", "LARGE", "LOW")

    def seen(step: str) -> dict:
        lists = scenario.xcom(f"after_{step}")
        (found,) = [
            (kind, instances[instance_id]) for kind, instances in lists.items() if instance_id in instances
        ]
        kind, instance = found
        return {"listed as": kind, "cron": instance["cron"], "cron_status": instance["cron_status"]}

    non_periodic = {"listed as": "non-periodic", "cron": None, "cron_status": None}
    planned = {"listed as": "periodic", "cron": "30 5 * * 1,6", "cron_status": "ACTIVE"}
    assert seen("create") == non_periodic
    assert seen("plan") == planned
    assert seen("replan") == planned | {"cron": "30 * * * *"}
    assert seen("clear") == non_periodic
    assert seen("pause") == planned | {"cron_status": "PAUSED"}
    assert seen("resume") == planned
    assert all(instance_id not in instances for instances in scenario.xcom("after_archive").values())

    (execution,) = mics_default.executions(instance_id)
    ran = scenario.xcom("run_now")
    assert (ran["id"], ran["status"]) == (execution["id"], "PENDING")
    assert ran["parameters"]["execution_type"] == "MANUAL"
    assert scenario.xcom("delete")["archived"] is True
    assert mics_default.send("GET", f"integration_batch_instances/{instance_id}").status_code == 404
    links = {
        scenario.xcom(step, "mics_instance_link") for step in ("create", "plan", "run_now", "pause", "delete")
    }
    assert len(links) == 1
    assert str(links.pop()).endswith(f"/jobs/integration_batch_instances/{instance_id}")
