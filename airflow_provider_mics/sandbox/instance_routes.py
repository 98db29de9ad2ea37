"""The routes of instances and their properties."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from airflow_provider_mics.sandbox.answers import bad_request, deleted_response, resource_response
from airflow_provider_mics.sandbox.database import Condition
from airflow_provider_mics.sandbox.instances import SIZE_NAMES, Instance
from airflow_provider_mics.sandbox.plugins import PUBLIC_ORGANISATIONS, Plugin, Version
from airflow_provider_mics.sandbox.quirks import Quirks
from airflow_provider_mics.sandbox.request_context import (
    Context,
    RequestContext,
    number_of_id,
    optional_boolean,
    optional_choice,
    optional_text,
    required_text,
    unknown_fields,
)
from airflow_provider_mics.sandbox.scheduler import cron_problem
from airflow_provider_mics.sandbox.state import PlatformState

router = APIRouter(prefix="/v1/integration_batch_instances")

SELECTOR = "technical_name="
CONSOLE_PREFIX = "execution_container_"
SIZES = ("LOW", "MEDIUM", "LARGE", "EXTRA_LARGE", "XL")
DEFAULT_PROPERTY = {"property_type": "STRING", "origin": "INSTANCE", "writable": True, "deletable": True}


def instance_json(
    instance: Instance, plugin: Plugin | None, version: Version | None, quirks: Quirks
) -> dict[str, Any]:
    """Serialise an instance as the platform does."""
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
        **_sizes_json(instance, quirks),
        "creation_ts": instance.creation_ts,
        "created_by": instance.created_by,
        "last_modified_ts": instance.last_modified_ts,
        "last_modified_by": instance.last_modified_by,
    }


def _sizes_json(instance: Instance, quirks: Quirks) -> dict[str, str]:
    sizes = {name: instance.sizes[name] for name in SIZE_NAMES}
    console = {CONSOLE_PREFIX + name: "XL" if size == "EXTRA_LARGE" else size for name, size in sizes.items()}
    return {"documented": sizes, "console": console}.get(quirks.sizes_in_answers, {**sizes, **console})


_ANY_INSTANCE = Instance(
    organisation_id="", plugin_id=0, version_id=0, name="", creation_ts=0, last_modified_ts=0
)
INSTANCE_FIELDS = instance_json(_ANY_INSTANCE, None, None, Quirks()).keys() - {*SIZE_NAMES}
"""The fields that the platform knows, beside the sizes. Other fields of a body are stored and returned unchanged."""


class InstanceSerialiser:
    """Reads instances from request bodies and writes them into answers, as the platform with its quirks does.

    It serves one request, and reads each plugin and version once.
    """

    def __init__(self, platform: PlatformState) -> None:
        self._platform = platform
        self._plugins: dict[int, Plugin | None] = {}
        self._versions: dict[int, Version | None] = {}

    def to_json(self, instance: Instance) -> dict[str, Any]:
        plugin, version = self._plugin(instance.plugin_id), self._version(instance.version_id)
        return instance_json(instance, plugin, version, self._platform.quirks)

    def new_instance(self, body: dict[str, Any], organisation_id: str, context: RequestContext) -> Instance:
        """Return the instance that a POST creates."""
        plugin = self._named_plugin(body, context.caller.organisations)
        version = self._named_version(body, plugin)
        now_ms = self._platform.now_ms
        return Instance(
            organisation_id=organisation_id,
            plugin_id=plugin.id,
            version_id=version.id,
            creation_ts=now_ms,
            created_by=context.caller.user_id,
            last_modified_ts=now_ms,
            last_modified_by=context.caller.user_id,
            **self._changeable_fields(body),
        )

    def changed_fields(self, instance: Instance, body: dict[str, Any]) -> dict[str, Any]:
        """Return the fields that a PUT changes: the quirk says whether missing ones are reset or kept."""
        plugin = self._plugin(instance.plugin_id)
        if self._platform.quirks.put_semantics == "merge":
            body = {**_without_changed_sizes(self.to_json(instance), body), **body}
        for name in ("group_id", "artifact_id") if plugin is not None else ():
            current = getattr(plugin, name)
            if (optional_text(body, name) or current) != current:
                raise bad_request(f"{name} of an instance cannot be changed")
        changes = self._changeable_fields(body)
        if plugin is not None and body.get("version_id") is not None:
            changes["version_id"] = self._named_version(body, plugin).id
        return changes

    def copy_properties(self, instance: Instance) -> None:
        """Give a new instance its copies of the PLUGIN properties of its version."""
        version = self._version(instance.version_id)
        for document in version.properties if version else []:
            if document["origin"] == "PLUGIN":
                self._platform.instances.put_property(instance.id, document)

    def _changeable_fields(self, body: dict[str, Any]) -> dict[str, Any]:
        cron, cron_status = self._checked_cron(body)
        accepted_sizes = {key for name in SIZE_NAMES for key in self._accepted_names(name)}
        return {
            "sizes": {name: self._size(body, name) for name in SIZE_NAMES},
            "name": required_text(body, "name"),
            "cron": cron,
            "cron_status": cron_status,
            "archived": optional_boolean(body, "archived", default=False),
            "extra": unknown_fields(body, INSTANCE_FIELDS | accepted_sizes),
        }

    def _checked_cron(self, body: dict[str, Any]) -> tuple[str | None, str | None]:
        cron = optional_text(body, "cron")
        cron_status = optional_choice(body, "cron_status", ("ACTIVE", "PAUSED"))
        if (cron is None) != (cron_status is None):
            raise bad_request("cron and cron_status must be used together: give both or neither")
        problem = cron_problem(cron) if cron is not None and self._platform.quirks.cron_validation else None
        if problem is not None:
            raise bad_request(f"cron {problem}, not {cron!r}")
        return cron, cron_status

    def _accepted_names(self, size_name: str) -> list[str]:
        console_name = CONSOLE_PREFIX + size_name
        names = {"documented": [size_name], "console": [console_name]}
        return names.get(self._platform.quirks.sizes_accepted, [size_name, console_name])

    def _size(self, body: dict[str, Any], size_name: str) -> str:
        for name in self._accepted_names(size_name):
            size = optional_choice(body, name, SIZES)
            if size is not None:
                return "EXTRA_LARGE" if size == "XL" else size
        return "LOW"

    def _named_plugin(self, body: dict[str, Any], organisations: list[str]) -> Plugin:
        group_id, artifact_id = required_text(body, "group_id"), required_text(body, "artifact_id")
        plugin = self._platform.plugins.find(group_id, artifact_id)
        if plugin is None or plugin.organisation_id not in {*organisations, *PUBLIC_ORGANISATIONS}:
            raise bad_request(f"there is no plugin with group_id {group_id} and artifact_id {artifact_id}")
        if plugin.plugin_type != "INTEGRATION_BATCH":
            raise bad_request(f"plugin {plugin.id} is of type {plugin.plugin_type}, not INTEGRATION_BATCH")
        return plugin

    def _named_version(self, body: dict[str, Any], plugin: Plugin) -> Version:
        given = optional_text(body, "version_id")
        number = plugin.current_version_id if given is None else number_of_id(given)
        version = None if number is None else self._version(number)
        if given is None and version is None:
            raise bad_request(f"plugin {plugin.id} has no version yet")
        if version is None or version.plugin_id != plugin.id:
            raise bad_request(
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


def _without_changed_sizes(document: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Remove the sizes that a body changes from the JSON of an instance, under both of their names."""
    changed = {name.removeprefix(CONSOLE_PREFIX) for name in body} & {*SIZE_NAMES}
    return {
        name: value for name, value in document.items() if name.removeprefix(CONSOLE_PREFIX) not in changed
    }


