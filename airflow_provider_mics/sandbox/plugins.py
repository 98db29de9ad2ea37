"""Plugins, their versions, and the tables of both."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mics.sandbox.database import Condition, Database, Page, Table

PUBLIC_ORGANISATIONS = ("1", "100")
"""All organisations may use the plugins of these (vendor's page on plugin creation)."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A plugin. ``extra`` holds the fields of the request that the platform does not know."""

    id: int = 0
    organisation_id: str
    plugin_type: str
    group_id: str
    artifact_id: str
    current_version_id: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a plugin. ``number`` is the one that people read (``1.0.0``), ``id`` the platform's."""

    id: int = 0
    plugin_id: int
    number: str
    status: str = "DRAFT"
    build_tag: str | None = None
    max_qps: int | None = None
    maintainer_id: str | None = None
    properties: list[dict[str, Any]]
    extra: dict[str, Any] = field(default_factory=dict)


class PluginStore:
    """The plugins and versions in the database. Reading one that does not exist returns None."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._plugins = Table(database, "plugins", Plugin)
        self._versions = Table(database, "versions", Version)

    def page(self, page: Page, organisations: list[str], filters: dict[str, str]) -> tuple[list[Plugin], int]:
        """Return a page of the plugins that these organisations may use, and their number."""
        visible = json.dumps([*organisations, *PUBLIC_ORGANISATIONS])
        conditions: list[Condition] = [("organisation_id IN (SELECT value FROM json_each(?))", visible)]
        conditions += [(f"{name} = ?", value) for name, value in filters.items()]
        return self._plugins.page(page, *conditions)

    def get(self, plugin_id: int) -> Plugin | None:
        return self._plugins.find(("id = ?", plugin_id))

    def find(self, group_id: str, artifact_id: str) -> Plugin | None:
        return self._plugins.find(("group_id = ?", group_id), ("artifact_id = ?", artifact_id))

    def create(self, plugin: Plugin) -> int:
        return self._plugins.insert(plugin)

    def page_of_versions(self, page: Page, plugin_id: int) -> tuple[list[Version], int]:
        """Return a page of a plugin's versions, and their number."""
        return self._versions.page(page, ("plugin_id = ?", plugin_id))

    def get_version(self, version_id: int) -> Version | None:
        return self._versions.find(("id = ?", version_id))

    def find_version(self, plugin_id: int, number: str) -> Version | None:
        return self._versions.find(("plugin_id = ?", plugin_id), ("number = ?", number))

    def create_version(self, version: Version) -> int:
        """Create a version, which becomes the current one of its plugin."""
        with self._database.transaction():
            version_id = self._versions.insert(version)
            self._plugins.update(version.plugin_id, current_version_id=version_id)
        return version_id

    def deploy(self, version_id: int, build_tag: str) -> None:
        self._versions.update(version_id, build_tag=build_tag, status="ACTIVE")
