"""Executions: what each of them does when it runs, its state at any time, and their table.

The state of an execution is not stored. It is computed from what was decided when the execution was created, so that a
restart loses nothing and an idle server does nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mics.sandbox.database import Condition, Database, Page, Table

PENDING, RUNNING, SUCCEEDED, FAILED, CANCELED = "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED"
OUTCOMES = ("succeed", "fail", "hang")
SCRIPT_PROPERTIES = {
    "sandbox.duration_s": "duration in seconds (default: 5)",
    "sandbox.outcome": "succeed (default), fail or hang; a list of these applies to the executions in turn",
    "sandbox.error_message": "error message of a failed execution",
    "sandbox.result": "result of a successful execution, as JSON or text",
    "sandbox.num_tasks": "number of tasks (default: 10)",
    "sandbox.erroneous_tasks": "number of erroneous tasks of a successful execution (default: 0)",
}
"""The properties of an instance that say what its executions do, each with its meaning."""


@dataclass(frozen=True, kw_only=True)
class ExecutionScript:
    """What an execution does when it runs. ``duration_ms`` is None if it never ends by itself."""

    duration_ms: int | None = 5_000
    succeeds: bool = True
    num_tasks: int = 10
    erroneous_tasks: int = 0
    error_message: str = "the script ended with exit code 1"
    result: Any = None


def execution_script(properties: Mapping[str, Any], run_index: int) -> ExecutionScript:
    """Return what an execution of an instance does, given the instance's property values by technical name.

    An invalid value counts as the default: a batch runs with any parameters.

    :param run_index: number of executions that the instance had before
    """
    outcomes = _outcomes(properties.get("sandbox.outcome"))
    outcome = outcomes[run_index % len(outcomes)]
    duration_s = _number(properties.get("sandbox.duration_s"), 5.0)
    return ExecutionScript(
        duration_ms=None if outcome == "hang" else int(duration_s * 1000),
        succeeds=outcome == "succeed",
        num_tasks=int(_number(properties.get("sandbox.num_tasks"), ExecutionScript.num_tasks)),
        erroneous_tasks=int(_number(properties.get("sandbox.erroneous_tasks"), 0)),
        error_message=str(properties.get("sandbox.error_message") or ExecutionScript.error_message),
        result=_json_or_text(properties.get("sandbox.result")),
    )


@dataclass(frozen=True)
class ExecutionState:
    """State of an execution: ``start_ms`` is None before its start, ``duration_ms`` before its end."""

    status: str
    start_ms: int | None
    duration_ms: int | None
    completed_tasks: int
    erroneous_tasks: int

    @property
    def is_over(self) -> bool:
        return self.status not in {PENDING, RUNNING}


@dataclass(frozen=True, kw_only=True)
class Execution(ExecutionScript):
    """An execution. Times are epoch milliseconds of the platform's clock, ``created_real_ms`` of the machine's.

    ``created_by`` is ``api``, ``scheduler`` or ``history``. ``start_ms`` is when it starts unless it is stopped before.
    ``stop_ms`` and ``stop_status`` (None: CANCELED) are of a request that ends it. ``run_index`` is how many executions
    its instance had before it. ``extra`` holds the fields of the request that the platform does not know.
    """

    id: int = 0
    instance_id: int
    organisation_id: str
    execution_type: str
    expected_ms: int
    created_ms: int
    created_real_ms: int
    created_by: str
    start_ms: int
    user_id: str | None = None
    run_index: int = 0
    stop_ms: int | None = None
    stop_status: str | None = None
    deleted_ms: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def state_at(self, now_ms: int) -> ExecutionState:
        """Return the state at a time of the platform's clock."""
        end_ms = None if self.duration_ms is None else self.start_ms + self.duration_ms
        stop_ms = self.stop_ms
        if stop_ms is not None and stop_ms <= now_ms and (end_ms is None or stop_ms < end_ms):
            return self._stopped_state(stop_ms)
        if now_ms < self.start_ms:
            return ExecutionState(PENDING, None, None, 0, 0)
        if end_ms is None or now_ms < end_ms:
            return ExecutionState(RUNNING, self.start_ms, None, self._completed_tasks(now_ms), 0)
        status, failed_tasks = (SUCCEEDED, self.erroneous_tasks) if self.succeeds else (FAILED, 1)
        failed_tasks = min(failed_tasks, self.num_tasks)
        completed_tasks = self.num_tasks - failed_tasks
        return ExecutionState(status, self.start_ms, self.duration_ms, completed_tasks, failed_tasks)

    def _stopped_state(self, stop_ms: int) -> ExecutionState:
        status = self.stop_status or CANCELED
        if stop_ms < self.start_ms:
            return ExecutionState(status, None, None, 0, 0)
        completed_tasks = self.num_tasks if status == SUCCEEDED else self._completed_tasks(stop_ms)
        duration_ms = stop_ms - self.start_ms
        return ExecutionState(status, self.start_ms, duration_ms, completed_tasks, int(status == FAILED))

    def _completed_tasks(self, now_ms: int) -> int:
        """Tasks end evenly over the duration. An execution that never ends stops half way, after a minute."""
        duration_ms = 120_000 if self.duration_ms is None else self.duration_ms
        share = min(1.0, (now_ms - self.start_ms) / max(1, duration_ms))
        if self.duration_ms is None:
            share = min(share, 0.5)
        return min(int(share * self.num_tasks), max(0, self.num_tasks - 1))


