"""Create a plugin and its versions once; the platform cannot change either afterwards."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_mics.api.calls import Job, Log, Now, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.models import Plugin, PluginProperty, PluginVersion
from airflow_provider_mics.api.outages import DEFAULT_SUBMISSION_TIMEOUT, retry_through_outages
from airflow_provider_mics.api.plugins import (
    create_plugin,
    create_plugin_version,
    get_plugin,
    list_plugin_version_properties,
    list_plugin_versions,
    list_plugins,
)
from airflow_provider_mics.api.validation import checked_version_number
from airflow_provider_mics.core.provisioning.comparison import (
    Difference,
    checked_text,
    checked_texts,
    differences,
    format_differences,
    is_equivalent,
)
from airflow_provider_mics.core.provisioning.find_or_create import (
    EnsureResult,
    IfExists,
    ResourceSpec,
    find_or_create,
    oldest,
)
from airflow_provider_mics.core.provisioning.properties import (
    Properties,
    plain_value,
    properties_by_name,
    property_object,
)

DEFAULT_PROVIDER = "mediarithmics"


@flow
def ensure_plugin(
    group_id: str,
    artifact_id: str,
    *,
    plugin_type: str = "INTEGRATION_BATCH",
    organisation_id: str | None = None,
    if_exists: IfExists = "update",
    is_retry: bool = False,
    submission_timeout: timedelta = DEFAULT_SUBMISSION_TIMEOUT,
) -> Steps[EnsureResult[Plugin]]:
    """Find or create the plugin of these coordinates.

    :param if_exists: ``update`` raises if the type differs, since it cannot be changed; ``skip`` accepts an existing
        plugin; ``fail`` raises if the plugin already exists
    :param submission_timeout: how long an outage of the platform is tolerated
    :raises MicsError: an argument is not valid, or ``if_exists`` does not accept the existing plugin
    """
    group_id, artifact_id = checked_texts(group_id=group_id, artifact_id=artifact_id)
    plugin_type = checked_text("plugin_type", plugin_type)
    label = f"plugin {group_id}:{artifact_id}"
    if group_id == artifact_id:
        yield Log(f"{label}: its group_id should differ from its artifact_id.", logging.WARNING)
    find = find_plugins(group_id, artifact_id, organisation_id)
    create = create_plugin(group_id, artifact_id, plugin_type=plugin_type, organisation_id=organisation_id)
    spec = ResourceSpec(label, find, create)
    result = yield from find_or_create(spec, submission_timeout, is_retry=is_retry)
    plugin = result.resource
    if result.outcome == "created":
        yield Log(f"Created {label} as {plugin.id}, of type {plugin.plugin_type}.")
        return result
    current_type = plugin.plugin_type or plugin_type
    differing = differences({"plugin_type": current_type}, {"plugin_type": plugin_type})
    advice = "the type of a plugin cannot be changed: choose another artifact_id"
    yield from _check_existing(f"{label} ({plugin.id})", if_exists, differing, advice)
    return result


@flow
def ensure_plugin_version(
    number: str,
    *,
    plugin_id: str | None = None,
    group_id: str | None = None,
    artifact_id: str | None = None,
    properties: Properties | None = None,
    provider: str = DEFAULT_PROVIDER,
    name: str | None = None,
    maintainer_id: str | None = None,
    max_qps: int | None = None,
    organisation_id: str | None = None,
    if_exists: IfExists = "update",
    is_retry: bool = False,
    submission_timeout: timedelta = DEFAULT_SUBMISSION_TIMEOUT,
) -> Steps[EnsureResult[PluginVersion]]:
    """Find the version of a plugin with this number, or create it with these properties.

    The plugin is given by its id or by its coordinates. The platform requires the properties ``provider`` and
    ``name``; ``name`` is the plugin's artifact_id by default. ``max_qps`` is a number of requests a second.

    :param if_exists: ``update`` raises if the properties differ, since a version cannot be changed; ``skip`` accepts
        an existing version; ``fail`` raises if the version already exists
    :param submission_timeout: how long an outage of the platform is tolerated
    :raises MicsError: an argument is not valid, or ``if_exists`` does not accept the existing version
    """
    number = checked_version_number(checked_text("version", number))
    provider = checked_text("provider", provider)
    name = None if name is None else checked_text("name", name)
    plugin_lookup = _plugin_lookup(plugin_id, group_id, artifact_id, organisation_id)
    give_up_at = (yield Now()) + submission_timeout
    plugin = yield from retry_through_outages(plugin_lookup, give_up_at)
    declared = version_properties(properties, provider=provider, name=name or plugin.artifact_id or plugin.id)
    wanted = _WantedVersion(plugin, number, declared, maintainer_id, max_qps)
    result = yield from find_or_create(wanted.spec, submission_timeout, is_retry=is_retry)
    yield from _check_version(result, wanted, if_exists, give_up_at)
    return result


@dataclass(frozen=True)
class _WantedVersion:
    plugin: Plugin
    number: str
    properties: list[dict[str, Any]]
    maintainer_id: str | None
    max_qps: int | None

    @property
    def label(self) -> str:
        return f"version {self.number} of plugin {self.plugin.group_id}:{self.plugin.artifact_id}"

    @property
    def spec(self) -> ResourceSpec[PluginVersion]:
        create = create_plugin_version(
            self.plugin.id,
            self.number,
            self.properties,
            maintainer_id=self.maintainer_id,
            max_qps=self.max_qps,
        )
        return ResourceSpec(self.label, find_versions(self.plugin.id, self.number), create)


def _check_version(
    result: EnsureResult[PluginVersion], wanted: _WantedVersion, if_exists: IfExists, give_up_at: datetime
) -> Steps[None]:
    """Log whether the version was created or found, and raise if ``if_exists`` does not accept the one found."""
    version = result.resource
    if result.outcome == "created":
        names = ", ".join(each["technical_name"] for each in wanted.properties)
        yield Log(f"Created {wanted.label} as {version.id}, with the properties {names}.")
        return
    differing: list[Difference] = []
    if if_exists == "update":
        differing = yield from retry_through_outages(_version_differences(version, wanted), give_up_at)
    advice = "a version cannot be changed: give it another number"
    yield from _check_existing(f"{wanted.label} ({version.id})", if_exists, differing, advice)


def _plugin_lookup(
    plugin_id: str | None, group_id: str | None, artifact_id: str | None, organisation_id: str | None
) -> Job[Plugin]:
    if plugin_id is not None:
        return get_plugin(plugin_id)
    if group_id is None and artifact_id is None:
        raise MicsError(
            "plugin_id, group_id and artifact_id are None: give plugin_id, or group_id and artifact_id"
        )
    group_id, artifact_id = checked_texts(group_id=group_id, artifact_id=artifact_id)
    return find_plugin(group_id, artifact_id, organisation_id)


def version_properties(properties: Properties | None, *, provider: str, name: str) -> list[dict[str, Any]]:
    """Return the properties to create a version with; ``provider`` and ``name`` are always among them.

    :raises MicsError: a property is not valid
    """
    given = properties_by_name(properties)
    static = {
        each: property_object(
            each, given.pop(each, default), origin="PLUGIN_STATIC", writable=False, deletable=False
        )
        for each, default in (("provider", provider), ("name", name))
    }
    own = [property_object(each, value, origin="PLUGIN") for each, value in given.items()]
    return [*own, *static.values()]


@flow
def _version_differences(version: PluginVersion, wanted: _WantedVersion) -> Steps[list[Difference]]:
    """Return how an existing version differs from the wanted one, in the fields that the platform shows."""
    existing = yield from list_plugin_version_properties(wanted.plugin.id, version.id)
    wanted_names = {each["technical_name"] for each in wanted.properties}
    additional = [each.technical_name for each in existing if each.technical_name not in wanted_names]
    if additional:
        yield Log(f"{wanted.label} has additional properties: {', '.join(additional)}.")
    shown = version.to_json()
    settings = {"maintainer_id": wanted.maintainer_id, "max_qps": wanted.max_qps}
    given = {key: value for key, value in settings.items() if value is not None and key in shown}
    return [*property_differences(existing, wanted.properties), *differences(shown, given)]


def property_differences(existing: list[PluginProperty], wanted: list[dict[str, Any]]) -> list[Difference]:
    """Return how existing properties differ from the wanted ones, in the fields that the platform shows."""
    current = {each.technical_name: each.to_json() for each in existing}
    found: list[Difference] = []
    for each in wanted:
        name = each["technical_name"]
        if name not in current:
            found.append(Difference(name, None, plain_value(each["value"])))
            continue
        shown = current[name]
        if not is_equivalent(shown.get("value"), each["value"]):
            found.append(Difference(name, plain_value(shown.get("value")), plain_value(each["value"])))
        rest = {key: value for key, value in each.items() if key != "value" and shown.get(key) is not None}
        found += [Difference(f"{name}.{one.name}", one.before, one.after) for one in differences(shown, rest)]
    return found


def _check_existing(label: str, if_exists: IfExists, differing: list[Difference], advice: str) -> Steps[None]:
    """Log that a resource already exists, or raise if ``if_exists`` does not accept it."""
    if if_exists == "fail":
        raise MicsError(f"{label} already exists, and if_exists='fail'")
    if differing and if_exists == "update":
        raise MicsError(
            f"{label} already exists with different values ({format_differences(differing)}): {advice}, "
            "or accept the existing one (if_exists='skip')"
        )
    note = "with the wanted values" if if_exists == "update" else "and is not compared (if_exists='skip')"
    yield Log(f"Found {label}; it already exists {note}.")


@flow
def find_plugins(group_id: str, artifact_id: str, organisation_id: str | None = None) -> Steps[list[Plugin]]:
    """Return the plugins of these coordinates: none or one, unless there are duplicates."""
    found = yield from list_plugins(organisation_id, group_id=group_id, artifact_id=artifact_id)
    return [each for each in found if each.group_id == group_id and each.artifact_id == artifact_id]


@flow
def find_plugin(group_id: str, artifact_id: str, organisation_id: str | None = None) -> Steps[Plugin]:
    """Return the plugin of these coordinates, the oldest of several.

    :raises MicsError: the organisation has no access to such a plugin
    """
    found = yield from find_plugins(group_id, artifact_id, organisation_id)
    if not found:
        raise MicsError(
            f"this organisation has access to no plugin {group_id}:{artifact_id}: "
            "check group_id and artifact_id, or create it first (MicsCreatePluginOperator)"
        )
    return oldest(found)


@flow
def find_versions(plugin_id: str, number: str) -> Steps[list[PluginVersion]]:
    """Return the versions of a plugin with this number: none or one, unless there are duplicates."""
    versions = yield from list_plugin_versions(plugin_id)
    return [each for each in versions if each.version_id == number]


@flow
def resolve_version(
    group_id: str, artifact_id: str, number: str, organisation_id: str | None = None
) -> Steps[PluginVersion]:
    """Return the version of a plugin with this number, such as ``1.0.0``; an instance needs the version's ``id``.

    :raises MicsError: no such plugin, or no such version; the message lists the existing numbers
    """
    checked_version_number(number)
    plugin = yield from find_plugin(group_id, artifact_id, organisation_id)
    versions = yield from list_plugin_versions(plugin.id)
    found = [each for each in versions if each.version_id == number]
    if found:
        return oldest(found)
    known = ", ".join(each.version_id or each.id for each in versions)
    raise MicsError(
        f"plugin {group_id}:{artifact_id} has no version {number}: "
        + (f"it has {known}" if known else "it has no versions yet (MicsCreatePluginVersionOperator)")
    )


@flow
def find_version_number(
    group_id: str, artifact_id: str, version_id: str, organisation_id: str | None = None
) -> Steps[str | None]:
    """Return the number of a version by its id, or None where the organisation has no access to it."""
    plugins = yield from find_plugins(group_id, artifact_id, organisation_id)
    for plugin in plugins:
        for version in (yield from list_plugin_versions(plugin.id)):
            if version.id == version_id:
                return version.version_id
    return None
