"""The state of the platform: database, clock, quirks, tokens and time zone, and the operations on executions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_mics.sandbox.clock import Clock, real_ms
from airflow_provider_mics.sandbox.database import Database
from airflow_provider_mics.sandbox.executions import (
    CANCELED,
    Execution,
    ExecutionScript,
    ExecutionStore,
    execution_script,
)
from airflow_provider_mics.sandbox.instances import Instance, InstanceStore
from airflow_provider_mics.sandbox.plugins import PluginStore
from airflow_provider_mics.sandbox.quirks import Quirks, with_changes

FIRST_USER_ID = 1007


@dataclass(frozen=True)
class Caller:
    """The user of a request's token, and the organisations that the token has access to."""

    user_id: str
    organisations: list[str]


class PlatformState:
    """All persistent state. Quirks, tokens, clock and time zone are saved in the database beside the resources."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.plugins = PluginStore(self.database)
        self.instances = InstanceStore(self.database)
        self.executions = ExecutionStore(self.database)
        self.clock = Clock()
        saved_anchor = self.database.load_setting("clock")
        if saved_anchor:
            self.clock.anchor = saved_anchor
        self.quirks = Quirks()
        self._apply_quirks(with_changes(self.quirks, self.database.load_setting("quirks") or {}))
        self.tokens: dict[str, list[str]] = self.database.load_setting("tokens") or {}
        self.timezone = ZoneInfo(self.database.load_setting("timezone") or "UTC")
        self._save_clock()

    @property
    def now_ms(self) -> int:
        return self.clock.now_ms

    def caller(self, token: str) -> Caller | None:
        """Return the user of a token, or None if the token is unknown."""
        if token not in self.tokens:
            return None
        return Caller(str(FIRST_USER_ID + list(self.tokens).index(token)), self.tokens[token])

    def set_tokens(self, tokens: dict[str, list[str]]) -> None:
        """Replace the valid tokens, each with the organisations that it has access to."""
        self.tokens = tokens
        self.database.save_setting("tokens", tokens)

    def set_timezone(self, name: str) -> None:
        self.timezone = ZoneInfo(name)
        self.database.save_setting("timezone", name)

    def change_quirks(self, changes: dict[str, Any]) -> None:
        """Change some quirks.

        :raises UnknownQuirkError: unknown name or invalid value
        """
        quirks = with_changes(self.quirks, changes)
        old_now_ms = self.now_ms
        self._apply_quirks(quirks)
        self._keep_execution_states(old_now_ms)
        self.database.save_setting("quirks", quirks.model_dump(exclude_defaults=True))

    def set_speed(self, speed: float) -> None:
        self.clock.speed = speed
        self._save_clock()

    def jump_clock(self, by_ms: int) -> None:
        """Set the clock forward or back, without undoing what has happened."""
        old_now_ms = self.now_ms
        self.clock.jump(by_ms)
        self._keep_execution_states(old_now_ms)
        self._save_clock()

    def create_execution(
        self,
        instance: Instance,
        execution_type: str,
        expected_ms: int,
        created_by: str,
        user_id: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> int:
        """Create an execution of an instance and return its id. It starts at once if its time is in the past."""
        now_ms = self.now_ms
        with self.database.transaction():
            run_index = self.database.number(
                "UPDATE instances SET executions_created = executions_created + 1 WHERE id = ? "
                "RETURNING executions_created - 1",
                instance.id,
            )
            execution = Execution(
                **vars(self._script(instance.id, run_index)),
                instance_id=instance.id,
                organisation_id=instance.organisation_id,
                execution_type=execution_type,
                expected_ms=expected_ms,
                created_ms=now_ms,
                created_real_ms=int(real_ms()),
                created_by=created_by,
                start_ms=self._start_ms(now_ms, expected_ms),
                user_id=user_id,
                run_index=run_index,
                extra=extra or {},
            )
            return self.executions.insert(execution)

    def put_property(self, instance: Instance, document: dict[str, Any]) -> None:
        """Write a property of an instance. It also applies to executions that have not started."""
        with self.database.transaction():
            self.instances.put_property(instance.id, document)
            for execution in self.executions.not_started(instance.id, self.now_ms):
                script = self._script(instance.id, execution.run_index)
                self.executions.update(execution.id, **vars(script))

    def reschedule(self, execution: Execution, expected_ms: int) -> None:
        """Change the expected start of an execution that has not started."""
        start_ms = self._start_ms(self.now_ms, expected_ms)
        self.executions.update(execution.id, expected_ms=expected_ms, start_ms=start_ms)

    def stop(self, execution: Execution, status: str = CANCELED, after_s: float = 0) -> None:
        """End an execution with a status, after a delay on the platform's clock."""
        stop_ms = self.now_ms + int(after_s * 1000)
        self.executions.update(execution.id, stop_ms=stop_ms, stop_status=status)

    def _script(self, instance_id: int, run_index: int) -> ExecutionScript:
        return execution_script(self.instances.property_values(instance_id), run_index)

    def _start_ms(self, now_ms: int, expected_ms: int) -> int:
        return max(now_ms, expected_ms) + int(self.quirks.start_latency_s * 1000)

    def _apply_quirks(self, quirks: Quirks) -> None:
        self.quirks = quirks
        self.clock.offset_ms = int(quirks.clock_offset_s * 1000)

    def _keep_execution_states(self, old_now_ms: int) -> None:
        now_ms = self.now_ms
        if now_ms < old_now_ms:
            self.executions.shift_with_clock(old_now_ms, now_ms)

    def _save_clock(self) -> None:
        self.database.save_setting("clock", self.clock.anchor)
