"""Plugins and their versions: the first two of the platform's four levels.

Two things are called ``version_id`` on the platform: in a version it is its number for people (``1.0.0``); in a
URL, and in an instance, it is the platform's own id of that version.
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
    """The plugins an organisation can use."""
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
    """Declare a plugin; its ``group_id`` should differ from its ``artifact_id`` (vendor's page)."""
    body = {
        "organisation_id": organisation_id,
        "plugin_type": plugin_type,
        "group_id": group_id,
        "artifact_id": artifact_id,
    }
    return Call("POST", "plugins", one(Plugin), body=body)


def get_plugin(plugin_id: str) -> Call[Plugin]:
    return Call("GET", f"plugins/{checked_id('plugin_id', plugin_id)}", one(Plugin))


def list_plugin_versions(plugin_id: str, *, page_size: int = PAGE_SIZE) -> Flow[list[PluginVersion]]:
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
    """Declare a version by its number (``1.0.0``); ``provider`` and ``name`` must be among its properties."""
    body: dict[str, Any] = {
        "version_id": checked_version_number(version),
        "plugin_properties": list(plugin_properties),
    }
    body |= {"maintainer_id": maintainer_id} if maintainer_id is not None else {}
    body |= {"max_qps": max_qps} if max_qps is not None else {}
    return Call(
        "POST", f"plugins/{checked_id('plugin_id', plugin_id)}/versions", one(PluginVersion), body=body
    )


def get_plugin_version(plugin_id: str, version_id: str) -> Call[PluginVersion]:
    """One version by the platform's id of it, not by its number."""
    return Call("GET", _version_path(plugin_id, version_id), one(PluginVersion))


def list_plugin_version_properties(plugin_id: str, version_id: str) -> Flow[list[PluginProperty]]:
    path = f"{_version_path(plugin_id, version_id)}/properties"
    return whole_list(path, PluginProperty, lambda each: each.technical_name, {})


def get_plugin_of_version(version_id: str) -> Call[Plugin]:
    """The plugin that a version belongs to, by the platform's id of the version."""
    return Call("GET", f"plugins/version/{checked_id('version_id', version_id)}", one(Plugin))


def deploy_plugin_version(plugin_id: str, version_id: str, target_build_tag: str) -> Call[None]:
    """Put a container image, named by its build tag, behind a version."""
    body = {"action": "DEPLOY_PLUGIN", "args": {"target_build_tag": target_build_tag}}
    return Call("POST", f"{_version_path(plugin_id, version_id)}/containers/action", ignore_body, body=body)


def _version_path(plugin_id: str, version_id: str) -> str:
    return f"plugins/{checked_id('plugin_id', plugin_id)}/versions/{checked_id('version_id', version_id)}"
