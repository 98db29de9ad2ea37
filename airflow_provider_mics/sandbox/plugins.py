"""Plugins and their versions in the database."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from airflow_provider_mics.sandbox.database import Database
from airflow_provider_mics.sandbox.pages import Window, count

EVERYBODYS_ORGANISATIONS = ("1", "100")
"""Plugins of these organisations are everybody's (vendor's page on plugin creation)."""


@dataclass(frozen=True)
class Plugin:
    id: int
    organisation_id: str
    plugin_type: str
    group_id: str
    artifact_id: str
    current_version_id: int | None
    extra: dict[str, Any]


@dataclass(frozen=True)
class Version:
    """``number`` is the human one (``1.0.0``), ``id`` the platform's."""

    id: int
    plugin_id: int
    number: str
    status: str
    build_tag: str | None
    max_qps: int | None
    maintainer_id: str | None
    properties: list[dict[str, Any]]
    extra: dict[str, Any]


class PluginStore:
    """Reads and writes plugins and versions; what does not exist is None."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def part(
        self, organisations: list[str], filters: dict[str, str], window: Window
    ) -> tuple[list[Plugin], int]:
        """A part of the plugins that these organisations see, and how many there are."""
        seen = sorted({*organisations, *EVERYBODYS_ORGANISATIONS})
        conditions: dict[str, Any] = {
            "organisation_id IN (SELECT value FROM json_each(?))": json.dumps(seen),
            **{f"{name} = ?": value for name, value in filters.items()},
        }
        query, values = window.select("plugins", conditions)
        counting, counted = count("plugins", conditions)
        rows = self._database.rows(query, *values)
        return [_plugin(row) for row in rows], self._database.number(counting, *counted)

    def get(self, plugin_id: int) -> Plugin | None:
        return _plugin_or_none(self._database.row("SELECT * FROM plugins WHERE id = ?", plugin_id))

    def find(self, group_id: str, artifact_id: str) -> Plugin | None:
        query = "SELECT * FROM plugins WHERE group_id = ? AND artifact_id = ?"
        return _plugin_or_none(self._database.row(query, group_id, artifact_id))

    def create(
        self,
        organisation_id: str,
        plugin_type: str,
        group_id: str,
        artifact_id: str,
        extra: dict[str, Any] | None = None,
    ) -> Plugin:
        values = {
            "organisation_id": organisation_id,
            "plugin_type": plugin_type,
            "group_id": group_id,
            "artifact_id": artifact_id,
            "extra": json.dumps(extra or {}),
        }
        plugin_id = self._database.insert("plugins", values)
        return Plugin(plugin_id, organisation_id, plugin_type, group_id, artifact_id, None, extra or {})

    def list_versions(self, plugin_id: int, window: Window) -> tuple[list[Version], int]:
        conditions = {"plugin_id = ?": plugin_id}
        query, values = window.select("versions", conditions)
        counting, counted = count("versions", conditions)
        rows = self._database.rows(query, *values)
        return [_version(row) for row in rows], self._database.number(counting, *counted)

    def get_version(self, version_id: int) -> Version | None:
        row = self._database.row("SELECT * FROM versions WHERE id = ?", version_id)
        return None if row is None else _version(row)

    def find_version(self, plugin_id: int, number: str) -> Version | None:
        query = "SELECT * FROM versions WHERE plugin_id = ? AND number = ?"
        row = self._database.row(query, plugin_id, number)
        return None if row is None else _version(row)

    def create_version(self, plugin_id: int, number: str, values: dict[str, Any]) -> Version:
        """Add a version, which becomes the plugin's current one; ``values`` are its other columns."""
        written = values | {
            name: json.dumps(values[name]) for name in ("properties", "extra") if name in values
        }
        with self._database.transaction():
            version_id = self._database.insert(
                "versions", {"plugin_id": plugin_id, "number": number, **written}
            )
            self._database.update("plugins", plugin_id, {"current_version_id": version_id})
        version = self.get_version(version_id)
        assert version is not None  # noqa: S101  it was written on the line above
        return version

    def deploy(self, version_id: int, build_tag: str) -> None:
        self._database.update("versions", version_id, {"build_tag": build_tag, "status": "ACTIVE"})


def _plugin(row: sqlite3.Row) -> Plugin:
    return Plugin(**{**dict(row), "extra": json.loads(row["extra"])})


def _plugin_or_none(row: sqlite3.Row | None) -> Plugin | None:
    return None if row is None else _plugin(row)


def _version(row: sqlite3.Row) -> Version:
    decoded = {name: json.loads(row[name]) for name in ("properties", "extra")}
    return Version(**{**dict(row), **decoded})