@router.get("")
async def list_instances(context: Context) -> Response:
    organisation_id = context.organisation()
    page = context.page()
    instances, total = context.platform.instances.visible_page(page, organisation_id, _filters(context))
    serialiser = InstanceSerialiser(context.platform)
    return context.list_response([serialiser.to_json(instance) for instance in instances], total, page)


@router.post("")
async def create_instance(context: Context) -> Response:
    body = await context.body()
    organisation_id = context.organisation(body)
    serialiser = InstanceSerialiser(context.platform)
    instance = serialiser.new_instance(body, organisation_id, context)
    with context.platform.database.transaction():
        instance = replace(instance, id=context.platform.instances.insert(instance))
        serialiser.copy_properties(instance)
        context.scheduler.set_next_tick(instance)
    return resource_response(serialiser.to_json(instance), context.quirks)


@router.get("/{instance_id}")
async def get_instance(context: Context, instance_id: str) -> Response:
    instance = context.instance(instance_id)
    return resource_response(InstanceSerialiser(context.platform).to_json(instance), context.quirks)


@router.put("/{instance_id}")
async def put_instance(context: Context, instance_id: str) -> Response:
    body = await context.body()
    before = context.instance(instance_id, body)
    serialiser = InstanceSerialiser(context.platform)
    changes = serialiser.changed_fields(before, body)
    changes |= {"last_modified_ts": context.platform.now_ms, "last_modified_by": context.caller.user_id}
    with context.platform.database.transaction():
        context.platform.instances.update(before.id, **changes)
        after = context.instance(instance_id)
        if (before.cron, before.is_scheduled) != (after.cron, after.is_scheduled):
            _apply_schedule_change(context, before, after)
    return resource_response(serialiser.to_json(after), context.quirks)


