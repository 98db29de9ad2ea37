"""From the names that people use, ``com.acme.batches:crm-import`` and ``1.0.0``, to the platform's ids."""

from __future__ import annotations

from airflow_provider_mics.api.calls import Steps, flow
from airflow_provider_mics.api.checks import checked_version_number
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.models import Plugin, PluginVersion
from airflow_provider_mics.api.plugins import list_plugin_versions, list_plugins
from airflow_provider_mics.provisioning.creation import oldest


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
