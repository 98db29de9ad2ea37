"""A plugin and its versions, created once."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow_provider_mics.api.calls import Job, Log, Now, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.models import Plugin, PluginProperty, PluginVersion
from airflow_provider_mics.api.outages import retry_through_outages
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
    alike,
    checked_text,
    differences,
    told,
)
from airflow_provider_mics.core.provisioning.find_or_create import (
    PATIENCE,
    EnsureResult,
    IfExists,
    ResourceSpec,
    find_or_create,
    oldest,
)
from airflow_provider_mics.core.provisioning.properties import (
    Properties,
    by_name,
    plain_value,
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
    patience: timedelta = PATIENCE,
) -> Steps[EnsureResult[Plugin]]:
    """The plugin of these coordinates, found or created.

    :raises MicsError: a name cannot be; or it exists and must not (``fail``), or with another type, which cannot be
        changed (``update``)
    """
    group_id, artifact_id = checked_text("group_id", group_id), checked_text("artifact_id", artifact_id)
    plugin_type = checked_text("plugin_type", plugin_type)
    name = f"plugin {group_id}:{artifact_id}"
    if group_id == artifact_id:
        yield Log(f"{name}: its group_id should differ from its artifact_id.", logging.WARNING)
    provision = yield from find_or_create(
        ResourceSpec(
            name,
            look=find_plugins(group_id, artifact_id, organisation_id),
            create=create_plugin(
                group_id, artifact_id, plugin_type=plugin_type, organisation_id=organisation_id
            ),
        ),
        patience,
        is_retry=is_retry,
    )
    plugin = provision.resource
    if provision.how == "created":
        yield Log(f"Created {name} as {plugin.id}, of type {plugin.plugin_type}.")
        return provision
    shown_type = plugin.plugin_type or plugin_type
    differing = differences({"plugin_type": shown_type}, {"plugin_type": plugin_type})
    yield from _judge_found(
        f"{name} ({plugin.id})",
        if_exists,
        differing,
        "the type of a plugin cannot be changed: choose another artifact_id, or take it as it is (if_exists='skip')",
    )
    return provision


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
    patience: timedelta = PATIENCE,
) -> Steps[EnsureResult[PluginVersion]]:
    """The version of a plugin with this number, found or created with these properties.

    The plugin is given by its id or by its coordinates. ``provider`` and ``name``, which the platform demands, are
    always among the properties; ``name`` is the plugin's artifact_id where none is given.

    :raises MicsError: the number or a property cannot be; or the version exists and must not (``fail``), or with
        other properties, which cannot be changed (``update``)
    """
    number = checked_version_number(checked_text("version", number))
    provider = checked_text("provider", provider)
    name = None if name is None else checked_text("name", name)
    finding = _the_plugin(plugin_id, group_id, artifact_id, organisation_id)
    give_up = (yield Now()) + patience
    plugin = yield from retry_through_outages(finding, give_up)
    wanted = version_properties(properties, provider=provider, name=name or plugin.artifact_id or plugin.id)
    label = f"version {number} of plugin {plugin.group_id}:{plugin.artifact_id}"
    recipe = ResourceSpec(
        label,
        look=find_versions(plugin.id, number),
        create=create_plugin_version(plugin.id, number, wanted, maintainer_id=maintainer_id, max_qps=max_qps),
    )
    provision = yield from find_or_create(recipe, patience, is_retry=is_retry)
    version = provision.resource
    if provision.how == "created":
        names = ", ".join(each["technical_name"] for each in wanted)
        yield Log(f"Created {label} as {version.id}, with the properties {names}.")
        return provision
    differing: list[Difference] = []
    if if_exists == "update":
        existing = yield from retry_through_outages(
            list_plugin_version_properties(plugin.id, version.id), give_up
        )
        yield from _tell_further(label, existing, wanted)
        differing = property_differences(existing, wanted)
        shown = version.to_json()
        settings = {"maintainer_id": maintainer_id, "max_qps": max_qps}
        differing += differences(
            shown, {key: value for key, value in settings.items() if value is not None and key in shown}
        )
    yield from _judge_found(
        f"{label} ({version.id})",
        if_exists,
        differing,
        "a version cannot be changed: give it another number, or take it as it is (if_exists='skip')",
    )
    return provision


def _the_plugin(
    plugin_id: str | None, group_id: str | None, artifact_id: str | None, organisation_id: str | None
) -> Job[Plugin]:
    if plugin_id is not None:
        return get_plugin(plugin_id)
    if group_id is None and artifact_id is None:
        raise MicsError("plugin_id is None, and so are group_id and artifact_id: give the one or the others")
    return the_plugin(
        checked_text("group_id", group_id), checked_text("artifact_id", artifact_id), organisation_id
    )


def version_properties(properties: Properties | None, *, provider: str, name: str) -> list[dict[str, Any]]:
    """The properties that a version is declared with; ``provider`` and ``name`` are always among them."""
    given = by_name(properties)
    static = {
        each: property_object(
            each, given.pop(each, default), origin="PLUGIN_STATIC", writable=False, deletable=False
        )
        for each, default in (("provider", provider), ("name", name))
    }
    own = [property_object(each, value, origin="PLUGIN") for each, value in given.items()]
    return [*own, *static.values()]


def property_differences(existing: list[PluginProperty], wanted: list[dict[str, Any]]) -> list[Difference]:
    """How existing properties differ from the wanted ones, where the platform shows the field at all."""
    current = {each.technical_name: each.to_json() for each in existing}
    found: list[Difference] = []
    for each in wanted:
        name = each["technical_name"]
        if name not in current:
            found.append(Difference(name, None, plain_value(each["value"])))
            continue
        shown = current[name]
        if not alike(shown.get("value"), each["value"]):
            found.append(Difference(name, plain_value(shown.get("value")), plain_value(each["value"])))
        rest = {key: value for key, value in each.items() if key != "value" and shown.get(key) is not None}
        found += [Difference(f"{name}.{one.name}", one.before, one.after) for one in differences(shown, rest)]
    return found


def _tell_further(label: str, existing: list[PluginProperty], wanted: list[dict[str, Any]]) -> Steps[None]:
    names = {each["technical_name"] for each in wanted}
    further = [each.technical_name for each in existing if each.technical_name not in names]
    if further:
        yield Log(f"{label} has further properties: {', '.join(further)}.")


def _judge_found(
    label: str, if_exists: IfExists, differing: list[Difference], what_to_do: str
) -> Steps[None]:
    """Go on with what exists, or refuse it."""
    if if_exists == "fail":
        raise MicsError(f"{label} exists already, and if_exists='fail' was asked for")
    if differing and if_exists == "update":
        raise MicsError(f"{label} exists and is otherwise ({told(differing)}): {what_to_do}")
    as_wanted = " and is as wanted" if if_exists == "update" else ", and is taken as it is"
    yield Log(f"Found {label}; it exists already{as_wanted}.")


@flow
def find_plugins(group_id: str, artifact_id: str, organisation_id: str | None = None) -> Steps[list[Plugin]]:
    """The plugins of these coordinates; one at most, unless something went wrong on the platform."""
    found = yield from list_plugins(organisation_id, group_id=group_id, artifact_id=artifact_id)
    return [each for each in found if each.group_id == group_id and each.artifact_id == artifact_id]


@flow
def the_plugin(group_id: str, artifact_id: str, organisation_id: str | None = None) -> Steps[Plugin]:
    """The plugin of these coordinates.

    :raises MicsError: there is none that the organisation can use
    """
    found = yield from find_plugins(group_id, artifact_id, organisation_id)
    if not found:
        raise MicsError(
            f"there is no plugin {group_id}:{artifact_id} that this organisation can use: "
            "check group_id and artifact_id, or create it first (MicsCreatePluginOperator)"
        )
    return oldest(found)


@flow
def find_versions(plugin_id: str, number: str) -> Steps[list[PluginVersion]]:
    """The versions of a plugin with this number; one at most, unless something went wrong."""
    versions = yield from list_plugin_versions(plugin_id)
    return [each for each in versions if each.version_id == number]


@flow
def resolve_version(
    group_id: str, artifact_id: str, number: str, organisation_id: str | None = None
) -> Steps[PluginVersion]:
    """The version of a plugin by its number for people; its ``id`` is what an instance needs.

    :raises MicsError: no such plugin, or no such version; the line lists the numbers that there are
    """
    checked_version_number(number)
    plugin = yield from the_plugin(group_id, artifact_id, organisation_id)
    versions = yield from list_plugin_versions(plugin.id)
    found = [each for each in versions if each.version_id == number]
    if found:
        return oldest(found)
    known = ", ".join(each.version_id or each.id for each in versions)
    raise MicsError(
        f"plugin {group_id}:{artifact_id} has no version {number}: "
        + (f"it has {known}" if known else "it has none yet (MicsCreatePluginVersionOperator makes one)")
    )


@flow
def number_of(
    group_id: str, artifact_id: str, version_id: str, organisation_id: str | None = None
) -> Steps[str | None]:
    """The number for people of a version by its id, or None where the organisation cannot see it."""
    plugins = yield from find_plugins(group_id, artifact_id, organisation_id)
    for plugin in plugins:
        for version in (yield from list_plugin_versions(plugin.id)):
            if version.id == version_id:
                return version.version_id
    return None
