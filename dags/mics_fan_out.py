"""Example DAG: run all instances of a plugin, a few at a time, with dynamic task mapping.

The instances are listed when the DAG runs, so a new instance needs no change here. Each is a mapped task, which can be
retried and stopped separately. Two limits apply: ``max_active_tis_per_dag`` tasks of this DAG at a time (since Airflow
3.2, tasks that wait in the triggerer count too), and the slots of the pool for all DAGs together. Create the pool once.
``--include-deferred`` makes it count waiting tasks, which use no worker slot:

    airflow pools set --include-deferred mics_batches 8 "Integration batches that run at the same time"

Requires the connection ``mics_default``. The sandbox has the plugin used here if started with ``--seed-demo``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.operators import MicsCreateExecutionOperator

try:
    from airflow.sdk import DAG, Param, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import task
    from airflow.models import DAG, Param


@task
def instances_of(group_id: str, artifact_id: str) -> list[str]:
    """Return the ids of the plugin's instances, without archived ones."""
    instances = MicsHook("mics_default").list_instances(group_id=group_id, artifact_id=artifact_id)
    return sorted(instance.id for instance in instances)


@task(trigger_rule="all_done")
def summarise(instance_ids: list[str], executions: list[dict[str, Any]]) -> str:
    """Return a summary of the run, or fail if a batch failed, so that the DAG run fails too."""
    done = [execution for execution in executions if execution]
    seconds = sum(execution.get("duration") or 0 for execution in done) / 1000
    line = f"{len(done)} of {len(instance_ids)} batches succeeded, {seconds:.0f} s of work in all"
    if len(done) < len(instance_ids):
        raise RuntimeError(line)
    return line


with DAG(
    dag_id="mics_fan_out",
    description="Runs all instances of a plugin, a few at a time",
    schedule=None,
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={
        "group_id": Param("com.acme.integration_batch", type="string"),
        "artifact_id": Param("loyalty-export", type="string"),
    },
    tags=["mediarithmics", "example"],
) as fan_out:
    instance_ids = instances_of("{{ params.group_id }}", "{{ params.artifact_id }}")
    batches = MicsCreateExecutionOperator.partial(
        task_id="run",
        mics_conn_id="mics_default",
        pool="mics_batches",
        max_active_tis_per_dag=4,
        map_index_template="instance {{ task.instance_id }}",
        deferrable=True,
        poll_interval=10,
        retries=1,
    ).expand(instance_id=instance_ids)

    summarise(instance_ids, batches.output)
