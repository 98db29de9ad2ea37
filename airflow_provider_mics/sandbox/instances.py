"""Integration batch instances, their properties, and the tables of both."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mics.sandbox.database import Condition, Database, Page, Table

SIZE_NAMES = ("cpu_size", "ram_size", "disk_size")
NOT_DELETED: Condition = ("deleted_ms IS NULL",)


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An instance. Times are epoch milliseconds of the platform's clock.

    ``next_tick_ms`` is None if the scheduler has no tick to fire. ``extra`` holds the fields of the request that the
    platform does not know.
    """

    id: int = 0
    organisation_id: str
    plugin_id: int
    version_id: int
    name: str
    cron: str | None = None
    cron_status: str | None = None
    archived: bool = False
    sizes: dict[str, str] = field(default_factory=lambda: dict.fromkeys(SIZE_NAMES, "LOW"))
    creation_ts: int
    created_by: str | None = None
    last_modified_ts: int
    last_modified_by: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    executions_created: int = 0
    next_tick_ms: int | None = None
    deleted_ms: int | None = None

    @property
    def is_scheduled(self) -> bool:
        """Whether the platform's own scheduler fires it."""
        active = self.cron is not None and self.cron_status == "ACTIVE"
        return active and not self.archived and self.deleted_ms is None


class InstanceStore(Table[Instance]):
    """The instances and their properties in the database. Deleted instances stay there unseen."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "instances", Instance)

    def visible_page(
        self, page: Page, organisation_id: str, conditions: list[Condition]
    ) -> tuple[list[Instance], int]:
        """Return a page of an organisation's instances that meet the conditions, and their number."""
        return self.page(page, ("organisation_id = ?", organisation_id), NOT_DELETED, *conditions)

    def get(self, instance_id: int) -> Instance | None:
        return self.find(("id = ?", instance_id), NOT_DELETED)

    def due(self, until_ms: int) -> list[Instance]:
        """Return the instances whose next tick is not after a time, ordered by tick."""
        return self.select(("next_tick_ms <= ?", until_ms), order="next_tick_ms, id")

    def scheduled(self) -> list[Instance]:
        """Return the instances with a next tick."""
        return self.select(("next_tick_ms IS NOT NULL",))

    def earliest_tick_ms(self) -> int | None:
        query = "SELECT MIN(next_tick_ms) AS tick FROM instances WHERE next_tick_ms IS NOT NULL"
        row = self._database.row(query)
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
        """Return the plain value of each property that has one, by technical name."""
        return {
            each["technical_name"]: each["value"]["value"]
            for each in self.properties(instance_id)
            if isinstance(each.get("value"), dict) and "value" in each["value"]
        }
