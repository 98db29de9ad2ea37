"""Plugins and their versions: the first two of the platform's four levels.

The platform calls two things ``version_id``: in a version, its number (``1.0.0``); in a URL and in an instance, the
platform's own id of that version.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_mics.api.calls import Call, Flow
from airflow_provider_mics.api.models import Plugin, PluginProperty, PluginVersion
from airflow_provider_mics.api.paging import PAGE_SIZE, whole_list
from airflow_provider_mics.api.responses import ignore_body, one
from airflow_provider_mics.api.validation import checked_id, checked_version_number


def list_plugins(
    organisation_id: str | None = None,
    *,
    plugin_type: str | None = None,
    group_id: str | None = None,
    artifact_id: str | None = None,
    page_size: int = PAGE_SIZE,
) -> Flow[list[Plugin]]:
    """List the plugins that an organisation can use.

    Source: ``PluginService.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx

    :param organisation_id: None means the client's own organisation
    :param plugin_type: only plugins of this type, such as ``INTEGRATION_BATCH``; None means all
    :param group_id: only plugins of this group; None means all
    :param artifact_id: only plugins with this name in their group; None means all
    :param page_size: plugins in each request
    :raises MicsApiError: when run: the platform refuses the request
    :raises MicsResponseError: when run: the list does not end
    """
    query = {
        "organisation_id": organisation_id,
        "plugin_type": plugin_type,
        "group_id": group_id,
        "artifact_id": artifact_id,
    }
    return whole_list("plugins", Plugin, lambda plugin: plugin.id, query, page_size=page_size)


def create_plugin(
    group_id: str,
    artifact_id: str,
    *,
    plugin_type: str = "INTEGRATION_BATCH",
    organisation_id: str | None = None,
) -> Call[Plugin]:
    """Create a plugin.

    Source: https://developer.mediarithmics.io/data-ingestion/bulk-processing/integration-batch

    :param group_id: such as ``com.mycustomer.batches``
    :param artifact_id: its name in the group; it should differ from the group
    :param plugin_type: the platform's name of the type
    :param organisation_id: None means the client's own organisation
    :raises MicsApiError: when run: the platform refuses the request, for example since the plugin already exists
    """
    body = {
        "organisation_id": organisation_id,
        "plugin_type": plugin_type,
        "group_id": group_id,
        "artifact_id": artifact_id,
    }
    return Call("POST", "plugins", one(Plugin), body=body)


def get_plugin(plugin_id: str) -> Call[Plugin]:
    """Get a plugin.

    Source: https://developer.mediarithmics.io/advanced-usages/plugins/deployment

    :param plugin_id: the platform's id of the plugin
    :raises MicsError: the id is invalid
    :raises MicsNotFoundError: when run: there is no such plugin
    """
    path = f"plugins/{checked_id('plugin_id', plugin_id)}"
    return Call("GET", path, one(Plugin, has_id=str(plugin_id)))


def list_plugin_versions(plugin_id: str, *, page_size: int = PAGE_SIZE) -> Flow[list[PluginVersion]]:
    """List the versions of a plugin.

    Source: ``PluginService.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx

    :param plugin_id: the platform's id of the plugin
    :param page_size: versions in each request
    :raises MicsError: the id is invalid
    :raises MicsNotFoundError: when run: there is no such plugin
    """
    path = f"plugins/{checked_id('plugin_id', plugin_id)}/versions"
    return whole_list(path, PluginVersion, lambda version: version.id, {}, page_size=page_size)


def create_plugin_version(
    plugin_id: str,
    version: str,
    plugin_properties: Sequence[dict[str, Any]],
    *,
    maintainer_id: str | None = None,
    max_qps: int | None = None,
) -> Call[PluginVersion]:
    """Create a version of a plugin.

    Sources: https://developer.mediarithmics.io/data-ingestion/bulk-processing/integration-batch, and for
    ``maintainer_id`` and ``max_qps`` ``PluginService.ts`` of the vendor's web client,
    https://github.com/mnguyen-mics/mcu-nx

    :param plugin_id: the platform's id of the plugin
    :param version: its number: three numbers and an optional suffix, ``1.0.0`` or ``1.2.0-rc1``
    :param plugin_properties: whole properties, as JSON; ``provider`` and ``name`` must be among them
    :param maintainer_id: the user who maintains it; None does not send it
    :param max_qps: the most queries in a second; None does not send it
    :raises MicsError: the id or the number is invalid
    :raises MicsApiError: when run: the platform refuses the request, for example since the version already exists
    """
    body: dict[str, Any] = {
        "version_id": checked_version_number(version),
        "plugin_properties": list(plugin_properties),
    }
    body |= {"maintainer_id": maintainer_id} if maintainer_id is not None else {}
    body |= {"max_qps": max_qps} if max_qps is not None else {}
    path = f"plugins/{checked_id('plugin_id', plugin_id)}/versions"
    return Call("POST", path, one(PluginVersion), body=body)


def get_plugin_version(plugin_id: str, version_id: str) -> Call[PluginVersion]:
    """Get a version of a plugin.

    Source: ``PluginService.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx

    :param plugin_id: the platform's id of the plugin
    :param version_id: the platform's id of the version, not its number
    :raises MicsError: an id is invalid
    :raises MicsNotFoundError: when run: there is no such version
    """
    read = one(PluginVersion, has_id=str(version_id))
    return Call("GET", _version_path(plugin_id, version_id), read)


def list_plugin_version_properties(plugin_id: str, version_id: str) -> Flow[list[PluginProperty]]:
    """List the properties of a version.

    Source: ``PluginService.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx

    :param plugin_id: the platform's id of the plugin
    :param version_id: the platform's id of the version, not its number
    :raises MicsError: an id is invalid
    :raises MicsNotFoundError: when run: there is no such version
    """
    path = f"{_version_path(plugin_id, version_id)}/properties"
    # Properties are written back whole, so their texts are kept as they came.
    return whole_list(path, PluginProperty, lambda each: each.technical_name, {}, is_cleaned=False)


def get_plugin_of_version(version_id: str) -> Call[Plugin]:
    """Get the plugin that a version belongs to.

    Source: ``PluginService.ts`` (``findPluginFromVersionId``) of the vendor's web client,
    https://github.com/mnguyen-mics/mcu-nx

    :param version_id: the platform's id of the version, not its number
    :raises MicsError: the id is invalid
    :raises MicsNotFoundError: when run: there is no such version
    """
    return Call("GET", f"plugins/version/{checked_id('version_id', version_id)}", one(Plugin))


def deploy_plugin_version(plugin_id: str, version_id: str, target_build_tag: str) -> Call[None]:
    """Deploy a container image for a version.

    Source: ``Plugins.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx

    :param plugin_id: the platform's id of the plugin
    :param version_id: the platform's id of the version, not its number
    :param target_build_tag: the build tag of the image
    :raises MicsError: an id is invalid
    :raises MicsApiError: when run: the platform refuses the request
    """
    body = {"action": "DEPLOY_PLUGIN", "args": {"target_build_tag": target_build_tag}}
    return Call("POST", f"{_version_path(plugin_id, version_id)}/containers/action", ignore_body, body=body)


def _version_path(plugin_id: str, version_id: str) -> str:
    return f"plugins/{checked_id('plugin_id', plugin_id)}/versions/{checked_id('version_id', version_id)}"
