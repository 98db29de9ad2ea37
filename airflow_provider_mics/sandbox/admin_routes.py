"""/_sandbox: what a test or a demonstration changes and looks at behind the platform's back. No token is needed."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from airflow_provider_mics.sandbox.answers import RefusedError, json_response, refuse
from airflow_provider_mics.sandbox.executions import Execution
from airflow_provider_mics.sandbox.fault_injection import described
from airflow_provider_mics.sandbox.faults import FaultPlan, UnknownFaultError, fault_rules
from airflow_provider_mics.sandbox.pages import NO_VALUE
from airflow_provider_mics.sandbox.quirks import Quirks, UnknownQuirkError
from airflow_provider_mics.sandbox.request_context import number_of_id, object_of
from airflow_provider_mics.sandbox.scheduler import Scheduler
from airflow_provider_mics.sandbox.state import LocalPlatform
from airflow_provider_mics.sandbox.traffic import Traffic

router = APIRouter(prefix="/_sandbox")


@router.get("/quirks")
async def get_quirks(request: Request) -> Response:
    """All quirks with their values, defaults and meanings."""
    quirks = _platform(request).quirks.model_dump()
    described = {
        name: {"value": quirks[name], "default": field.default, "description": field.description}
        for name, field in Quirks.model_fields.items()
    }
    return json_response(described)


@router.put("/quirks")
async def put_quirks(request: Request) -> Response:
    """Change the named quirks; the others stay. ``{"reset": true}`` takes all back first."""
    changes = await _object(request)
    if changes.pop("reset", False):
        changes = Quirks().model_dump() | changes
    try:
        _platform(request).change_quirks(changes)
    except UnknownQuirkError as unknown:
        raise refuse(str(unknown)) from None
    _scheduler(request).wake()
    return json_response(_platform(request).quirks.model_dump())


@router.get("/faults")
async def get_faults(request: Request) -> Response:
    """The rules in force, how often each kind struck, and what each kind does."""
    return json_response(_plan(request).report() | {"kinds": described()})


@router.put("/faults")
async def put_faults(request: Request) -> Response:
    """``{"rules": [...], "seed": 0}`` in place of the present plan; the counts by kind go on."""
    body = await _object(request)
    seed = body.get("seed", 0)
    if not isinstance(seed, int):
        raise refuse(f"seed must be a whole number, not {seed!r}")
    try:
        _plan(request).arm(fault_rules(body.get("rules", [])), seed)
    except UnknownFaultError as unknown:
        raise refuse(str(unknown)) from None
    return json_response(_plan(request).report())


@router.delete("/faults")
async def delete_faults(request: Request) -> Response:
    """No more faults, and no counts."""
    _plan(request).clear()
    return json_response(_plan(request).report())


@router.get("/clock")
async def get_clock(request: Request) -> Response:
    """What time it is on the platform, how fast it goes, and in which time zone crons are read."""
    return json_response(_clock(_platform(request)))


@router.put("/clock")
async def put_clock(request: Request) -> Response:
    """Set the ``speed``, or ``jump_s`` seconds forward (backward where negative), or to a moment ``now_ms``."""
    changes = await _object(request)
    platform = _platform(request)
    for name, value in changes.items():
        if name not in {"speed", "jump_s", "now_ms"} or not isinstance(value, int | float):
            raise refuse(f"a clock takes numbers for speed, jump_s and now_ms, not {name}={value!r}")
    if "speed" in changes:
        if not 0 < changes["speed"] <= 1e6:
            raise refuse(f"speed must be above 0 and at most 1,000,000, not {changes['speed']!r}")
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
    """Let the scheduler look now, and say how many executions it created."""
    return json_response({"created": _scheduler(request).look(), "now_ms": _platform(request).now_ms})


@router.get("/counters")
async def get_counters(request: Request) -> Response:
    """How many requests came, by method and route."""
    return json_response(dict(_traffic(request).counts))


@router.delete("/counters")
async def reset_counters(request: Request) -> Response:
    """Count from nothing."""
    _traffic(request).reset()
    return json_response({})


@router.get("/requests")
async def get_requests(request: Request) -> Response:
    """The last requests as they came, without their tokens."""
    return json_response(_traffic(request).requests())


@router.get("/tokens")
async def get_tokens(request: Request) -> Response:
    """The tokens, each with the organisations it reaches."""
    return json_response(_platform(request).tokens)


@router.put("/tokens")
async def put_tokens(request: Request) -> Response:
    """Let exactly these tokens in: ``{"TOKEN": ["1185"]}``. One left out is revoked."""
    tokens = await _object(request)
    if not all(
        isinstance(each, list) and all(isinstance(name, str) for name in each) for each in tokens.values()
    ):
        raise refuse("each token must have a list of organisations")
    _platform(request).set_tokens(tokens)
    return json_response(tokens)


@router.get("/executions")
async def get_executions(request: Request) -> Response:
    """All executions ever, deleted ones too, oldest first; ``instance_id`` and ``created_by`` narrow them down."""
    platform = _platform(request)
    conditions: dict[str, Any] = {"id": NO_VALUE}
    for name in ("instance_id", "created_by"):
        if value := request.query_params.get(name):
            conditions[f"{name} = ?"] = value
    now_ms = platform.now_ms
    return json_response([_raw(each, now_ms) for each in platform.executions.everything(conditions)])


@router.put("/executions/{execution_id}")
async def put_execution(request: Request, execution_id: str) -> Response:
    """End an execution now with any ``status``; None lets it go its own way again."""
    platform = _platform(request)
    number = number_of_id(execution_id)
    execution = None if number is None else platform.executions.get(number, deleted=True)
    if execution is None:
        raise RefusedError(404, f"execution {execution_id} not found")
    status = (await _object(request)).get("status")
    if status is None:
        platform.executions.update(execution.id, {"stopped_ms": None, "stopped_as": None})
    else:
        platform.stop(execution, str(status))
    changed = platform.executions.get(execution.id, deleted=True) or execution
    return json_response(_raw(changed, platform.now_ms))


def _raw(execution: Execution, now_ms: int) -> dict[str, Any]:
    stands = execution.standing(now_ms)
    return {
        "id": str(execution.id),
        "instance_id": str(execution.instance_id),
        "organisation_id": execution.organisation_id,
        "execution_type": execution.execution_type,
        "expected_start_date": execution.expected_ms,
        "status": stands.status,
        "created_by": execution.created_by,
        "created_at": execution.created_ms,
        "started_at": stands.start_ms,
        "duration": stands.duration_ms,
        "deleted": execution.deleted_ms is not None,
        "user_id": execution.user_id,
    }


def _clock(platform: LocalPlatform) -> dict[str, Any]:
    return {"now_ms": platform.now_ms, "speed": platform.clock.speed, "timezone": platform.timezone.key}


async def _object(request: Request) -> dict[str, Any]:
    return object_of(await request.body())


def _platform(request: Request) -> LocalPlatform:
    platform: LocalPlatform = request.app.state.platform
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
