"""Executions as JSON, in the spelling and with the gaps that the quirks ask for."""

from __future__ import annotations

from typing import Any

from airflow_provider_mics.sandbox.executions import Execution
from airflow_provider_mics.sandbox.lifecycle import (
    CANCELED,
    FAILED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    Standing,
)
from airflow_provider_mics.sandbox.quirks import Quirks

ALWAYS = {"id", "status"}
SELDOM_MISSING = {*ALWAYS, "parameters"}
FIELDS = {
    "id", "status", "parameters", "organisation_id", "user_id", "creation_date", "start_date", "duration", "debug",
    "num_tasks", "completed_tasks", "erroneous_tasks", "result", "error", "job_type", "external_model_id",
    "external_model_name",
}  # fmt: skip


def execution_json(execution: Execution, now_ms: int, quirks: Quirks) -> dict[str, Any]:
    """An execution as the platform answers it at a moment."""
    stands = execution.standing(now_ms)
    document = {
        **execution.extra,
        "id": str(execution.id),
        "status": _status(stands, now_ms, quirks),
        "parameters": {
            "execution_type": execution.execution_type,
            "expected_start_date": execution.expected_ms,
        },
        "organisation_id": execution.organisation_id,
        "user_id": execution.user_id,
        "creation_date": execution.created_ms,
        "start_date": stands.start_ms,
        "duration": stands.duration_ms,
        "debug": None,
        **_tasks(execution, stands, quirks),
        "result": execution.result if stands.status == SUCCEEDED else None,
        "error": _error(execution, stands, quirks),
        "job_type": quirks.job_type,
        "external_model_id": str(execution.instance_id),
        "external_model_name": "PUBLIC_INTEGRATION_BATCH",
    }
    return _with_gaps(document, quirks)


def _status(stands: Standing, now_ms: int, quirks: Quirks) -> str:
    if stands.start_ms is not None and now_ms - stands.start_ms < quirks.unknown_status_s * 1000:
        return quirks.unknown_status
    spellings = {
        PENDING: quirks.pending_as,
        RUNNING: quirks.running_as,
        SUCCEEDED: quirks.succeeded_as,
        FAILED: quirks.failed_as,
        CANCELED: quirks.canceled_as,
    }
    return spellings.get(stands.status, stands.status)


def _tasks(execution: Execution, stands: Standing, quirks: Quirks) -> dict[str, Any]:
    counts = {
        "num_tasks": execution.num_tasks,
        "completed_tasks": stands.completed_tasks,
        "erroneous_tasks": stands.erroneous_tasks,
    }
    if quirks.task_counts == "number":
        return counts
    return {name: str(count) if quirks.task_counts == "string" else None for name, count in counts.items()}


def _error(execution: Execution, stands: Standing, quirks: Quirks) -> Any:
    if stands.status != FAILED:
        return None
    return (
        execution.error_message
        if quirks.execution_error == "string"
        else {"message": execution.error_message}
    )


def _with_gaps(document: dict[str, Any], quirks: Quirks) -> dict[str, Any]:
    for dropped, is_null in ((quirks.null_executions, True), (quirks.sparse_executions, False)):
        if dropped == "none":
            continue
        stays = ALWAYS if dropped == "all" else SELDOM_MISSING
        if is_null:
            document = {name: value if name in stays else None for name, value in document.items()}
        else:
            document = {name: value for name, value in document.items() if name in stays}
    return document
