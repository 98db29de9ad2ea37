"""What a trigger tells the task that waited on it: a small dict of plain JSON, made and read only here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.models import Execution


@dataclass(frozen=True)
class Outcome:
    """How a wait ended. ``execution`` is set when it is over, or has appeared; else ``message`` says what happened.

    ``is_settled``: the time was up, and the trigger has seen to it that the execution is canceled, where it is to be.
    """

    execution_id: str
    execution: Execution | None
    timed_out: bool
    is_settled: bool
    is_final: bool
    message: str


def over(execution: Execution) -> dict[str, Any]:
    """The execution waited for has ended, or has appeared."""
    return {"status": "over", "execution_id": execution.id, "execution": execution.to_json()}


def timed_out(execution_id: str, message: str, *, is_settled: bool = False) -> dict[str, Any]:
    """The deadline passed. ``is_settled``: nothing is left to do about the execution."""
    return {"status": "timeout", "execution_id": execution_id, "message": message, "settled": is_settled}


def failed(execution_id: str, error: MicsError, *, is_final: bool) -> dict[str, Any]:
    """The wait cannot go on. ``is_final``: another try of the task would end the same way."""
    return {"status": "error", "execution_id": execution_id, "message": str(error), "final": is_final}


def outcome_of(event: dict[str, Any] | None) -> Outcome:
    """Read an event.

    :raises AirflowException: there is none, or it is not one of ours: never taken for a success
    """
    status = event.get("status") if isinstance(event, dict) else None
    if event is None or status not in ("over", "timeout", "error"):
        raise AirflowException(f"The trigger ended with {event!r}, which says nothing of the execution")
    execution = event.get("execution")
    return Outcome(
        execution_id=str(event.get("execution_id", "")),
        execution=Execution.model_validate(execution) if status == "over" else None,
        timed_out=status == "timeout",
        is_settled=bool(event.get("settled")),
        is_final=bool(event.get("final")),
        message=str(event.get("message", "")),
    )
