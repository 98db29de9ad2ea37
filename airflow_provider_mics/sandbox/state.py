"""The platform as one value: its database, its clock, its quirks, its tokens; and what it does with executions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_mics.sandbox.behaviours import behaviour
from airflow_provider_mics.sandbox.clock import Clock, real_ms
from airflow_provider_mics.sandbox.database import Database
from airflow_provider_mics.sandbox.executions import Execution, ExecutionStore
from airflow_provider_mics.sandbox.instances import Instance, InstanceStore
from airflow_provider_mics.sandbox.lifecycle import CANCELED
from airflow_provider_mics.sandbox.plugins import PluginStore
from airflow_provider_mics.sandbox.quirks import Quirks, with_changes

FIRST_USER_ID = 1007


@dataclass(frozen=True)
class Caller:
    """Whose token a request came with, and which organisations it reaches."""

    user_id: str
    organisations: list[str]


class LocalPlatform:
    """Everything that lasts. Quirks, tokens, clock and time zone are kept in the database with the resources."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.plugins = PluginStore(self.database)
        self.instances = InstanceStore(self.database)
        self.executions = ExecutionStore(self.database)
        self.clock = Clock()
        kept_anchor = self.database.setting("clock")
        if kept_anchor:
            self.clock.anchor = kept_anchor
        self.quirks = Quirks()
        self._take_quirks(with_changes(self.quirks, self.database.setting("quirks") or {}))
        self.tokens: dict[str, list[str]] = self.database.setting("tokens") or {}
        self.timezone = ZoneInfo(self.database.setting("timezone") or "UTC")
        self._keep_clock()

    @property
    def now_ms(self) -> int:
        return self.clock.now_ms

    def caller(self, token: str) -> Caller | None:
        """Who has this token; None where nobody has."""
        if token not in self.tokens:
            return None
        return Caller(str(FIRST_USER_ID + list(self.tokens).index(token)), self.tokens[token])

    def set_tokens(self, tokens: dict[str, list[str]]) -> None:
        """Let exactly these tokens in, each to its organisations."""
        self.tokens = tokens
        self.database.keep_setting("tokens", tokens)

    def set_timezone(self, name: str) -> None:
        self.timezone = ZoneInfo(name)
        self.database.keep_setting("timezone", name)

    def change_quirks(self, changes: dict[str, Any]) -> None:
        """Change some quirks.

        :raises UnknownQuirkError: no such quirk, or a value that it cannot have
        """
        quirks = with_changes(self.quirks, changes)
        old_now_ms = self.now_ms
        self._take_quirks(quirks)
        self._follow_clock(old_now_ms)
        self.database.keep_setting("quirks", quirks.model_dump(exclude_defaults=True))

    def set_speed(self, speed: float) -> None:
        self.clock.speed = speed
        self._keep_clock()

    def jump_clock(self, by_ms: int) -> None:
        """Set the clock forward or backward; what has happened stays so."""
        old_now_ms = self.now_ms
        self.clock.jump(by_ms)
        self._follow_clock(old_now_ms)
        self._keep_clock()

    def create_execution(
        self,
        instance: Instance,
        execution_type: str,
        expected_ms: int,
        created_by: str,
        user_id: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> int:
        """Plan an execution of an instance, and give its id. One whose time is past starts at once."""
        now_ms = self.now_ms
        with self.database.transaction():
            turn = self.database.number(
                "UPDATE instances SET executions_created = executions_created + 1 WHERE id = ? "
                "RETURNING executions_created - 1",
                instance.id,
            )
            values = {
                **self._behaviour(instance.id, turn),
                "turn": turn,
                "instance_id": instance.id,
                "organisation_id": instance.organisation_id,
                "execution_type": execution_type,
                "expected_ms": expected_ms,
                "created_ms": now_ms,
                "created_real_ms": int(real_ms()),
                "created_by": created_by,
                "user_id": user_id,
                "starts_ms": max(now_ms, expected_ms) + int(self.quirks.start_latency_s * 1000),
                "extra": extra or {},
            }
            return self.executions.create(values)

    def put_property(self, instance: Instance, document: dict[str, Any]) -> None:
        """Write a property of an instance; its executions that are still to start will run with it."""
        with self.database.transaction():
            self.instances.put_property(instance.id, document)
            for execution in self.executions.not_started(instance.id, self.now_ms):
                self.executions.update(execution.id, self._behaviour(instance.id, execution.turn))

    def reschedule(self, execution: Execution, expected_ms: int) -> None:
        """Give an execution that has not started another time."""
        starts_ms = max(self.now_ms, expected_ms) + int(self.quirks.start_latency_s * 1000)
        self.executions.update(execution.id, {"expected_ms": expected_ms, "starts_ms": starts_ms})

    def stop(self, execution: Execution, status: str = CANCELED, after_s: float = 0) -> None:
        """End an execution, as canceled or with another last status."""
        stopped_ms = self.now_ms + int(after_s * 1000)
        self.executions.update(execution.id, {"stopped_ms": stopped_ms, "stopped_as": status})

    def _behaviour(self, instance_id: int, turn: int) -> dict[str, Any]:
        """What an execution will do, as the instance's properties are now."""
        return asdict(behaviour(self.instances.property_values(instance_id), turn))

    def _take_quirks(self, quirks: Quirks) -> None:
        self.quirks = quirks
        self.clock.offset_ms = int(quirks.clock_offset_s * 1000)

    def _follow_clock(self, old_now_ms: int) -> None:
        now_ms = self.now_ms
        if now_ms < old_now_ms:
            self.executions.move_with_clock(old_now_ms, now_ms)

    def _keep_clock(self) -> None:
        self.database.keep_setting("clock", self.clock.anchor)
