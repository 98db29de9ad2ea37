"""An organisation of the platform for driven flows: instances, and a list of executions that is read in pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_mics.api import Call, Execution, Instance
from airflow_provider_mics.api.field_types import milliseconds
from tests.flow_driver import NOON, ok, refusal

INSTANCES = "integration_batch_instances"


def instance(instance_id: str = "1", **fields: Any) -> Instance:
    """An instance that was last changed long ago; a cron is active unless said otherwise."""
    if fields.get("cron"):
        fields.setdefault("cron_status", "ACTIVE")
    long_ago = milliseconds(NOON - timedelta(days=400))
    default = {"name": f"batch {instance_id}", "group_id": "com.acme", "artifact_id": "import"}
    default |= {"creation_ts": long_ago, "last_modified_ts": long_ago + 1}
    return Instance.model_validate({"id": instance_id, **default, **fields})


def execution(execution_id: int | str, instance_id: str = "1", **fields: Any) -> Execution:
    return Execution.model_validate(execution_json(execution_id, instance_id, **fields))


def execution_json(
    execution_id: int | str,
    instance_id: str = "1",
    *,
    due: datetime = NOON,
    created: datetime | None = None,
    started: datetime | str | None = "",
    seconds: float | None = 60,
    status: str = "SUCCEEDED",
    kind: str = "CRON",
    **fields: Any,
) -> dict[str, Any]:
    """An execution that started when it was created, which was when it was due, unless said otherwise."""
    created = created or due
    start = created if started == "" else started
    return {
        "id": str(execution_id),
        "status": status,
        "external_model_id": instance_id,
        "parameters": {"execution_type": kind, "expected_start_date": milliseconds(due)},
        "creation_date": milliseconds(created),
        "start_date": None if start is None else milliseconds(start),
        "duration": None if seconds is None else int(seconds * 1000),
        **fields,
    }


@dataclass
class Organisation:
    """Answers the requests of a flow. ``requests`` are the paths and offsets that it was asked for.

    ``refused`` are the instances whose own list is refused, each with the status code.
    """

    instances: list[Instance] = field(default_factory=list)
    executions: list[dict[str, Any]] = field(default_factory=list)
    newest_first: bool = True
    has_list: bool = True
    shows_instances: bool = True
    is_down: bool = False
    refused: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def __call__(self, call: Call[Any]) -> Any:
        query = call.query or {}
        self.requests.append(f"{call.path}@{query.get('first_result', 0)}")
        if self.is_down:
            return refusal(503, "out of order")
        if call.path == "connected_user":
            return ok({"id": "77", "email": "airflow@example.com"})
        if call.path == INSTANCES:
            return self._page([each.to_json() for each in self.instances], query)
        if call.path == f"{INSTANCES}.executions":
            return self._page(self._ordered(self.executions), query) if self.has_list else refusal(404)
        instance_id = call.path.split("/")[1]
        if instance_id in self.refused:
            return refusal(self.refused[instance_id])
        own = [each for each in self.executions if each["external_model_id"] == instance_id]
        return self._page(self._ordered(own), query)

    def _ordered(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        ordered = sorted(items, key=lambda each: each["creation_date"], reverse=self.newest_first)
        if self.shows_instances:
            return ordered
        return [{**each, "external_model_id": None} for each in ordered]

    def _page(self, items: list[dict[str, Any]], query: Any) -> dict[str, Any]:
        start, size = int(query.get("first_result", 0)), int(query.get("max_results", 20))
        return ok(items[start : start + size], total=len(items), count=len(items[start : start + size]))

    def asked(self, path: str) -> list[str]:
        """The requests for a path, since the last time this was called; all others are forgotten."""
        found = [each for each in self.requests if each.startswith(f"{path}@")]
        self.requests.clear()
        return found
