"""Executions in the database: what was decided about each; where it stands is reckoned (`lifecycle.py`)."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from airflow_provider_mics.sandbox.database import Database
from airflow_provider_mics.sandbox.lifecycle import Course, Standing, standing
from airflow_provider_mics.sandbox.pages import NO_VALUE, Window, count


@dataclass(frozen=True)
class Execution:
    """Times in epoch milliseconds. ``created_by`` is ``api``, ``scheduler`` or ``history``.

    ``turn`` is how many executions its instance had before it.
    """

    id: int
    instance_id: int
    organisation_id: str
    execution_type: str
    expected_ms: int
    created_ms: int
    created_real_ms: int
    created_by: str
    user_id: str | None
    turn: int
    starts_ms: int
    duration_ms: int | None
    succeeds: bool
    num_tasks: int
    error_message: str
    result: Any
    stopped_ms: int | None
    stopped_as: str | None
    deleted_ms: int | None
    extra: dict[str, Any]

    def standing(self, now_ms: int) -> Standing:
        """Where it stands at a moment of the platform's clock."""
        course = Course(
            self.starts_ms, self.duration_ms, self.succeeds, self.num_tasks, self.stopped_ms, self.stopped_as
        )
        return standing(course, now_ms)


@dataclass(frozen=True)
class Staleness:
    """Lists lack what was created less than so many real seconds ago; ``spread``: a share of it, by id."""

    seconds: float
    spread: bool
    real_now_ms: int

    def condition(self) -> dict[str, Any]:
        share = " * (id * 7919 % 1000) / 1000" if self.spread else ""
        return {f"created_real_ms <= ? - {self.seconds * 1000}{share}": self.real_now_ms}


class ExecutionStore:
    """Reads and writes executions; what does not exist, or was deleted, is None."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def part(
        self, of: dict[str, Any], window: Window, staleness: Staleness | None = None
    ) -> tuple[list[Execution], int]:
        """A part of the executions that meet the conditions ``of``, and how many do."""
        conditions = {**of, "deleted_ms IS NULL": NO_VALUE, **(staleness.condition() if staleness else {})}
        query, values = window.select("executions", conditions)
        counting, counted = count("executions", conditions)
        rows = self._database.rows(query, *values)
        return [_execution(row) for row in rows], self._database.number(counting, *counted)

    def get(self, execution_id: int, *, deleted: bool = False) -> Execution | None:
        """One execution; with ``deleted`` also one that was deleted."""
        row = self._database.row("SELECT * FROM executions WHERE id = ?", execution_id)
        if row is None or (row["deleted_ms"] is not None and not deleted):
            return None
        return _execution(row)

    def everything(self, conditions: dict[str, Any]) -> list[Execution]:
        """All executions ever, deleted ones too, oldest first."""
        window = Window(order="oldest")
        query, values = window.select("executions", conditions or {"1": NO_VALUE})
        return [_execution(row) for row in self._database.rows(query, *values)]

    def create(self, values: dict[str, Any]) -> int:
        return self._database.insert("executions", _encoded(values))

    def create_many(self, rows: list[dict[str, Any]]) -> None:
        self._database.insert_many("executions", [_encoded(row) for row in rows])

    def update(self, execution_id: int, values: dict[str, Any]) -> None:
        self._database.update("executions", execution_id, _encoded(values))

    def not_started(self, instance_id: int, now_ms: int) -> list[Execution]:
        """The executions of an instance that are still to start."""
        query = "SELECT * FROM executions WHERE instance_id = ? AND starts_ms > ? AND stopped_ms IS NULL"
        return [_execution(row) for row in self._database.rows(query, instance_id, now_ms)]

    def has_tick(self, instance_id: int, tick_ms: int, *, by_anybody: bool) -> bool:
        """Whether the scheduler, or anybody, has created a CRON execution for this tick that was not stopped."""
        query = (
            "SELECT 1 FROM executions WHERE instance_id = ? AND expected_ms = ? AND execution_type = 'CRON' "
            "AND (created_by = 'scheduler' OR ?) AND stopped_ms IS NULL AND deleted_ms IS NULL"
        )
        return self._database.row(query, instance_id, tick_ms, by_anybody) is not None

    def cancel_coming(self, instance_id: int, now_ms: int, *, only_ticks: bool = False) -> None:
        """Cancel the executions of an instance whose time has not come yet, or those of the scheduler among them."""
        self._database.execute(
            "UPDATE executions SET stopped_ms = ?, stopped_as = 'CANCELED' WHERE instance_id = ? "
            "AND expected_ms > ? AND starts_ms > ? AND stopped_ms IS NULL AND (created_by = 'scheduler' OR ?)",
            now_ms,
            instance_id,
            now_ms,
            now_ms,
            not only_ticks,
        )

    def move_with_clock(self, old_now_ms: int, new_now_ms: int) -> None:
        """Take what has happened along when the clock is set back: what has started or ended stays so."""
        by_ms = new_now_ms - old_now_ms
        self._database.execute(
            "UPDATE executions SET starts_ms = starts_ms + ? WHERE starts_ms <= ? "
            "AND (duration_ms IS NULL OR starts_ms + duration_ms > ?)",
            by_ms,
            old_now_ms,
            new_now_ms,
        )
        self._database.execute(
            "UPDATE executions SET stopped_ms = stopped_ms + ? WHERE stopped_ms > ?", by_ms, new_now_ms
        )


def _encoded(values: dict[str, Any]) -> dict[str, Any]:
    return values | {name: json.dumps(values[name]) for name in ("result", "extra") if name in values}


def _execution(row: sqlite3.Row) -> Execution:
    values = dict(row)
    values["succeeds"] = bool(values["succeeds"])
    # Most hold nothing, and a page holds a hundred.
    values["result"] = None if values["result"] == "null" else json.loads(values["result"])
    values["extra"] = {} if values["extra"] == "{}" else json.loads(values["extra"])
    return Execution(**values)
