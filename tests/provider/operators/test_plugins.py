"""Plugins and versions from a DAG: created once, found again, failures in one line."""

from __future__ import annotations

import pytest

from airflow_provider_mics.operators import MicsCreatePluginOperator, MicsCreatePluginVersionOperator
from tests.provider.dag_runs import DagFolder
from tests.sandbox_server import SandboxServer

DECLARATIONS = """
from datetime import UTC, datetime

from tests.airflow_names import DAG

from airflow_provider_mics.operators import MicsCreatePluginOperator, MicsCreatePluginVersionOperator

COORDINATES = {"group_id": "com.acme.batches", "artifact_id": "{{ params.artifact }}"}

with DAG(
    "declarations", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), params={"artifact": "crm-import"}
) as declarations:
    plugin = MicsCreatePluginOperator(task_id="plugin", **COORDINATES)
    again = MicsCreatePluginOperator(task_id="again", **COORDINATES)
    other_type = MicsCreatePluginOperator(task_id="other_type", plugin_type="DATA_CONNECTOR", **COORDINATES)
    plugin >> [again, other_type]

    first = MicsCreatePluginVersionOperator(
        task_id="first",
        plugin_id=plugin.output["plugin_id"],
        version="1.0.0",
        properties={"import_path": "s3://{{ params.artifact }}", "max_rows": 5, "dry_run": False},
        provider="acme",
    )
    found = MicsCreatePluginVersionOperator(
        task_id="found",
        version="1.0.0",
        properties={"import_path": "s3://crm-import", "max_rows": 5, "dry_run": False},
        provider="acme",
        **COORDINATES,
    )
    changed = MicsCreatePluginVersionOperator(
        task_id="changed", version="1.0.0", properties={"max_rows": 6}, provider="acme", **COORDINATES
    )
    first >> [found, changed]
    MicsCreatePluginVersionOperator.partial(task_id="mapped", **COORDINATES).expand_kwargs(
        [{"version": "2.0.0"}, {"version": "2.1.0-rc1", "properties": {"limit": 0.5}}]
    ) << found

    MicsCreatePluginVersionOperator(task_id="missing", plugin_id="999999", version="1.0.0")
    MicsCreatePluginOperator(task_id="no_connection", mics_conn_id="mics_other", **COORDINATES)
"""


def test_plugins_and_versions_from_a_dag(dag_folder: DagFolder, mics_default: SandboxServer) -> None:
    run = dag_folder.run(DECLARATIONS)
    states = {(task.task_id, task.map_index): task.state for task in run.tasks}
    assert states == {
        ("plugin", -1): "success",
        ("again", -1): "success",
        ("other_type", -1): "failed",
        ("first", -1): "success",
        ("found", -1): "success",
        ("changed", -1): "failed",
        ("mapped", 0): "success",
        ("mapped", 1): "success",
        ("missing", -1): "failed",
        ("no_connection", -1): "failed",
    }, run.log[-6000:]
    plugin_id = run.xcom("plugin")["id"]
    assert run.xcom("plugin", "plugin_id") == plugin_id == run.xcom("again")["id"]
    assert run.xcom("first", "version_id") == run.xcom("found", "version_id") == run.xcom("first")["id"]
    page = f"https://computing-console.mediarithmics.com/#/o/1185/plugins/{plugin_id}"
    assert run.xcom("plugin", "mics_plugin_link") == page == run.xcom("first", "mics_plugin_link")
    versions = mics_default.call("GET", f"plugins/{plugin_id}/versions")
    assert sorted(each["version_id"] for each in versions) == ["1.0.0", "2.0.0", "2.1.0-rc1"]
    path = f"plugins/{plugin_id}/versions/{run.xcom('first')['id']}/properties"
    properties = {each["technical_name"]: each["value"]["value"] for each in mics_default.call("GET", path)}
    assert properties == {
        "import_path": "s3://crm-import",
        "max_rows": 5,
        "dry_run": False,
        "provider": "acme",
        "name": "crm-import",
    }
    for line in (
        f"Created plugin com.acme.batches:crm-import as {plugin_id}",
        f"Found plugin com.acme.batches:crm-import ({plugin_id})",
        "plugin_type: 'INTEGRATION_BATCH' -> 'DATA_CONNECTOR'",
        "max_rows: 5 -> 6",
        "plugin 999999 not found",
        "there is no connection 'mics_other'",
    ):
        assert line in run.log


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"version": "1.0.0"}, "give plugin_id, or group_id and artifact_id"),
        ({"version": "1.0.0", "group_id": "com.acme"}, "give plugin_id, or group_id and artifact_id"),
        ({"version": "1.0.0", "plugin_id": "1", "group_id": "com.acme"}, "plugin_id or group_id, not both"),
        ({"version": "1.0.0", "plugin_id": "1", "artifact_id": "x"}, "plugin_id or artifact_id, not both"),
        ({"version": "1.0", "plugin_id": "1"}, "three numbers"),
        ({"version": "1.0.0", "plugin_id": "1", "if_exists": "replace"}, "not one of update, skip, fail"),
        ({"version": "1.0.0", "plugin_id": "1", "submission_timeout": -1}, "must not be below 0"),
    ],
)
def test_invalid_arguments_are_refused_when_the_dag_is_parsed(arguments: dict, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        MicsCreatePluginVersionOperator(task_id="declare", **arguments)
    assert "declare" in str(refused.value)


def test_templates_are_checked_when_the_task_runs() -> None:
    MicsCreatePluginVersionOperator(
        task_id="declare", version="{{ params.version }}", plugin_id="{{ params.id }}"
    )
    with pytest.raises(ValueError, match="if_exists"):
        MicsCreatePluginOperator(task_id="x", group_id="a", artifact_id="b", if_exists="{{ params.x }}")  # type: ignore[arg-type]
