"""The event with which a trigger resumes its task: plain JSON of a bounded size, written and read only here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_mics.api.errors import MicsApiError, MicsError
from airflow_provider_mics.api.json_size import shortened
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.text import one_line
from airflow_provider_mics.runtime.compat import AirflowException
from airflow_provider_mics.runtime.failures import task_failure

EVENT_LIMIT = 4 * 1024
"""Bytes of an execution in an event, as JSON. Airflow stores an event in its database, several times over."""
LONGEST_MESSAGE = 2000
"""Characters of a message in an event."""


@dataclass(frozen=True)
class Outcome:
    """How a wait ended.

    ``execution`` is the execution that ended, or that was created for a tick; without it, ``message`` says why.
    ``is_cut``: the execution is not in full: it is too large for an event, so its texts are shortened, or it is as a
    list of the platform shows it.
    ``timed_out``: the deadline passed. ``is_handled``: the trigger has already canceled the execution where it had
    to, so nothing is left for the task to do. ``is_final``: a retry of the task would fail the same way. ``reason``:
    the platform's own words in ``message``. ``twins``: the ids of other executions of the same tick that the trigger
    has noticed.
    """

    execution_id: str
    execution: Execution | None
    is_cut: bool
    timed_out: bool
    is_handled: bool
    is_final: bool
    message: str
    reason: str = ""
    twins: tuple[str, ...] = ()

    def failure(self) -> AirflowException:
        """Return the exception for the task to raise, after the platform's message was logged."""
        return task_failure(self.message, final=self.is_final, reason=self.reason)


def completed(execution: Execution, *, is_in_full: bool = True) -> dict[str, Any]:
    """Event: the execution has ended, or the execution of a tick has been created. See `Outcome.is_cut`."""
    whole = execution.to_json()
    short = shortened(whole, EVENT_LIMIT)
    return {
        "status": "completed",
        "execution_id": execution.id,
        "execution": short,
        "is_cut": short != whole or not is_in_full,
    }


def timed_out(execution_id: str, message: str, *, is_handled: bool = False) -> dict[str, Any]:
    """Event: the deadline passed. See `Outcome` for ``is_handled``."""
    return {
        "status": "timeout",
        "execution_id": execution_id,
        "message": one_line(message, LONGEST_MESSAGE),
        "handled": is_handled,
    }


def failed(execution_id: str, error: MicsError, *, is_final: bool) -> dict[str, Any]:
    """Event: an error ended the wait. See `Outcome` for ``is_final``."""
    return {
        "status": "error",
        "execution_id": execution_id,
        "message": one_line(str(error), LONGEST_MESSAGE),
        "reason": one_line(error.message, LONGEST_MESSAGE) if isinstance(error, MicsApiError) else "",
        "final": is_final,
    }


def outcome_of(event: dict[str, Any] | None) -> Outcome:
    """Read an event.

    :raises AirflowException: there is no event, or it is not one of ours; it never counts as a success
    """
    status = event.get("status") if isinstance(event, dict) else None
    if event is None or status not in ("completed", "timeout", "error"):
        raise AirflowException(f"The trigger ended with {event!r}, which says nothing of the execution")
    execution = event.get("execution")
    return Outcome(
        execution_id=str(event.get("execution_id", "")),
        execution=Execution.model_validate(execution) if status == "completed" else None,
        is_cut=bool(event.get("is_cut")),
        timed_out=status == "timeout",
        is_handled=bool(event.get("handled")),
        is_final=bool(event.get("final")),
        message=str(event.get("message", "")),
        reason=str(event.get("reason", "")),
        twins=tuple(map(str, event.get("twins", ()))),
    )
