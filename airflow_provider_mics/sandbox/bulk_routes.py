"""/_sandbox/bulk: many instances or executions at once, for tests of size."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_mics.sandbox.answers import json_response, refuse
from airflow_provider_mics.sandbox.scheduler import Scheduler
from airflow_provider_mics.sandbox.state import LocalPlatform

router = APIRouter(prefix="/_sandbox")
GROUP_ID, ARTIFACT_ID = "com.sandbox.bulk", "bulk"


class Bulk(BaseModel):
    """What to create: instances, and past executions for each of them or for one that exists."""

    model_config = ConfigDict(extra="forbid")

    instances: int = Field(0, ge=0, le=100_000)
    organisation_id: str = "1185"
    name: str = "batch {}"
    cron: str | None = None
    cron_status: str | None = None
    instance_id: int | None = None
    executions: int = Field(0, ge=0, le=1_000_000)
    every_s: float = Field(60, gt=0)
    execution_type: str = "CRON"


@router.post("/bulk")
async def create_bulk(request: Request) -> Response:
    """Create what `Bulk` says, and give the ids of the instances."""
    try:
        bulk = Bulk.model_validate_json(await request.body())
    except ValidationError as invalid:
        problem = invalid.errors(include_url=False)[0]
        raise refuse(f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}") from None
    platform: LocalPlatform = request.app.state.platform
    scheduler: Scheduler = request.app.state.scheduler
    with platform.database.transaction():
        instance_ids = _create_instances(platform, scheduler, bulk)
        if bulk.instance_id is not None:
            instance_ids.append(bulk.instance_id)
        for instance_id in instance_ids:
            platform.executions.create_many(_past_executions(platform, bulk, instance_id))
    return json_response({"instance_ids": [str(each) for each in instance_ids]})


def _create_instances(platform: LocalPlatform, scheduler: Scheduler, bulk: Bulk) -> list[int]:
    if not bulk.instances:
        return []
    plugin = platform.plugins.find(GROUP_ID, ARTIFACT_ID)
    if plugin is None:
        plugin = platform.plugins.create(bulk.organisation_id, "INTEGRATION_BATCH", GROUP_ID, ARTIFACT_ID)
        platform.plugins.create_version(plugin.id, "1.0.0", {"properties": []})
    version = platform.plugins.find_version(plugin.id, "1.0.0")
    now_ms = platform.now_ms
    columns: dict[str, Any] = {
        "organisation_id": bulk.organisation_id,
        "plugin_id": plugin.id,
        "version_id": version and version.id,
        "cron": bulk.cron,
        "cron_status": bulk.cron_status,
        "archived": False,
        "cpu_size": "LOW",
        "ram_size": "LOW",
        "disk_size": "LOW",
        "creation_ts": now_ms,
        "last_modified_ts": now_ms,
    }
    first_id = platform.instances.create(columns | {"name": bulk.name.format(0)})
    first = platform.instances.get(first_id)
    if first is not None:
        scheduler.plan(first)
        first = platform.instances.get(first_id)
    columns["next_tick_ms"] = first and first.next_tick_ms
    others = [
        platform.instances.create(columns | {"name": bulk.name.format(number)})
        for number in range(1, bulk.instances)
    ]
    return [first_id, *others]


def _past_executions(platform: LocalPlatform, bulk: Bulk, instance_id: int) -> list[dict[str, Any]]:
    """Executions that ended in the past, the last of them one period ago."""
    instance = platform.instances.get(instance_id)
    if instance is None:
        raise refuse(f"integration batch instance {instance_id} not found")
    every_ms = int(bulk.every_s * 1000)
    start_ms = platform.now_ms // every_ms * every_ms - bulk.executions * every_ms
    moments = range(start_ms, start_ms + bulk.executions * every_ms, every_ms)
    return [
        {
            "instance_id": instance_id,
            "organisation_id": instance.organisation_id,
            "execution_type": bulk.execution_type,
            "expected_ms": moment_ms,
            "created_ms": moment_ms,
            "created_real_ms": moment_ms,
            "created_by": "history",
            "starts_ms": moment_ms,
            "duration_ms": every_ms // 2,
            "succeeds": True,
            "num_tasks": 10,
            "error_message": "",
        }
        for moment_ms in moments
    ]
