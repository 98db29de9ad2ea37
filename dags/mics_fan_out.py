"""An Airflow DAG that runs all instances of a plugin, a few at a time, by dynamic task mapping.

Which instances there are is asked when the DAG runs, so a new one is in the next run without a change here. Each is a
mapped task of its own: seen, retried and stopped by itself. Two limits apply, whichever is lower: this DAG has at most
``max_active_tis_per_dag`` of them at a time, and all DAGs together as many as the pool has slots. Make the pool once,
so that it counts the waiting tasks too, which hold no worker:

    airflow pools set --include-deferred mics_batches 8 "Integration batches that run at the same time"

It needs the connection ``mics_default``; the sandbox with ``--seed-demo`` has the plugin that is asked for here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.operators import MicsCreateExecutionOperator


@task
def instances_of(group_id: str, artifact_id: str) -> list[str]:
    """The ids of the plugin's instances, archived ones left out."""
    instances = MicsHook("mics_default").list_instances(group_id=group_id, artifact_id=artifact_id)
    return sorted(instance.id for instance in instances)


@task(trigger_rule="all_done")
def summarise(instance_ids: list[str], executions: list[dict[str, Any]]) -> str:
    """What a person wants to read in the morning. It fails where a batch did, so that the whole run is red."""
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
