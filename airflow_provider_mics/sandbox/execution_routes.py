"""The routes of the executions of an instance and of an organisation."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from airflow_provider_mics.sandbox.answers import ApiError, bad_request, deleted_response, resource_response
from airflow_provider_mics.sandbox.database import Condition
from airflow_provider_mics.sandbox.executions import (
    CANCELED,
    FAILED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    Execution,
    ExecutionState,
)
from airflow_provider_mics.sandbox.quirks import Quirks
from airflow_provider_mics.sandbox.request_context import (
    Context,
    RequestContext,
    optional_choice,
    optional_text,
    required_milliseconds,
    required_text,
    unknown_fields,
)

router = APIRouter(prefix="/v1")

OF_INSTANCE = "/integration_batch_instances/{instance_id}/executions"
ONE = OF_INSTANCE + "/{execution_id}"
FINAL_STATUSES = {
    "SUCCEEDED": SUCCEEDED,
    "SUCCESS": SUCCEEDED,
    "FAILED": FAILED,
    "CANCELED": CANCELED,
    "CANCELLED": CANCELED,
}
"""The statuses by which a PUT ends an execution. Any other one may come from an earlier answer and changes nothing."""
ALWAYS_PRESENT = {"id", "status"}
USUALLY_PRESENT = {*ALWAYS_PRESENT, "parameters"}


def execution_json(execution: Execution, now_ms: int, quirks: Quirks) -> dict[str, Any]:
    """Serialise an execution as the platform does at a time of its clock."""
    state = execution.state_at(now_ms)
    document = {
        **execution.extra,
        "id": str(execution.id),
        "status": _spelled_status(state, now_ms, quirks),
        "parameters": {
            "execution_type": execution.execution_type,
            "expected_start_date": execution.expected_ms,
        },
        "organisation_id": execution.organisation_id,
        "user_id": execution.user_id,
        "creation_date": execution.created_ms,
        "start_date": state.start_ms,
        "duration": state.duration_ms,
        "debug": None,
        **_task_counts(execution, state, quirks),
        "result": execution.result if state.status == SUCCEEDED else None,
        "error": _error(execution, state, quirks),
        "job_type": quirks.job_type,
        "external_model_id": str(execution.instance_id),
        "external_model_name": "PUBLIC_INTEGRATION_BATCH",
    }
    return _without_dropped(document, quirks)


def _spelled_status(state: ExecutionState, now_ms: int, quirks: Quirks) -> str:
    if state.start_ms is not None and now_ms - state.start_ms < quirks.unknown_status_s * 1000:
        return quirks.unknown_status
    spellings = {
        PENDING: quirks.pending_as,
        RUNNING: quirks.running_as,
        SUCCEEDED: quirks.succeeded_as,
        FAILED: quirks.failed_as,
        CANCELED: quirks.canceled_as,
    }
    return spellings.get(state.status, state.status)


def _task_counts(execution: Execution, state: ExecutionState, quirks: Quirks) -> dict[str, Any]:
    counts = {
        "num_tasks": execution.num_tasks,
        "completed_tasks": state.completed_tasks,
        "erroneous_tasks": state.erroneous_tasks,
    }
    if quirks.task_counts == "number":
        return counts
    return {name: str(count) if quirks.task_counts == "string" else None for name, count in counts.items()}


def _error(execution: Execution, state: ExecutionState, quirks: Quirks) -> Any:
    if state.status != FAILED:
        return None
    message = execution.error_message
    return message if quirks.execution_error == "string" else {"message": message}


def _without_dropped(document: dict[str, Any], quirks: Quirks) -> dict[str, Any]:
    for dropped, becomes_null in ((quirks.null_executions, True), (quirks.sparse_executions, False)):
        if dropped == "none":
            continue
        kept = ALWAYS_PRESENT if dropped == "all" else USUALLY_PRESENT
        if becomes_null:
            document = {name: value if name in kept else None for name, value in document.items()}
        else:
            document = {name: value for name, value in document.items() if name in kept}
    return document


_ANY_EXECUTION = Execution(
    instance_id=0, organisation_id="", execution_type="", expected_ms=0, created_ms=0, created_real_ms=0, created_by="",
    start_ms=0,
)  # fmt: skip
EXECUTION_FIELDS = frozenset(execution_json(_ANY_EXECUTION, 0, Quirks()))
"""The fields that the platform knows. It stores the others of a body and returns them as they came."""


@router.get("/integration_batch_instances.executions")
async def list_organisation_executions(context: Context) -> Response:
    context.require_route(context.quirks.organisation_executions)
    return _list_response(context, ("organisation_id = ?", context.organisation()))


@router.get(OF_INSTANCE)
async def list_executions(context: Context, instance_id: str) -> Response:
    return _list_response(context, ("instance_id = ?", context.instance(instance_id).id))


@router.post(OF_INSTANCE)
async def create_execution(context: Context, instance_id: str) -> Response:
    body = await context.body()
    instance = context.instance(instance_id, body)
    execution_type, expected_ms = _parameters(context, body)
    status = optional_text(body, "status")
    if status not in {None, PENDING}:
        raise bad_request(f"status of a new execution must be {PENDING}, not {status!r}")
    user_id = optional_text(body, "user_id") or context.caller.user_id
    execution_id = context.platform.create_execution(
        instance, execution_type, expected_ms, "api", user_id, unknown_fields(body, EXECUTION_FIELDS)
    )
    return _response(context, context.execution(instance, str(execution_id)))


@router.get(ONE)
async def get_execution(context: Context, instance_id: str, execution_id: str) -> Response:
    context.require_route(context.quirks.execution_get)
    return _response(context, context.execution(context.instance(instance_id), execution_id))


@router.put(ONE)
async def put_execution(context: Context, instance_id: str, execution_id: str) -> Response:
    context.require_route(context.quirks.execution_put)
    body = await context.body()
    instance = context.instance(instance_id, body)
    execution = context.execution(instance, execution_id)
    if context.quirks.put_semantics == "merge":
        body = {**_json(context, execution), **execution.extra, **body}
    _apply_status(context, execution, required_text(body, "status"))
    _apply_parameters(context, execution, body)
    context.platform.executions.update(execution.id, extra=unknown_fields(body, EXECUTION_FIELDS))
    return _response(context, context.execution(instance, execution_id))


@router.delete(ONE)
async def delete_execution(context: Context, instance_id: str, execution_id: str) -> Response:
    context.require_route(context.quirks.execution_delete)
    execution = context.execution(context.instance(instance_id), execution_id)
    status = execution.state_at(context.platform.now_ms).status
    if status == RUNNING and context.quirks.delete_running == "refused":
        raise ApiError(409, f"execution {execution_id} is RUNNING: it cannot be deleted")
    with context.platform.database.transaction():
        if status == PENDING or (status == RUNNING and context.quirks.delete_running == "cancels"):
            context.platform.stop(execution)
        context.platform.executions.update(execution.id, deleted_ms=context.platform.now_ms)
    return deleted_response(context.quirks)


@router.post(ONE + "/action")
async def act_on_execution(context: Context, instance_id: str, execution_id: str) -> Response:
    context.require_route(context.quirks.cancel_action)
    action = required_text(await context.body(), "action")
    if action != "CANCEL":
        raise bad_request(f"action must be CANCEL, not {action!r}")
    instance = context.instance(instance_id)
    _cancel(context, context.execution(instance, execution_id))
    if context.quirks.cancel_answer == "text":
        return Response(b"OK", media_type="text/plain")
    if context.quirks.cancel_answer == "empty":
        return Response(status_code=204)
    return _response(context, context.execution(instance, execution_id))


def _cancel(context: RequestContext, execution: Execution) -> None:
    state = execution.state_at(context.platform.now_ms)
    if state.is_over:
        raise ApiError(409, f"execution {execution.id} is {state.status}: it cannot be canceled")
    if state.status == RUNNING and not context.quirks.cancel_running:
        raise ApiError(409, f"execution {execution.id} is RUNNING: only a PENDING one can be canceled")
    if execution.stop_ms is None:
        context.platform.stop(execution, after_s=context.quirks.cancel_takes_s)


def _apply_status(context: RequestContext, execution: Execution, status: str) -> None:
    """End an execution as the status of a PUT says, if it says so."""
    final_status = FINAL_STATUSES.get(status)
    state = execution.state_at(context.platform.now_ms)
    if final_status is None or state.status == final_status:
        return
    if final_status == CANCELED:
        _cancel(context, execution)
    elif state.is_over:
        raise ApiError(409, f"execution {execution.id} is {state.status}: it cannot become {status}")
    else:
        context.platform.stop(execution, final_status)


def _apply_parameters(context: RequestContext, execution: Execution, body: dict[str, Any]) -> None:
    """Move a PENDING execution to the time in the parameters of a PUT."""
    if "parameters" not in body:
        return
    _, expected_ms = _parameters(context, body)
    is_pending = execution.state_at(context.platform.now_ms).status == PENDING
    if expected_ms != execution.expected_ms and is_pending:
        context.platform.reschedule(execution, expected_ms)


def _parameters(context: RequestContext, body: dict[str, Any]) -> tuple[str, int]:
    parameters = body.get("parameters")
    if not isinstance(parameters, dict):
        raise bad_request("parameters must be defined: {execution_type, expected_start_date}")
    execution_type = optional_choice(parameters, "execution_type", ("MANUAL", "CRON"))
    if execution_type is None:
        raise bad_request("execution_type must be defined")
    return execution_type, required_milliseconds(parameters, "expected_start_date", context.quirks)


def _list_response(context: RequestContext, condition: Condition) -> Response:
    page = context.page()
    executions, total = context.platform.executions.visible_page(page, condition, context.stale_list)
    now_ms = context.platform.now_ms
    items = [execution_json(each, now_ms, context.quirks) for each in executions]
    return context.list_response(items, total, page)


def _response(context: RequestContext, execution: Execution) -> Response:
    return resource_response(_json(context, execution), context.quirks)


def _json(context: RequestContext, execution: Execution) -> dict[str, Any]:
    return execution_json(execution, context.platform.now_ms, context.quirks)
