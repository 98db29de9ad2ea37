"""/v1/integration_batch_instances: instances and their properties."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from airflow_provider_mics.sandbox.answers import deleted, one, refuse
from airflow_provider_mics.sandbox.bodies import required_text
from airflow_provider_mics.sandbox.instance_documents import InstanceDocuments
from airflow_provider_mics.sandbox.instances import Instance
from airflow_provider_mics.sandbox.pages import NO_VALUE
from airflow_provider_mics.sandbox.request_context import Ask, Asked

router = APIRouter(prefix="/v1/integration_batch_instances")
SELECTOR = "technical_name="


@router.get("")
async def list_instances(ask: Asked) -> Response:
    organisation_id = ask.organisation()
    window = ask.window()
    instances, total = ask.platform.instances.part(organisation_id, _conditions(ask), window)
    documents = InstanceDocuments(ask.platform)
    return ask.page([documents.json(instance) for instance in instances], total, window)


@router.post("")
async def create_instance(ask: Asked) -> Response:
    body = await ask.body()
    organisation_id = ask.organisation(body)
    documents = InstanceDocuments(ask.platform)
    values = documents.values_of_new(body, organisation_id, ask.caller.organisations)
    now_ms = ask.platform.now_ms
    stamps = {
        "creation_ts": now_ms,
        "created_by": ask.caller.user_id,
        "last_modified_ts": now_ms,
        "last_modified_by": ask.caller.user_id,
    }
    with ask.platform.database.transaction():
        instance_id = ask.platform.instances.create(values | stamps)
        documents.copy_properties(instance_id, values["version_id"])
        ask.scheduler.plan(ask.instance(str(instance_id)))
    return one(documents.json(ask.instance(str(instance_id))), ask.quirks)


@router.get("/{instance_id}")
async def get_instance(ask: Asked, instance_id: str) -> Response:
    return one(InstanceDocuments(ask.platform).json(ask.instance(instance_id)), ask.quirks)


@router.put("/{instance_id}")
async def put_instance(ask: Asked, instance_id: str) -> Response:
    body = await ask.body()
    before = ask.instance(instance_id, body)
    documents = InstanceDocuments(ask.platform)
    values = documents.values_of_changed(before, body)
    stamps = {"last_modified_ts": ask.platform.now_ms, "last_modified_by": ask.caller.user_id}
    with ask.platform.database.transaction():
        ask.platform.instances.update(before.id, values | stamps)
        after = ask.instance(instance_id)
        if (before.cron, before.is_scheduled) != (after.cron, after.is_scheduled):
            _follow_schedule(ask, before, after)
    return one(documents.json(after), ask.quirks)


@router.delete("/{instance_id}")
async def delete_instance(ask: Asked, instance_id: str) -> Response:
    instance = ask.instance(instance_id)
    now_ms = ask.platform.now_ms
    with ask.platform.database.transaction():
        ask.platform.executions.cancel_coming(instance.id, now_ms)
        ask.platform.instances.update(instance.id, {"deleted_ms": now_ms, "next_tick_ms": None})
    ask.scheduler.wake()
    return deleted(ask.quirks)


@router.get("/{instance_id}/properties")
async def list_properties(ask: Asked, instance_id: str) -> Response:
    properties = ask.platform.instances.properties(ask.instance(instance_id).id)
    window = ask.window()
    last = None if window.max_results is None else window.first_result + window.max_results
    return ask.page(properties[window.first_result : last], len(properties), window)


@router.put("/{instance_id}/properties/{selector:path}")
async def put_property(ask: Asked, instance_id: str, selector: str) -> Response:
    body = await ask.body()
    instance = ask.instance(instance_id)
    name = selector.removeprefix(SELECTOR)
    if not selector.startswith(SELECTOR) or not name:
        raise refuse(f"a property is addressed as {SELECTOR}NAME, not {selector!r}")
    if required_text({"technical_name": name} | body, "technical_name") != name:
        raise refuse(f"technical_name is {name} in the path and {body['technical_name']} in the body")
    kept = {each["technical_name"]: each for each in ask.platform.instances.properties(instance.id)}
    before = kept.get(
        name, {"property_type": "STRING", "origin": "INSTANCE", "writable": True, "deletable": True}
    )
    if before.get("writable") is False:
        raise refuse(f"property {name} is not writable")
    if not isinstance(body.get("value"), dict):
        raise refuse(f"value of property {name} must be an object such as {{'value': 'x'}}")
    document = {**before, **body, "technical_name": name}
    ask.platform.put_property(instance, document)
    return one(document, ask.quirks)


def _follow_schedule(ask: Ask, before: Instance, after: Instance) -> None:
    """Plan the next tick; cancel what was planned under a schedule that is no more."""
    ask.scheduler.plan(after)
    if before.is_scheduled and ask.quirks.pausing_cancels:
        # Another cron leaves alone what people planned for later; a pause cancels that too.
        ask.platform.executions.cancel_coming(after.id, ask.platform.now_ms, only_ticks=after.is_scheduled)


def _conditions(ask: Ask) -> dict[str, Any]:
    """The filters of a list, as conditions on rows."""
    conditions: dict[str, Any] = {} if ask.quirks.archived_in_lists else {"archived = 0": NO_VALUE}
    is_periodic = ask.flag("is_periodic")
    if not ask.quirks.list_filters:
        return conditions
    if is_periodic is not None:
        conditions["cron IS NOT NULL" if is_periodic else "cron IS NULL"] = NO_VALUE
    if cron_status := ask.query("cron_status"):
        if cron_status not in {"ACTIVE", "PAUSED"}:
            raise refuse(f"cron_status must be ACTIVE or PAUSED, not {cron_status!r}")
        conditions["cron_status = ?"] = cron_status
    if group_id := ask.query("group_id"):
        conditions["plugin_id IN (SELECT id FROM plugins WHERE group_id = ?)"] = group_id
    if artifact_id := ask.query("artifact_id"):
        conditions["plugin_id IN (SELECT id FROM plugins WHERE artifact_id = ?)"] = artifact_id
    return conditions