@router.delete("/{instance_id}")
async def delete_instance(context: Context, instance_id: str) -> Response:
    instance = context.instance(instance_id)
    now_ms = context.platform.now_ms
    with context.platform.database.transaction():
        context.platform.executions.cancel_upcoming(instance.id, now_ms)
        context.platform.instances.update(instance.id, deleted_ms=now_ms, next_tick_ms=None)
    context.scheduler.wake()
    return deleted_response(context.quirks)


@router.get("/{instance_id}/properties")
async def list_properties(context: Context, instance_id: str) -> Response:
    instance = context.instance(instance_id)
    return context.slice_response(context.platform.instances.properties(instance.id))


@router.put("/{instance_id}/properties/{selector:path}")
async def put_property(context: Context, instance_id: str, selector: str) -> Response:
    body = await context.body()
    instance = context.instance(instance_id)
    name = selector.removeprefix(SELECTOR)
    if not selector.startswith(SELECTOR) or not name:
        raise bad_request(f"a property is addressed as {SELECTOR}NAME, not {selector!r}")
    if required_text({"technical_name": name} | body, "technical_name") != name:
        raise bad_request(f"technical_name is {name} in the path and {body['technical_name']} in the body")
    properties = context.platform.instances.properties(instance.id)
    before = next((each for each in properties if each["technical_name"] == name), DEFAULT_PROPERTY)
    if before.get("writable") is False:
        raise bad_request(f"property {name} is not writable")
    if not isinstance(body.get("value"), dict):
        raise bad_request(f"value of property {name} must be an object such as {{'value': 'x'}}")
    document = {**before, **body, "technical_name": name}
    context.platform.put_property(instance, document)
    return resource_response(document, context.quirks)


def _apply_schedule_change(context: RequestContext, before: Instance, after: Instance) -> None:
    """Set the next tick, and cancel the executions that were created for the former schedule."""
    context.scheduler.set_next_tick(after)
    if before.is_scheduled and context.quirks.pausing_cancels:
        # A pause also cancels executions that people created for later, another cron does not.
        context.platform.executions.cancel_upcoming(
            after.id, context.platform.now_ms, only_scheduled=after.is_scheduled
        )


def _filters(context: RequestContext) -> list[Condition]:
    """Return the filters of a list as conditions on rows."""
    conditions: list[Condition] = [] if context.quirks.archived_in_lists else [("archived = 0",)]
    is_periodic = context.query_boolean("is_periodic")
    if not context.quirks.list_filters:
        return conditions
    if is_periodic is not None:
        conditions.append(("cron IS NOT NULL" if is_periodic else "cron IS NULL",))
    if cron_status := context.query("cron_status"):
        if cron_status not in {"ACTIVE", "PAUSED"}:
            raise bad_request(f"cron_status must be ACTIVE or PAUSED, not {cron_status!r}")
        conditions.append(("cron_status = ?", cron_status))
    for name in ("group_id", "artifact_id"):
        if value := context.query(name):
            conditions.append((f"plugin_id IN (SELECT id FROM plugins WHERE {name} = ?)", value))  # noqa: PERF401, S608
    return conditions
