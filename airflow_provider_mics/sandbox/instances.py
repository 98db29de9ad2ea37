"""Instances and their properties in the database."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from airflow_provider_mics.sandbox.database import Database
from airflow_provider_mics.sandbox.pages import NO_VALUE, Window, count

SIZES = ("cpu_size", "ram_size", "disk_size")


@dataclass(frozen=True)
class Instance:
    """Times in epoch milliseconds. ``next_tick_ms`` is None where the scheduler has nothing to fire."""

    id: int
    organisation_id: str
    plugin_id: int
    version_id: int
    name: str
    cron: str | None
    cron_status: str | None
    archived: bool
    cpu_size: str
    ram_size: str
    disk_size: str
    creation_ts: int
    created_by: str | None
    last_modified_ts: int
    last_modified_by: str | None
    extra: dict[str, Any]
    executions_created: int
    next_tick_ms: int | None
    deleted_ms: int | None

    @property
    def is_scheduled(self) -> bool:
        """Whether the platform's own scheduler fires it."""
        active = self.cron is not None and self.cron_status == "ACTIVE"
        return active and not self.archived and self.deleted_ms is None


class InstanceStore:
    """Reads and writes instances; what does not exist, or was deleted, is None."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def part(
        self, organisation_id: str, conditions: dict[str, Any], window: Window
    ) -> tuple[list[Instance], int]:
        """A part of an organisation's instances, and how many meet the conditions."""
        every = {"organisation_id = ?": organisation_id, "deleted_ms IS NULL": NO_VALUE, **conditions}
        query, values = window.select("instances", every)
        counting, counted = count("instances", every)
        rows = self._database.rows(query, *values)
        return [_instance(row) for row in rows], self._database.number(counting, *counted)

    def get(self, instance_id: int) -> Instance | None:
        query = "SELECT * FROM instances WHERE id = ? AND deleted_ms IS NULL"
        row = self._database.row(query, instance_id)
        return None if row is None else _instance(row)

    def create(self, values: dict[str, Any]) -> int:
        return self._database.insert("instances", _encoded(values))

    def update(self, instance_id: int, values: dict[str, Any]) -> None:
        self._database.update("instances", instance_id, _encoded(values))

    def due(self, until_ms: int) -> list[Instance]:
        """The instances whose next tick is not after a moment, by tick."""
        query = "SELECT * FROM instances WHERE next_tick_ms <= ? ORDER BY next_tick_ms, id"
        return [_instance(row) for row in self._database.rows(query, until_ms)]

    def scheduled(self) -> list[Instance]:
        """The instances that the scheduler has a next tick for."""
        rows = self._database.rows("SELECT * FROM instances WHERE next_tick_ms IS NOT NULL")
        return [_instance(row) for row in rows]

    def earliest_tick_ms(self) -> int | None:
        row = self._database.row(
            "SELECT MIN(next_tick_ms) AS tick FROM instances WHERE next_tick_ms IS NOT NULL"
        )
        return None if row is None else row["tick"]

    def properties(self, instance_id: int) -> list[dict[str, Any]]:
        query = "SELECT document FROM instance_properties WHERE instance_id = ? ORDER BY rowid"
        return [json.loads(row["document"]) for row in self._database.rows(query, instance_id)]

    def put_property(self, instance_id: int, document: dict[str, Any]) -> None:
        self._database.execute(
            "INSERT INTO instance_properties (instance_id, technical_name, document) VALUES (?, ?, ?) "
            "ON CONFLICT (instance_id, technical_name) DO UPDATE SET document = excluded.document",
            instance_id,
            document["technical_name"],
            json.dumps(document),
        )

    def property_values(self, instance_id: int) -> dict[str, Any]:
        """The plain value of each property that has one, by technical name."""
        return {
            each["technical_name"]: each["value"]["value"]
            for each in self.properties(instance_id)
            if isinstance(each.get("value"), dict) and "value" in each["value"]
        }


def _encoded(values: dict[str, Any]) -> dict[str, Any]:
    return values | ({"extra": json.dumps(values["extra"])} if "extra" in values else {})


def _instance(row: sqlite3.Row) -> Instance:
    return Instance(**{**dict(row), "archived": bool(row["archived"]), "extra": json.loads(row["extra"])})