@dataclass(frozen=True)
class StaleList:
    """The fault ``stale_list``: lists lack executions that were created less than ``seconds`` ago.

    With ``spread`` each execution has its own share of the seconds, by its id. ``real_now_ms`` is the machine's clock.
    """

    seconds: float
    spread: bool
    real_now_ms: int

    def condition(self) -> Condition:
        share = " * (id * 7919 % 1000) / 1000" if self.spread else ""
        return f"created_real_ms <= ? - {self.seconds * 1000}{share}", self.real_now_ms


class ExecutionStore(Table[Execution]):
    """The executions in the database. Deleted ones stay there, but only the admin routes show them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "executions", Execution)

    def visible_page(
        self, page: Page, condition: Condition, stale: StaleList | None = None
    ) -> tuple[list[Execution], int]:
        """Return a page of the executions that a list shows, and their number."""
        conditions = [condition, ("deleted_ms IS NULL",), *([stale.condition()] if stale else [])]
        return self.page(page, *conditions)

    def get(self, execution_id: int, *, deleted: bool = False) -> Execution | None:
        """Return an execution, or None. ``deleted`` includes deleted ones."""
        execution = self.find(("id = ?", execution_id))
        return None if execution is None or (execution.deleted_ms is not None and not deleted) else execution

    def not_started(self, instance_id: int, now_ms: int) -> list[Execution]:
        """Return the executions of an instance that are still to start."""
        return self.select(("instance_id = ?", instance_id), ("start_ms > ?", now_ms), ("stop_ms IS NULL",))

    def has_tick(self, instance_id: int, tick_ms: int, *, any_creator: bool) -> bool:
        """Whether this tick has a CRON execution of the scheduler, or of any creator, that was not stopped."""
        query = (
            "SELECT 1 FROM executions WHERE instance_id = ? AND expected_ms = ? AND execution_type = 'CRON' "
            "AND (created_by = 'scheduler' OR ?) AND stop_ms IS NULL AND deleted_ms IS NULL"
        )
        return self._database.row(query, instance_id, tick_ms, any_creator) is not None

    def cancel_upcoming(self, instance_id: int, now_ms: int, *, only_scheduled: bool = False) -> None:
        """Cancel the executions of an instance that are due later, or only those that the scheduler created."""
        self._database.execute(
            "UPDATE executions SET stop_ms = ? WHERE instance_id = ? "
            "AND expected_ms > ? AND start_ms > ? AND stop_ms IS NULL AND (created_by = 'scheduler' OR ?)",
            now_ms,
            instance_id,
            now_ms,
            now_ms,
            not only_scheduled,
        )

    def shift_with_clock(self, old_now_ms: int, new_now_ms: int) -> None:
        """Keep states when the clock is set back: what has started or ended must not be undone."""
        by_ms = new_now_ms - old_now_ms
        self._database.execute(
            "UPDATE executions SET start_ms = start_ms + ? WHERE start_ms <= ? "
            "AND (duration_ms IS NULL OR start_ms + duration_ms > ?)",
            by_ms,
            old_now_ms,
            new_now_ms,
        )
        self._database.execute(
            "UPDATE executions SET stop_ms = stop_ms + ? WHERE stop_ms > ?", by_ms, new_now_ms
        )


def _outcomes(value: Any) -> list[str]:
    parsed = _json_or_text(value)
    words = parsed if isinstance(parsed, list) else str(parsed or "").split(",")
    known = [word for word in (str(each).strip().lower() for each in words) if word in OUTCOMES]
    return known or ["succeed"]


def _number(value: Any, default: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return default
    return number if 0 <= number < 1e9 else default


def _json_or_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
