"""The routes of plugins and their versions, and of the connected user."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from airflow_provider_mics.sandbox.answers import ApiError, bad_request, resource_response
from airflow_provider_mics.sandbox.plugins import PUBLIC_ORGANISATIONS, Plugin, Version
from airflow_provider_mics.sandbox.request_context import (
    Context,
    RequestContext,
    number_of_id,
    optional_integer,
    optional_text,
    required_text,
    unknown_fields,
)

router = APIRouter(prefix="/v1")

VERSION_NUMBER = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
ORIGINS = ("PLUGIN_STATIC", "PLUGIN", "INSTANCE")
ORGANISATION_NAMES = {"1185": "Acme Retail"}


def plugin_json(plugin: Plugin) -> dict[str, Any]:
    """Serialise a plugin as the platform does."""
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
    """Serialise a version of a plugin as the platform does."""
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


_ANY_PLUGIN = Plugin(organisation_id="", plugin_type="", group_id="", artifact_id="")
PLUGIN_FIELDS = frozenset(plugin_json(_ANY_PLUGIN))
VERSION_FIELDS = {
    *version_json(_ANY_PLUGIN, Version(plugin_id=0, number="", properties=[])),
    "plugin_properties",
}
"""The fields that the platform knows. It stores the others of a body and returns them as they came."""


@router.get("/plugins")
async def list_plugins(context: Context) -> Response:
    organisation_id = context.optional_organisation()
    organisations = (
        context.caller.organisations if organisation_id is None else [context.check_access(organisation_id)]
    )
    names = ("plugin_type", "group_id", "artifact_id")
    filters = {name: value for name in names if (value := context.query(name)) is not None}
    page = context.page()
    plugins, total = context.platform.plugins.page(
        page, organisations, filters if context.quirks.list_filters else {}
    )
    return context.list_response([plugin_json(plugin) for plugin in plugins], total, page)


@router.post("/plugins")
async def create_plugin(context: Context) -> Response:
    body = await context.body()
    plugin = Plugin(
        plugin_type=required_text(body, "plugin_type"),
        group_id=required_text(body, "group_id"),
        artifact_id=required_text(body, "artifact_id"),
        organisation_id=context.organisation(body),
        extra=unknown_fields(body, PLUGIN_FIELDS),
    )
    if context.platform.plugins.find(plugin.group_id, plugin.artifact_id) is not None:
        raise ApiError(
            409,
            f"a plugin with group_id {plugin.group_id} and artifact_id {plugin.artifact_id} already exists",
        )
    plugin_id = context.platform.plugins.create(plugin)
    return resource_response(plugin_json(replace(plugin, id=plugin_id)), context.quirks)


@router.get("/plugins/version/{version_id}")
async def get_plugin_of_version(context: Context, version_id: str) -> Response:
    version = _version(context, version_id)
    return resource_response(plugin_json(_plugin(context, str(version.plugin_id))), context.quirks)


@router.get("/plugins/{plugin_id}")
async def get_plugin(context: Context, plugin_id: str) -> Response:
    return resource_response(plugin_json(_plugin(context, plugin_id)), context.quirks)


@router.get("/plugins/{plugin_id}/versions")
async def list_versions(context: Context, plugin_id: str) -> Response:
    plugin = _plugin(context, plugin_id)
    page = context.page()
    # The vendor's own client takes the last of these for the newest one.
    order = {"newest": "oldest", "oldest": "newest"}.get(page.order, page.order)
    versions, total = context.platform.plugins.page_of_versions(replace(page, order=order), plugin.id)
    return context.list_response([version_json(plugin, version) for version in versions], total, page)


@router.post("/plugins/{plugin_id}/versions")
async def create_version(context: Context, plugin_id: str) -> Response:
    plugin = _plugin(context, plugin_id)
    context.check_access(plugin.organisation_id)
    body = await context.body()
    number = required_text(body, "version_id")
    if not VERSION_NUMBER.fullmatch(number):
        raise bad_request(
            f"version_id must be three numbers and an optional suffix such as 1.2.0-rc1, not {number!r}"
        )
    properties = _checked_properties(body.get("plugin_properties"))
    if context.platform.plugins.find_version(plugin.id, number) is not None:
        raise ApiError(409, f"version {number} of plugin {plugin.id} already exists")
    version = Version(
        plugin_id=plugin.id,
        number=number,
        properties=properties,
        max_qps=optional_integer(body, "max_qps"),
        maintainer_id=optional_text(body, "maintainer_id"),
        extra=unknown_fields(body, VERSION_FIELDS),
    )
    version_id = context.platform.plugins.create_version(version)
    return resource_response(version_json(plugin, replace(version, id=version_id)), context.quirks)


@router.get("/plugins/{plugin_id}/versions/{version_id}")
async def get_version(context: Context, plugin_id: str, version_id: str) -> Response:
    plugin = _plugin(context, plugin_id)
    return resource_response(version_json(plugin, _version(context, version_id, plugin)), context.quirks)


@router.get("/plugins/{plugin_id}/versions/{version_id}/properties")
async def list_version_properties(context: Context, plugin_id: str, version_id: str) -> Response:
    version = _version(context, version_id, _plugin(context, plugin_id))
    return context.slice_response(version.properties)


@router.post("/plugins/{plugin_id}/versions/{version_id}/containers/action")
async def act_on_containers(context: Context, plugin_id: str, version_id: str) -> Response:
    plugin = _plugin(context, plugin_id)
    context.check_access(plugin.organisation_id)
    version = _version(context, version_id, plugin)
    body = await context.body()
    action = required_text(body, "action")
    if action != "DEPLOY_PLUGIN":
        raise bad_request(f"action must be DEPLOY_PLUGIN, not {action!r}")
    args = body.get("args")
    build_tag = required_text(args if isinstance(args, dict) else {}, "target_build_tag")
    context.platform.plugins.deploy(version.id, build_tag)
    return resource_response(version_json(plugin, _version(context, version_id, plugin)), context.quirks)


@router.get("/connected_user")
async def get_connected_user(context: Context) -> Response:
    context.require_route(context.quirks.connected_user)
    user = {
        "id": context.caller.user_id,
        "email": f"airflow+{context.caller.user_id}@example.com",
        "first_name": "Airflow",
        "last_name": "Service Account",
        "locale": "en-US",
        "workspaces": [_workspace(organisation_id) for organisation_id in context.caller.organisations],
    }
    return resource_response(user, context.quirks)


def _workspace(organisation_id: str) -> dict[str, str]:
    return {
        "organisation_id": organisation_id,
        "organisation_name": ORGANISATION_NAMES.get(organisation_id, f"Organisation {organisation_id}"),
        "role": "ORGANISATION_ADMIN",
    }


def _plugin(context: RequestContext, path_id: str) -> Plugin:
    number = number_of_id(path_id)
    plugin = None if number is None else context.platform.plugins.get(number)
    if plugin is None:
        raise ApiError(404, f"plugin {path_id} not found")
    if plugin.organisation_id not in PUBLIC_ORGANISATIONS:
        context.check_access(plugin.organisation_id)
    return plugin


def _version(context: RequestContext, path_id: str, plugin: Plugin | None = None) -> Version:
    number = number_of_id(path_id)
    version = None if number is None else context.platform.plugins.get_version(number)
    if version is None or (plugin is not None and version.plugin_id != plugin.id):
        of_plugin = "" if plugin is None else f" of plugin {plugin.id}"
        raise ApiError(404, f"plugin version {path_id}{of_plugin} not found")
    return version


def _checked_properties(properties: Any) -> list[dict[str, Any]]:
    if not isinstance(properties, list) or not all(isinstance(each, dict) for each in properties):
        raise bad_request("plugin_properties must be a list of properties")
    names = [required_text(each, "technical_name") for each in properties]
    for each in properties:
        required_text(each, "property_type")
        if each.get("origin") not in ORIGINS:
            raise bad_request(
                f"origin of property {each['technical_name']} must be one of {', '.join(ORIGINS)}"
            )
    for mandatory in ("provider", "name"):
        if mandatory not in names:
            raise bad_request(f"plugin_properties must hold the property {mandatory}")
    if len(names) != len(set(names)):
        raise bad_request("plugin_properties holds a technical_name twice")
    return properties
