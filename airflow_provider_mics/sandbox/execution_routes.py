"""The executions of an instance, and of a whole organisation."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from airflow_provider_mics.sandbox.answers import RefusedError, deleted, one, refuse
from airflow_provider_mics.sandbox.bodies import (
    choice,
    milliseconds,
    optional_text,
    required_text,
    unknown_fields,
)
from airflow_provider_mics.sandbox.execution_documents import FIELDS, execution_json
from airflow_provider_mics.sandbox.executions import Execution
from airflow_provider_mics.sandbox.lifecycle import CANCELED, FAILED, PENDING, RUNNING, SUCCEEDED
from airflow_provider_mics.sandbox.request_context import Ask, Asked

router = APIRouter(prefix="/v1")

OF_INSTANCE = "/integration_batch_instances/{instance_id}/executions"
ONE = OF_INSTANCE + "/{execution_id}"
STATED_ENDS = {
    "SUCCEEDED": SUCCEEDED,
    "SUCCESS": SUCCEEDED,
    "FAILED": FAILED,
    "CANCELED": CANCELED,
    "CANCELLED": CANCELED,
}
"""The statuses by which a PUT ends an execution. Any other may be an old one that was read before."""


@router.get("/integration_batch_instances.executions")
async def list_organisation_executions(ask: Asked) -> Response:
    ask.needs_route(ask.quirks.organisation_executions)
    return _page(ask, {"organisation_id = ?": ask.organisation()})


@router.get(OF_INSTANCE)
async def list_executions(ask: Asked, instance_id: str) -> Response:
    return _page(ask, {"instance_id = ?": ask.instance(instance_id).id})


@router.post(OF_INSTANCE)
async def create_execution(ask: Asked, instance_id: str) -> Response:
    body = await ask.body()
    instance = ask.instance(instance_id, body)
    execution_type, expected_ms = _parameters(body)
    status = optional_text(body, "status")
    if status not in {None, PENDING}:
        raise refuse(f"status of a new execution must be {PENDING}, not {status!r}")
    user_id = optional_text(body, "user_id") or ask.caller.user_id
    execution_id = ask.platform.create_execution(
        instance, execution_type, expected_ms, "api", user_id, unknown_fields(body, FIELDS)
    )
    return one(_json(ask, ask.execution(instance, str(execution_id))), ask.quirks)


@router.get(ONE)
async def get_execution(ask: Asked, instance_id: str, execution_id: str) -> Response:
    ask.needs_route(ask.quirks.execution_get)
    return one(_json(ask, ask.execution(ask.instance(instance_id), execution_id)), ask.quirks)


@router.put(ONE)
async def put_execution(ask: Asked, instance_id: str, execution_id: str) -> Response:
    ask.needs_route(ask.quirks.execution_put)
    body = await ask.body()
    instance = ask.instance(instance_id, body)
    execution = ask.execution(instance, execution_id)
    if ask.quirks.put_semantics == "merge":
        body = {**_json(ask, execution), **execution.extra, **body}
    _end_as_stated(ask, execution, required_text(body, "status"))
    _move_as_stated(ask, execution, body)
    ask.platform.executions.update(execution.id, {"extra": unknown_fields(body, FIELDS)})
    return one(_json(ask, ask.execution(instance, execution_id)), ask.quirks)


@router.delete(ONE)
async def delete_execution(ask: Asked, instance_id: str, execution_id: str) -> Response:
    ask.needs_route(ask.quirks.execution_delete)
    execution = ask.execution(ask.instance(instance_id), execution_id)
    stands = execution.standing(ask.platform.now_ms)
    if stands.status == RUNNING and ask.quirks.delete_running == "refused":
        raise RefusedError(409, f"execution {execution_id} is RUNNING: it cannot be deleted")
    with ask.platform.database.transaction():
        if stands.status == PENDING or (stands.status == RUNNING and ask.quirks.delete_running == "cancels"):
            ask.platform.stop(execution)
        ask.platform.executions.update(execution.id, {"deleted_ms": ask.platform.now_ms})
    return deleted(ask.quirks)


@router.post(ONE + "/action")
async def act_on_execution(ask: Asked, instance_id: str, execution_id: str) -> Response:
    ask.needs_route(ask.quirks.cancel_action)
    action = required_text(await ask.body(), "action")
    if action != "CANCEL":
        raise refuse(f"action must be CANCEL, not {action!r}")
    instance = ask.instance(instance_id)
    _cancel(ask, ask.execution(instance, execution_id))
    if ask.quirks.cancel_answer == "text":
        return Response(b"OK", media_type="text/plain")
    if ask.quirks.cancel_answer == "empty":
        return Response(status_code=204)
    return one(_json(ask, ask.execution(instance, execution_id)), ask.quirks)


def _cancel(ask: Ask, execution: Execution) -> None:
    stands = execution.standing(ask.platform.now_ms)
    if stands.is_over:
        raise RefusedError(409, f"execution {execution.id} is {stands.status}: it cannot be canceled")
    if stands.status == RUNNING and not ask.quirks.cancel_running:
        raise RefusedError(409, f"execution {execution.id} is RUNNING: only a PENDING one can be canceled")
    if execution.stopped_ms is None:
        ask.platform.stop(execution, after_s=ask.quirks.cancel_takes_s)


def _end_as_stated(ask: Ask, execution: Execution, stated: str) -> None:
    end = STATED_ENDS.get(stated)
    stands = execution.standing(ask.platform.now_ms)
    if end is None or stands.status == end:
        return
    if end == CANCELED:
        _cancel(ask, execution)
    elif stands.is_over:
        raise RefusedError(409, f"execution {execution.id} is {stands.status}: it cannot become {stated}")
    else:
        ask.platform.stop(execution, end)


def _move_as_stated(ask: Ask, execution: Execution, body: dict[str, Any]) -> None:
    if "parameters" not in body:
        return
    _, expected_ms = _parameters(body)
    is_pending = execution.standing(ask.platform.now_ms).status == PENDING
    if expected_ms != execution.expected_ms and is_pending:
        ask.platform.reschedule(execution, expected_ms)


def _parameters(body: dict[str, Any]) -> tuple[str, int]:
    parameters = body.get("parameters")
    if not isinstance(parameters, dict):
        raise refuse("parameters must be defined: {execution_type, expected_start_date}")
    execution_type = choice(parameters, "execution_type", ("MANUAL", "CRON"))
    if execution_type is None:
        raise refuse("execution_type must be defined")
    return execution_type, milliseconds(parameters, "expected_start_date")


def _page(ask: Ask, of: dict[str, Any]) -> Response:
    window = ask.window()
    executions, total = ask.platform.executions.part(of, window, ask.staleness)
    now_ms = ask.platform.now_ms
    return ask.page([execution_json(each, now_ms, ask.quirks) for each in executions], total, window)


def _json(ask: Ask, execution: Execution) -> dict[str, Any]:
    return execution_json(execution, ask.platform.now_ms, ask.quirks)
