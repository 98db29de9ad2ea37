"""An Airflow DAG in which your own Python stands between two batches: one runs, you look at its result, the next runs.

The first batch is run and waited for without holding a worker. Its result, as the platform gives it, is what your own
task reads; what that returns becomes a parameter of the second batch, which then runs. If your task fails, the second
batch does not run.

It needs the connection ``mics_default``; the sandbox with ``--seed-demo`` has the instances that are named here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_mics.operators import MicsCreateExecutionOperator, MicsUpdateInstanceOperator


@task
def what_to_export(execution: dict[str, Any]) -> str:
    """Your own code: it gets the execution of the first batch as JSON, as soon as it has succeeded."""
    result = execution.get("result") or {}
    if execution.get("erroneous_tasks"):
        raise ValueError(f"the import left {execution['erroneous_tasks']} tasks undone: nothing is exported")
    return str(result.get("path", "s3://acme/out/latest"))


with DAG(
    dag_id="mics_chain",
    description="A batch, your own task on its result, the next batch",
    schedule=None,
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "mics_conn_id": "mics_default",
        "deferrable": True,
        "poll_interval": 10,
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
    },
    params={
        "import_instance": Param("4107", type="string", description="The instance that runs first"),
        "export_instance": Param("4106", type="string", description="The one that runs on its result"),
    },
    tags=["mediarithmics", "example"],
) as chain_of_batches:
    import_batch = MicsCreateExecutionOperator(
        task_id="import",
        instance_id="{{ params.import_instance }}",
        timeout=timedelta(hours=2),
    )
    path = what_to_export(import_batch.output)
    configure = MicsUpdateInstanceOperator(
        task_id="set_path",
        instance_id="{{ params.export_instance }}",
        properties={"source_path": path},
    )
    export_batch = MicsCreateExecutionOperator(
        task_id="export",
        instance_id="{{ params.export_instance }}",
        timeout=timedelta(hours=2),
    )

    configure >> export_batch
