"""The admin routes under ``/_sandbox``: what a test or a demo changes and inspects. They need no token."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_mics.sandbox.answers import ApiError, bad_request, json_response
from airflow_provider_mics.sandbox.database import Condition
from airflow_provider_mics.sandbox.executions import Execution
from airflow_provider_mics.sandbox.fault_injection import describe_kinds
from airflow_provider_mics.sandbox.faults import FaultPlan, InvalidFaultError, fault_rules
from airflow_provider_mics.sandbox.instances import Instance
from airflow_provider_mics.sandbox.plugins import Plugin, Version
from airflow_provider_mics.sandbox.quirks import Quirks, UnknownQuirkError
from airflow_provider_mics.sandbox.request_context import json_object, number_of_id
from airflow_provider_mics.sandbox.scheduler import Scheduler
from airflow_provider_mics.sandbox.state import PlatformState
from airflow_provider_mics.sandbox.traffic import Traffic

router = APIRouter(prefix="/_sandbox")
BULK_GROUP_ID, BULK_ARTIFACT_ID = "com.sandbox.bulk", "bulk"


class Bulk(BaseModel):
    """The body of ``POST /_sandbox/bulk``: new instances, and past executions of each or of an existing instance."""

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


@router.get("/quirks")
async def get_quirks(request: Request) -> Response:
    """Return all quirks with their values, defaults and descriptions."""
    quirks = _platform(request).quirks.model_dump()
    described = {
        name: {"value": quirks[name], "default": field.default, "description": field.description}
        for name, field in Quirks.model_fields.items()
    }
    return json_response(described)


@router.put("/quirks")
async def put_quirks(request: Request) -> Response:
    """Change the named quirks and keep the others. ``{"reset": true}`` resets all of them first."""
    changes = await _object(request)
    if changes.pop("reset", False):
        changes = Quirks().model_dump() | changes
    try:
        _platform(request).change_quirks(changes)
    except UnknownQuirkError as unknown:
        raise bad_request(str(unknown)) from None
    _scheduler(request).wake()
    return json_response(_platform(request).quirks.model_dump())


@router.get("/faults")
async def get_faults(request: Request) -> Response:
    """Return the active rules, how often each kind was injected, and what each kind does."""
    return json_response(_plan(request).report() | {"kinds": describe_kinds()})


@router.put("/faults")
async def put_faults(request: Request) -> Response:
    """Replace the rules by ``{"rules": [...], "seed": 0}``. The counts by kind continue."""
    body = await _object(request)
    seed = body.get("seed", 0)
    if not isinstance(seed, int):
        raise bad_request(f"seed must be a whole number, not {seed!r}")
    try:
        _plan(request).replace_rules(fault_rules(body.get("rules", [])), seed)
    except InvalidFaultError as invalid:
        raise bad_request(str(invalid)) from None
    return json_response(_plan(request).report())


@router.delete("/faults")
async def delete_faults(request: Request) -> Response:
    """Remove all rules and counts."""
    _plan(request).clear()
    return json_response(_plan(request).report())


@router.get("/clock")
async def get_clock(request: Request) -> Response:
    """Return the platform's time, the speed of its clock, and the time zone of crons."""
    return json_response(_clock(_platform(request)))


@router.put("/clock")
async def put_clock(request: Request) -> Response:
    """Set the ``speed``, jump by ``jump_s`` seconds (back if negative), or set the time to ``now_ms``."""
    changes = await _object(request)
    platform = _platform(request)
    for name, value in changes.items():
        if name not in {"speed", "jump_s", "now_ms"} or not isinstance(value, int | float):
            raise bad_request(f"a clock takes numbers for speed, jump_s and now_ms, not {name}={value!r}")
    if "speed" in changes:
        if not 0 < changes["speed"] <= 1e6:
            raise bad_request(f"speed must be above 0 and at most 1,000,000, not {changes['speed']!r}")
        platform.set_speed(changes["speed"])
    if "jump_s" in changes:
        platform.jump_clock(int(changes["jump_s"] * 1000))
    if "now_ms" in changes:
        platform.jump_clock(int(changes["now_ms"]) - platform.now_ms)
    _scheduler(request).wake()
    await asyncio.sleep(0)
    return json_response(_clock(platform))


@router.post("/tick")
async def tick(request: Request) -> Response:
    """Let the scheduler fire due ticks now, and return how many executions it created."""
    return json_response({"created": _scheduler(request).fire_due(), "now_ms": _platform(request).now_ms})


@router.get("/counters")
async def get_counters(request: Request) -> Response:
    """Return the number of requests by method and route."""
    return json_response(dict(_traffic(request).counts))


@router.delete("/counters")
async def reset_counters(request: Request) -> Response:
    """Reset the counts and the recorded requests."""
    _traffic(request).reset()
    return json_response({})


@router.get("/requests")
async def get_requests(request: Request) -> Response:
    """Return the latest requests, without their tokens."""
    return json_response(_traffic(request).requests())


@router.get("/tokens")
async def get_tokens(request: Request) -> Response:
    """Return the tokens, each with the organisations that it has access to."""
    return json_response(_platform(request).tokens)


@router.put("/tokens")
async def put_tokens(request: Request) -> Response:
    """Replace the valid tokens: ``{"TOKEN": ["1185"]}``. Tokens that are not listed are revoked."""
    tokens = await _object(request)
    if not all(
        isinstance(each, list) and all(isinstance(name, str) for name in each) for each in tokens.values()
    ):
        raise bad_request("each token must have a list of organisations")
    _platform(request).set_tokens(tokens)
    return json_response(tokens)


