"""What Airflow and the platform say of each instance, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mics.api import (
    Execution,
    ExecutionType,
    Instance,
    MicsClient,
    list_executions,
    list_instance_properties,
    list_instances,
)
from local_airflow.rest_api import AirflowApi

TASK = "execute"


@dataclass
class Batch:
    """One instance: the platform's side, and its DAG and runs in Airflow."""

    instance: Instance
    properties: dict[str, Any]
    executions: list[Execution]
    dag: dict[str, Any] | None = None
    runs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def fails(self) -> bool:
        """Whether the sandbox lets it fail."""
        return self.properties.get("sandbox.outcome") == "fail"

    @property
    def seconds(self) -> float:
        """How long the sandbox lets it run."""
        return float(self.properties.get("sandbox.duration_s") or 5)

    @property
    def dag_id(self) -> str:
        return f"mics_integration_batch_{self.instance.id}"

    @property
    def schedule(self) -> str:
        return str((self.dag or {}).get("timetable_summary") or "")

    @property
    def tags(self) -> list[str]:
        return [tag["name"] for tag in (self.dag or {}).get("tags", [])]

    def scheduled_runs(self, state: str) -> list[dict[str, Any]]:
        return [run for run in self.runs if run["run_type"] == "scheduled" and run["state"] == state]

    def manual_runs(self, state: str) -> list[dict[str, Any]]:
        return [run for run in self.runs if run["run_type"] == "manual" and run["state"] == state]

    def ticks(self) -> Counter[int]:
        """How many executions the platform has for each tick of the cron (epoch seconds)."""
        return Counter(
            round(each.expected_start_date.timestamp())
            for each in self.executions
            if each.execution_type == ExecutionType.CRON and each.expected_start_date
        )

    def row(self) -> list[str]:
        """The batch as a line of the demo's table."""
        platform = self.instance
        cron = f"{platform.cron} {platform.cron_status}" if platform.cron else "none"
        if platform.archived:
            cron = "archived"
        run = self.runs[0] if self.runs else None
        newest = max(self.executions, key=lambda each: int(each.id), default=None)
        return [
            platform.id,
            str(platform.name),
            cron,
            self.dag_id if self.dag else "no DAG",
            self.schedule or "none",
            f"{run['run_type']} {run['state']}" if run else "no run",
            f"{newest.id} {newest.execution_type} {newest.status}" if newest else "no execution",
        ]


HEAD = ["id", "instance", "platform cron", "DAG", "schedule", "last run", "platform's last execution"]


def batches(client: MicsClient, airflow: AirflowApi) -> Iterator[Batch]:
    """Every instance of the organisation, archived ones too, with what both sides know of it now."""
    dags = airflow.dags()
    for instance in client.run(list_instances(include_archived=True)):
        properties = {
            each.technical_name: (each.value or {}).get("value")
            for each in client.run(list_instance_properties(instance.id))
        }
        batch = Batch(instance, properties, client.run(list_executions(instance.id)))
        batch.dag = dags.get(batch.dag_id)
        batch.runs = airflow.runs(batch.dag_id) if batch.dag else []
        yield batch
