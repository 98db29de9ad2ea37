"""/v1/plugins: plugins, their versions, the properties and containers of a version."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from airflow_provider_mics.sandbox.answers import RefusedError, one, refuse
from airflow_provider_mics.sandbox.bodies import optional_number, optional_text, required_text, unknown_fields
from airflow_provider_mics.sandbox.plugins import EVERYBODYS_ORGANISATIONS, Plugin, Version
from airflow_provider_mics.sandbox.request_context import Ask, Asked, number_of_id

router = APIRouter(prefix="/v1/plugins")

VERSION_NUMBER = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
ORIGINS = ("PLUGIN_STATIC", "PLUGIN", "INSTANCE")
PLUGIN_FIELDS = {"id", "organisation_id", "plugin_type", "group_id", "artifact_id", "current_version_id"}
VERSION_FIELDS = {
    "id", "plugin_id", "organisation_id", "plugin_type", "group_id", "artifact_id", "version_id", "build_tag",
    "status", "archived", "plugin_properties", "max_qps", "maintainer_id",
}  # fmt: skip


@router.get("")
async def list_plugins(ask: Asked) -> Response:
    named = ask.named_organisation()
    organisations = ask.caller.organisations if named is None else [ask.allowed(named)]
    window = ask.window()
    names = ("plugin_type", "group_id", "artifact_id")
    filters = {name: value for name in names if (value := ask.query(name)) is not None}
    plugins, total = ask.platform.plugins.part(
        organisations, filters if ask.quirks.list_filters else {}, window
    )
    return ask.page([plugin_json(plugin) for plugin in plugins], total, window)


@router.post("")
async def create_plugin(ask: Asked) -> Response:
    body = await ask.body()
    plugin_type = required_text(body, "plugin_type")
    group_id, artifact_id = required_text(body, "group_id"), required_text(body, "artifact_id")
    organisation_id = ask.organisation(body)
    if ask.platform.plugins.find(group_id, artifact_id) is not None:
        raise RefusedError(
            409, f"a plugin with group_id {group_id} and artifact_id {artifact_id} already exists"
        )
    plugin = ask.platform.plugins.create(
        organisation_id, plugin_type, group_id, artifact_id, unknown_fields(body, PLUGIN_FIELDS)
    )
    return one(plugin_json(plugin), ask.quirks)


@router.get("/version/{version_id}")
async def get_plugin_of_version(ask: Asked, version_id: str) -> Response:
    version = _version(ask, version_id)
    return one(plugin_json(_plugin(ask, str(version.plugin_id))), ask.quirks)


@router.get("/{plugin_id}")
async def get_plugin(ask: Asked, plugin_id: str) -> Response:
    return one(plugin_json(_plugin(ask, plugin_id)), ask.quirks)


@router.get("/{plugin_id}/versions")
async def list_versions(ask: Asked, plugin_id: str) -> Response:
    plugin = _plugin(ask, plugin_id)
    window = ask.window()
    # The vendor's own client takes the last of these for the newest one.
    order = {"newest": "oldest", "oldest": "newest"}.get(window.order, window.order)
    versions, total = ask.platform.plugins.list_versions(plugin.id, replace(window, order=order))
    return ask.page([version_json(plugin, version) for version in versions], total, window)


@router.post("/{plugin_id}/versions")
async def create_version(ask: Asked, plugin_id: str) -> Response:
    plugin = _plugin(ask, plugin_id)
    ask.allowed(plugin.organisation_id)
    body = await ask.body()
    number = required_text(body, "version_id")
    if not VERSION_NUMBER.fullmatch(number):
        raise refuse(
            f"version_id must be three numbers and an optional suffix such as 1.2.0-rc1, not {number!r}"
        )
    properties = _checked_properties(body.get("plugin_properties"))
    if ask.platform.plugins.find_version(plugin.id, number) is not None:
        raise RefusedError(409, f"version {number} of plugin {plugin.id} already exists")
    values = {
        "properties": properties,
        "max_qps": optional_number(body, "max_qps"),
        "maintainer_id": optional_text(body, "maintainer_id"),
        "extra": unknown_fields(body, VERSION_FIELDS),
    }
    version = ask.platform.plugins.create_version(plugin.id, number, values)
    return one(version_json(plugin, version), ask.quirks)


@router.get("/{plugin_id}/versions/{version_id}")
async def get_version(ask: Asked, plugin_id: str, version_id: str) -> Response:
    plugin = _plugin(ask, plugin_id)
    return one(version_json(plugin, _version(ask, version_id, plugin)), ask.quirks)


@router.get("/{plugin_id}/versions/{version_id}/properties")
async def list_version_properties(ask: Asked, plugin_id: str, version_id: str) -> Response:
    version = _version(ask, version_id, _plugin(ask, plugin_id))
    window = ask.window()
    last = None if window.max_results is None else window.first_result + window.max_results
    return ask.page(version.properties[window.first_result : last], len(version.properties), window)


@router.post("/{plugin_id}/versions/{version_id}/containers/action")
async def act_on_containers(ask: Asked, plugin_id: str, version_id: str) -> Response:
    plugin = _plugin(ask, plugin_id)
    ask.allowed(plugin.organisation_id)
    version = _version(ask, version_id, plugin)
    body = await ask.body()
    action = required_text(body, "action")
    if action != "DEPLOY_PLUGIN":
        raise refuse(f"action must be DEPLOY_PLUGIN, not {action!r}")
    args = body.get("args")
    ask.platform.plugins.deploy(
        version.id, required_text(args if isinstance(args, dict) else {}, "target_build_tag")
    )
    return one(version_json(plugin, _version(ask, version_id, plugin)), ask.quirks)


def plugin_json(plugin: Plugin) -> dict[str, Any]:
    current = plugin.current_version_id
    return {
        **plugin.extra,
        "id": str(plugin.id),
        "organisation_id": plugin.organisation_id,
        "plugin_type": plugin.plugin_type,
        "group_id": plugin.group_id,
        "artifact_id": plugin.artifact_id,
        "current_version_id": None if current is None else str(current),
    }


def version_json(plugin: Plugin, version: Version) -> dict[str, Any]:
    return {
        **version.extra,
        "id": str(version.id),
        "plugin_id": str(plugin.id),
        "organisation_id": plugin.organisation_id,
        "plugin_type": plugin.plugin_type,
        "group_id": plugin.group_id,
        "artifact_id": plugin.artifact_id,
        "version_id": version.number,
        "status": version.status,
        "build_tag": version.build_tag,
        "max_qps": version.max_qps,
        "maintainer_id": version.maintainer_id,
        "archived": False,
    }


def _plugin(ask: Ask, path_id: str) -> Plugin:
    number = number_of_id(path_id)
    plugin = None if number is None else ask.platform.plugins.get(number)
    if plugin is None:
        raise RefusedError(404, f"plugin {path_id} not found")
    if plugin.organisation_id not in EVERYBODYS_ORGANISATIONS:
        ask.allowed(plugin.organisation_id)
    return plugin


def _version(ask: Ask, path_id: str, plugin: Plugin | None = None) -> Version:
    number = number_of_id(path_id)
    version = None if number is None else ask.platform.plugins.get_version(number)
    if version is None or (plugin is not None and version.plugin_id != plugin.id):
        of_plugin = "" if plugin is None else f" of plugin {plugin.id}"
        raise RefusedError(404, f"plugin version {path_id}{of_plugin} not found")
    return version


def _checked_properties(properties: Any) -> list[dict[str, Any]]:
    if not isinstance(properties, list) or not all(isinstance(each, dict) for each in properties):
        raise refuse("plugin_properties must be a list of properties")
    names = [required_text(each, "technical_name") for each in properties]
    for each in properties:
        required_text(each, "property_type")
        if each.get("origin") not in ORIGINS:
            raise refuse(f"origin of property {each['technical_name']} must be one of {', '.join(ORIGINS)}")
    for mandatory in ("provider", "name"):
        if mandatory not in names:
            raise refuse(f"plugin_properties must hold the property {mandatory}")
    if len(names) != len(set(names)):
        raise refuse("plugin_properties holds a technical_name twice")
    return properties
