"""Example DAG: run a batch, read its result in a Python task, and run a second batch with it.

The tasks wait for their batches without a worker slot. The Python task reads the execution of the first batch; its
return value becomes a property of the second batch's instance. If the Python task fails, the second batch does not run.

Requires the connection ``mics_default``. The sandbox has the instances used here if started with ``--seed-demo``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_mics.operators import MicsCreateExecutionOperator, MicsUpdateInstanceOperator

try:
    from airflow.sdk import DAG, Param, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import task
    from airflow.models import DAG, Param


@task
def what_to_export(execution: dict[str, Any]) -> str:
    """Return the path to export. This is your code; it gets the execution of the first batch as JSON."""
    result = execution.get("result") or {}
    if execution.get("erroneous_tasks"):
        raise ValueError(f"{execution['erroneous_tasks']} tasks of the import failed: nothing is exported")
    return str(result.get("path", "s3://acme/out/latest"))


with DAG(
    dag_id="mics_chain",
    description="Runs a batch, a Python task on its result, and a second batch",
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
        "import_instance": Param("4107", type="string", description="Id of the instance to run first"),
        "export_instance": Param(
            "4106", type="string", description="Id of the instance to run with the result"
        ),
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
