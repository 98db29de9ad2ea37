"""The example DAGs of the package, which ``dags/`` shows, on a real Airflow against a real sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.utils.file import list_py_file_paths

import airflow_provider_mics
from tests.provider.dag_runs import DagFolder, DagRun
from tests.sandbox_server import SandboxServer

DAGS = Path(airflow_provider_mics.__file__).parent / "example_dags"
GROUP = "com.test.batches"


@pytest.fixture
def run(dag_folder: DagFolder, mics_default: SandboxServer):
    def run(name: str, **conf: str) -> DagRun:
        file = dag_folder.write((DAGS / f"{name}.py").read_text(), f"{name}.py")
        return dag_folder.run(file, dag_id=name, conf=conf)

    return run


def instances(platform: SandboxServer) -> list[dict]:
    return platform.call("GET", "integration_batch_instances", organisation_id=platform.organisation_id)


def test_the_lifecycle_leaves_a_plugin_and_no_instance_and_can_be_run_again(
    run, mics_default: SandboxServer
) -> None:
    mics_default.set_speed(10)
    first = run("mics_lifecycle")
    assert first.state == "success", first.log[-6000:]
    assert instances(mics_default) == []
    (execution,) = mics_default.executions()
    assert execution["status"] == "SUCCEEDED"
    assert first.xcom("wait")["id"] == execution["id"] == first.xcom("run")["id"]
    assert "import_path: 's3://acme/in' -> 's3://acme/in/manual__" in first.log
    again = run("mics_lifecycle")
    assert again.state == "success", again.log[-6000:]
    assert again.xcom("create_plugin")["id"] == first.xcom("create_plugin")["id"]
    assert again.xcom("create_version")["id"] == first.xcom("create_version")["id"]
    assert len(mics_default.executions()) == 2
    assert instances(mics_default) == []


def test_the_lifecycle_cleans_up_after_a_batch_that_failed(run, mics_default: SandboxServer) -> None:
    mics_default.set_speed(10)
    mics_default.faults([{"kind": "body", "method": "GET", "path": "executions/", "parameters": GONE_WRONG}])
    failed = run("mics_lifecycle")
    assert failed.state == "failed"
    assert failed.task("wait").state == "failed"
    assert failed.task("delete_instance").state == "success"
    assert "the ball is out of play" in failed.log
    assert "error_id e-7" in failed.log
    mics_default.faults()
    assert instances(mics_default) == []


GONE_WRONG = {
    "status": 400,
    "body": '{"status": "error", "error": "the ball is out of play", "error_code": "OUT", "error_id": "e-7"}',
}


def test_the_fan_out_runs_every_live_instance_of_the_plugin_once(run, mics_default: SandboxServer) -> None:
    properties = {"duration_s": 0}
    ids = [mics_default.create_instance(name, properties=properties) for name in ("a", "b", "c")]
    bad = mics_default.create_instance("d", properties=properties | {"outcome": "fail"})
    mics_default.create_instance("archived", archived=True)
    mics_default.create_instance("another plugin's", artifact_id="other-batch")
    ran = run("mics_fan_out", group_id=GROUP, artifact_id="test-batch")
    assert ran.state == "failed"
    states = {task.map_index: task.state for task in ran.tasks if task.task_id == "run"}
    assert states == {0: "success", 1: "success", 2: "success", 3: "failed"}
    executions = mics_default.executions()
    assert sorted(each["instance_id"] for each in executions) == sorted([*ids, bad, bad])
    assert ran.task("summarise").state == "failed"
    assert "3 of 4 batches succeeded, 0 s of work in all" in ran.log
    links = [ran.xcom("run", "mics_instance_link", index) for index in range(3)]
    assert [link.rpartition("/")[2] for link in links] == ids


def test_the_chain_hands_the_result_of_one_batch_to_the_next(run, mics_default: SandboxServer) -> None:
    result = '{"path": "s3://acme/in/today"}'
    first = mics_default.create_instance("import", properties={"duration_s": 0, "result": result})
    second = mics_default.create_instance("export", properties={"duration_s": 0})
    ran = run("mics_chain", import_instance=first, export_instance=second)
    assert ran.state == "success", ran.log[-6000:]
    assert ran.xcom("what_to_export") == "s3://acme/in/today"
    listed = mics_default.call("GET", f"integration_batch_instances/{second}/properties")
    values = {each["technical_name"]: each["value"] for each in listed}
    assert values["source_path"] == {"value": "s3://acme/in/today"}
    assert [each["instance_id"] for each in mics_default.executions()] == [first, second]


@pytest.mark.parametrize("file", sorted(DAGS.glob("*.py")), ids=lambda file: file.stem)
def test_airflow_in_safe_mode_looks_into_the_file(file: Path) -> None:
    text = file.read_text().lower()
    assert "airflow" in text
    assert "dag" in text


def test_airflow_that_loads_the_examples_of_providers_schedules_no_batch() -> None:
    """Airflow 3.3 does so where ``[core] load_examples`` is on, which is its default."""
    loaded = {Path(file).name for file in list_py_file_paths(DAGS)}
    assert loaded == {file.name for file in DAGS.glob("*.py")} - {"mics_integration_batches.py"}
