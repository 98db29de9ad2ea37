"""Instances between JSON and rows: what a body may say, and how an instance is shown."""

from __future__ import annotations

from typing import Any

from airflow_provider_mics.sandbox.answers import refuse
from airflow_provider_mics.sandbox.bodies import choice, flag, optional_text, required_text, unknown_fields
from airflow_provider_mics.sandbox.crons import cron_problem
from airflow_provider_mics.sandbox.instances import SIZES, Instance
from airflow_provider_mics.sandbox.plugins import EVERYBODYS_ORGANISATIONS, Plugin, Version
from airflow_provider_mics.sandbox.request_context import number_of_id
from airflow_provider_mics.sandbox.state import LocalPlatform

CONSOLE_PREFIX = "execution_container_"
SIZE_WORDS = ("LOW", "MEDIUM", "LARGE", "EXTRA_LARGE", "XL")
FIELDS = {
    "id", "organisation_id", "group_id", "artifact_id", "version_id", "version_value", "name", "archived", "cron",
    "cron_status", "creation_ts", "created_by", "last_modified_ts", "last_modified_by",
}  # fmt: skip


class InstanceDocuments:
    """Reads and shows instances as one platform, with its quirks, does."""

    def __init__(self, platform: LocalPlatform) -> None:
        self._platform = platform
        self._plugins: dict[int, Plugin | None] = {}
        self._versions: dict[int, Version | None] = {}

    def json(self, instance: Instance) -> dict[str, Any]:
        """An instance as the platform answers it."""
        plugin, version = self._plugin(instance.plugin_id), self._version(instance.version_id)
        return {
            **instance.extra,
            "id": str(instance.id),
            "organisation_id": instance.organisation_id,
            "name": instance.name,
            "group_id": plugin and plugin.group_id,
            "artifact_id": plugin and plugin.artifact_id,
            "version_id": str(instance.version_id),
            "version_value": version and version.number,
            "archived": instance.archived,
            "cron": instance.cron,
            "cron_status": instance.cron_status,
            **self._sizes_json(instance),
            "creation_ts": instance.creation_ts,
            "created_by": instance.created_by,
            "last_modified_ts": instance.last_modified_ts,
            "last_modified_by": instance.last_modified_by,
        }

    def values_of_new(
        self, body: dict[str, Any], organisation_id: str, organisations: list[str]
    ) -> dict[str, Any]:
        """The columns of an instance to be created."""
        plugin = self._named_plugin(body, organisations)
        version = self._named_version(body, plugin)
        return {
            "organisation_id": organisation_id,
            "plugin_id": plugin.id,
            "version_id": version.id,
            "archived": flag(body, "archived", default=False),
            **self._changeable(body),
        }

    def values_of_changed(self, instance: Instance, body: dict[str, Any]) -> dict[str, Any]:
        """The columns that a PUT changes: it states the whole, or what is to change, as the quirk says."""
        plugin = self._plugin(instance.plugin_id)
        if self._platform.quirks.put_semantics == "merge":
            shown = self.json(instance)
            shown = {name: value for name, value in shown.items() if _size_of(name) not in _sizes_in(body)}
            body = {**shown, **body}
        for name in ("group_id", "artifact_id"):
            if plugin is not None and (optional_text(body, name) or getattr(plugin, name)) != getattr(
                plugin, name
            ):
                raise refuse(f"{name} of an instance cannot be changed")
        values = self._changeable(body) | {"archived": flag(body, "archived", default=False)}
        if plugin is not None and body.get("version_id") is not None:
            values["version_id"] = self._named_version(body, plugin).id
        return values

    def copy_properties(self, instance_id: int, version_id: int) -> None:
        """Give a new instance its copies of the version's PLUGIN properties."""
        version = self._version(version_id)
        for document in version.properties if version else []:
            if document["origin"] == "PLUGIN":
                self._platform.instances.put_property(instance_id, document)

    def _changeable(self, body: dict[str, Any]) -> dict[str, Any]:
        cron, cron_status = self._checked_cron(body)
        sizes = {name: self._size(body, name) for name in SIZES}
        known = FIELDS | {key for name in SIZES for key in self._keys_read(name)}
        extra = unknown_fields(body, known)
        return {
            "name": required_text(body, "name"),
            "cron": cron,
            "cron_status": cron_status,
            **sizes,
            "extra": extra,
        }

    def _checked_cron(self, body: dict[str, Any]) -> tuple[str | None, str | None]:
        cron = optional_text(body, "cron")
        cron_status = choice(body, "cron_status", ("ACTIVE", "PAUSED"))
        if (cron is None) != (cron_status is None):
            raise refuse("cron and cron_status must be used together: give both or neither")
        problem = cron_problem(cron) if cron is not None and self._platform.quirks.cron_validation else None
        if problem is not None:
            raise refuse(f"cron {problem}, not {cron!r}")
        return cron, cron_status

    def _keys_read(self, name: str) -> list[str]:
        accepted = self._platform.quirks.sizes_accepted
        keys = {"documented": [name], "console": [CONSOLE_PREFIX + name]}
        return keys.get(accepted, [name, CONSOLE_PREFIX + name])

    def _size(self, body: dict[str, Any], name: str) -> str:
        for key in self._keys_read(name):
            size = choice(body, key, SIZE_WORDS)
            if size is not None:
                return "EXTRA_LARGE" if size == "XL" else size
        return "LOW"

    def _sizes_json(self, instance: Instance) -> dict[str, str]:
        sizes: dict[str, str] = {name: getattr(instance, name) for name in SIZES}
        console = {
            CONSOLE_PREFIX + name: "XL" if size == "EXTRA_LARGE" else size for name, size in sizes.items()
        }
        shown = self._platform.quirks.sizes_in_answers
        return {"documented": sizes, "console": console}.get(shown, {**sizes, **console})

    def _named_plugin(self, body: dict[str, Any], organisations: list[str]) -> Plugin:
        group_id, artifact_id = required_text(body, "group_id"), required_text(body, "artifact_id")
        plugin = self._platform.plugins.find(group_id, artifact_id)
        seen = {*organisations, *EVERYBODYS_ORGANISATIONS}
        if plugin is None or plugin.organisation_id not in seen:
            raise refuse(f"there is no plugin with group_id {group_id} and artifact_id {artifact_id}")
        if plugin.plugin_type != "INTEGRATION_BATCH":
            raise refuse(f"plugin {plugin.id} is of type {plugin.plugin_type}, not INTEGRATION_BATCH")
        return plugin

    def _named_version(self, body: dict[str, Any], plugin: Plugin) -> Version:
        given = optional_text(body, "version_id")
        number = plugin.current_version_id if given is None else number_of_id(given)
        version = None if number is None else self._version(number)
        if given is None and version is None:
            raise refuse(f"plugin {plugin.id} has no version yet")
        if version is None or version.plugin_id != plugin.id:
            raise refuse(
                f"version_id must be the platform's id of a version of plugin {plugin.id}, not {given!r}"
            )
        return version

    def _plugin(self, plugin_id: int) -> Plugin | None:
        if plugin_id not in self._plugins:
            self._plugins[plugin_id] = self._platform.plugins.get(plugin_id)
        return self._plugins[plugin_id]

    def _version(self, version_id: int) -> Version | None:
        if version_id not in self._versions:
            self._versions[version_id] = self._platform.plugins.get_version(version_id)
        return self._versions[version_id]


def _size_of(key: str) -> str:
    return key.removeprefix(CONSOLE_PREFIX)


def _sizes_in(body: dict[str, Any]) -> set[str]:
    return {_size_of(key) for key in body if _size_of(key) in SIZES}
