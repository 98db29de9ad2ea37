"""Example DAG: the whole life cycle of an integration batch, from creating its plugin to deleting its instance.

It creates a plugin, a version and an instance, sets a property, runs the instance, waits for the end with a sensor, and
deletes the instance, whether the run succeeded or not. Every step can be repeated: existing resources are found, and
differences are updated. Copy the steps you need.

Requires the connection ``mics_default``; a sandbox is enough.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2.11
    from airflow.models import DAG

from airflow_provider_mics.operators import (
    MicsCreateExecutionOperator,
    MicsCreateInstanceOperator,
    MicsCreatePluginOperator,
    MicsCreatePluginVersionOperator,
    MicsDeleteInstanceOperator,
    MicsUpdateInstanceOperator,
)
from airflow_provider_mics.sensors import MicsExecutionSensor

GROUP_ID = "com.acme.examples"
ARTIFACT_ID = "lifecycle-example"

with DAG(
    dag_id="mics_lifecycle",
    description="Plugin, version, instance, property, execution, sensor, clean-up",
    schedule=None,
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"mics_conn_id": "mics_default", "retries": 2, "retry_delay": timedelta(seconds=30)},
    tags=["mediarithmics", "example"],
) as lifecycle:
    plugin = MicsCreatePluginOperator(
        task_id="create_plugin",
        group_id=GROUP_ID,
        artifact_id=ARTIFACT_ID,
    )
    version = MicsCreatePluginVersionOperator(
        task_id="create_version",
        plugin_id=plugin.output["plugin_id"],
        version="1.0.0",
        properties={"import_path": "s3://acme/in", "max_rows": 1000, "dry_run": False},
    )
    instance = MicsCreateInstanceOperator(
        task_id="create_instance",
        group_id=GROUP_ID,
        artifact_id=ARTIFACT_ID,
        version="1.0.0",
        name="lifecycle example",
        ram_size="MEDIUM",
    )
    configure = MicsUpdateInstanceOperator(
        task_id="set_import_path",
        instance_id=instance.output["instance_id"],
        properties={"import_path": "s3://acme/in/{{ run_id }}"},
    )
    run = MicsCreateExecutionOperator(
        task_id="run",
        instance_id=instance.output["instance_id"],
        wait_for_completion=False,
    )
    wait = MicsExecutionSensor(
        task_id="wait",
        instance_id=instance.output["instance_id"],
        execution_id=run.output["execution_id"],
        deferrable=True,
        poll_interval=5,
        timeout=3600,
    )
    clean_up = MicsDeleteInstanceOperator(
        task_id="delete_instance",
        instance_id=instance.output["instance_id"],
    )

    plugin >> version >> instance >> configure >> run >> wait
    wait >> clean_up.as_teardown(setups=instance)