@router.get("/executions")
async def get_executions(request: Request) -> Response:
    """Return all executions, also deleted ones, oldest first. Filters: ``instance_id``, ``created_by``."""
    platform = _platform(request)
    conditions: list[Condition] = [
        (f"{name} = ?", value)
        for name in ("instance_id", "created_by")
        if (value := request.query_params.get(name))
    ]
    now_ms = platform.now_ms
    return json_response([_admin_json(each, now_ms) for each in platform.executions.select(*conditions)])


@router.put("/executions/{execution_id}")
async def put_execution(request: Request, execution_id: str) -> Response:
    """End an execution now with any ``status``. None undoes that."""
    platform = _platform(request)
    number = number_of_id(execution_id)
    execution = None if number is None else platform.executions.get(number, deleted=True)
    if execution is None:
        raise ApiError(404, f"execution {execution_id} not found")
    status = (await _object(request)).get("status")
    if status is None:
        platform.executions.update(execution.id, stop_ms=None, stop_status=None)
    else:
        platform.stop(execution, str(status))
    changed = platform.executions.get(execution.id, deleted=True) or execution
    return json_response(_admin_json(changed, platform.now_ms))


@router.post("/bulk")
async def create_bulk(request: Request) -> Response:
    """Create many instances or past executions at once, and return the ids of the instances."""
    try:
        bulk = Bulk.model_validate_json(await request.body())
    except ValidationError as invalid:
        problem = invalid.errors(include_url=False)[0]
        raise bad_request(f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}") from None
    platform = _platform(request)
    with platform.database.transaction():
        instance_ids = _create_instances(platform, _scheduler(request), bulk)
        if bulk.instance_id is not None:
            instance_ids.append(bulk.instance_id)
        for instance_id in instance_ids:
            platform.executions.insert_many(_past_executions(platform, bulk, instance_id))
    return json_response({"instance_ids": [str(each) for each in instance_ids]})


def _admin_json(execution: Execution, now_ms: int) -> dict[str, Any]:
    state = execution.state_at(now_ms)
    return {
        "id": str(execution.id),
        "instance_id": str(execution.instance_id),
        "organisation_id": execution.organisation_id,
        "execution_type": execution.execution_type,
        "expected_start_date": execution.expected_ms,
        "status": state.status,
        "created_by": execution.created_by,
        "created_at": execution.created_ms,
        "started_at": state.start_ms,
        "duration": state.duration_ms,
        "deleted": execution.deleted_ms is not None,
        "user_id": execution.user_id,
    }


def _clock(platform: PlatformState) -> dict[str, Any]:
    return {"now_ms": platform.now_ms, "speed": platform.clock.speed, "timezone": platform.timezone.key}


async def _object(request: Request) -> dict[str, Any]:
    return json_object(await request.body())


def _platform(request: Request) -> PlatformState:
    platform: PlatformState = request.app.state.platform
    return platform


def _scheduler(request: Request) -> Scheduler:
    scheduler: Scheduler = request.app.state.scheduler
    return scheduler


def _plan(request: Request) -> FaultPlan:
    plan: FaultPlan = request.app.state.fault_plan
    return plan


def _traffic(request: Request) -> Traffic:
    traffic: Traffic = request.app.state.traffic
    return traffic


def _create_instances(platform: PlatformState, scheduler: Scheduler, bulk: Bulk) -> list[int]:
    if not bulk.instances:
        return []
    now_ms = platform.now_ms
    plugin_id, version_id = _bulk_version(platform, bulk.organisation_id)
    first = Instance(
        organisation_id=bulk.organisation_id,
        plugin_id=plugin_id,
        version_id=version_id,
        name=bulk.name.format(0),
        cron=bulk.cron,
        cron_status=bulk.cron_status,
        creation_ts=now_ms,
        last_modified_ts=now_ms,
    )
    first = replace(first, id=platform.instances.insert(first))
    scheduler.set_next_tick(first)
    # All have the same cron, so the next tick of the others is that of the first.
    scheduled = platform.instances.get(first.id) or first
    others = (replace(scheduled, id=0, name=bulk.name.format(number)) for number in range(1, bulk.instances))
    return [first.id, *map(platform.instances.insert, others)]


def _bulk_version(platform: PlatformState, organisation_id: str) -> tuple[int, int]:
    """Return the ids of the plugin and version of all bulk instances. Create both if they do not exist."""
    plugin = platform.plugins.find(BULK_GROUP_ID, BULK_ARTIFACT_ID)
    if plugin is not None and plugin.current_version_id is not None:
        return plugin.id, plugin.current_version_id
    plugin_id = platform.plugins.create(
        Plugin(
            organisation_id=organisation_id,
            plugin_type="INTEGRATION_BATCH",
            group_id=BULK_GROUP_ID,
            artifact_id=BULK_ARTIFACT_ID,
        )
    )
    version = Version(plugin_id=plugin_id, number="1.0.0", properties=[])
    return plugin_id, platform.plugins.create_version(version)


def _past_executions(platform: PlatformState, bulk: Bulk, instance_id: int) -> list[Execution]:
    """Return executions that ended in the past, the last of them one period ago."""
    instance = platform.instances.get(instance_id)
    if instance is None:
        raise bad_request(f"integration batch instance {instance_id} not found")
    every_ms = int(bulk.every_s * 1000)
    first_ms = platform.now_ms // every_ms * every_ms - bulk.executions * every_ms
    return [
        Execution(
            instance_id=instance_id,
            organisation_id=instance.organisation_id,
            execution_type=bulk.execution_type,
            expected_ms=start_ms,
            created_ms=start_ms,
            created_real_ms=start_ms,
            created_by="history",
            start_ms=start_ms,
            duration_ms=every_ms // 2,
            error_message="",
        )
        for start_ms in range(first_ms, first_ms + bulk.executions * every_ms, every_ms)
    ]
