"""Integration batch instances and their properties."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any
from urllib.parse import quote

from airflow_provider_mics.api.calls import Call, Flow, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.field_types import ContainerSize, CronStatus
from airflow_provider_mics.api.models import SIZE_NAMES, Instance, PluginProperty, spell_sizes
from airflow_provider_mics.api.paging import PAGE_SIZE, whole_list
from airflow_provider_mics.api.responses import ignore_body, one, one_with_raw
from airflow_provider_mics.api.validation import checked_cron, checked_id, checked_size, checked_word

INSTANCES = "integration_batch_instances"


def instance_path(instance_id: str) -> str:
    return f"{INSTANCES}/{checked_id('instance_id', instance_id)}"


@flow
def list_instances(
    organisation_id: str | None = None,
    *,
    group_id: str | None = None,
    artifact_id: str | None = None,
    cron_status: str | None = None,
    is_periodic: bool | None = None,
    include_archived: bool = False,
    page_size: int = PAGE_SIZE,
) -> Steps[list[Instance]]:
    """The instances of an organisation; archived ones only where asked for."""
    query = {
        "organisation_id": organisation_id,
        "group_id": group_id,
        "artifact_id": artifact_id,
        "cron_status": cron_status,
        "is_periodic": None if is_periodic is None else str(is_periodic).lower(),
    }
    instances = yield from whole_list(INSTANCES, Instance, lambda each: each.id, query, page_size=page_size)
    return [each for each in instances if include_archived or not each.archived]


def create_instance(
    group_id: str,
    artifact_id: str,
    name: str,
    *,
    version_id: str | None = None,
    organisation_id: str | None = None,
    cron: str | None = None,
    cron_status: str | CronStatus | None = None,
    cpu_size: str | ContainerSize = ContainerSize.LOW,
    ram_size: str | ContainerSize = ContainerSize.LOW,
    disk_size: str | ContainerSize = ContainerSize.LOW,
    archived: bool = False,
) -> Call[Instance]:
    """Create an instance of a plugin; ``version_id`` is the platform's id of the version, its newest when left out.

    :raises MicsError: a cron without a status, a cron that cannot be read, or an unknown size
    """
    checked_cron(cron, cron_status)
    body: dict[str, Any] = {
        "group_id": group_id,
        "artifact_id": artifact_id,
        "organisation_id": organisation_id,
        "name": name,
        "archived": archived,
        "cron": cron,
        "cron_status": None if cron_status is None else str(CronStatus(cron_status)),
        "cpu_size": checked_size("cpu_size", cpu_size),
        "ram_size": checked_size("ram_size", ram_size),
        "disk_size": checked_size("disk_size", disk_size),
    }
    body |= {"version_id": checked_id("version_id", version_id)} if version_id is not None else {}
    return Call("POST", INSTANCES, one(Instance), query={"organisation_id": organisation_id}, body=body)


def get_instance(instance_id: str) -> Call[Instance]:
    return Call("GET", instance_path(instance_id), one(Instance))


@flow
def update_instance(instance_id: str, **changes: Any) -> Steps[Instance]:
    """Change fields of an instance: it is read, changed and written back whole, unknown fields included.

    Nothing is written where the instance is so already.

    :raises MicsError: a field that no instance has; or the result would hold a cron without a status, a cron that
        cannot be read, an unknown size
    """
    path = instance_path(instance_id)
    instance, as_it_came = yield from Call("GET", path, one_with_raw(Instance))
    current = spell_sizes(as_it_came, "documented")
    words = _in_documented_words(changes)
    _refuse_unknown_fields(instance_id, words, Instance.model_fields.keys() | current.keys())
    changed = current | words
    if {"cron", "cron_status"} & changes.keys():
        checked_cron(changed.get("cron"), changed.get("cron_status"))
    if changed == current:
        return instance
    return (yield from Call("PUT", path, one(Instance), body=changed))


def _refuse_unknown_fields(instance_id: str, changes: dict[str, Any], known: Collection[str]) -> None:
    """The platform would keep a misspelled field, and the one that was meant would stay as it is."""
    for name in sorted(changes.keys() - set(known)):
        meant = get_close_matches(name, sorted(known), n=1)
        raise MicsError(
            f"instance {instance_id} has no field {name!r}"
            + (f": did you mean {meant[0]!r}?" if meant else "")
        )


def _in_documented_words(changes: dict[str, Any]) -> dict[str, Any]:
    """The changes with sizes and status as the vendor's page writes them."""
    words = spell_sizes(changes, "documented")
    words |= {name: checked_size(name, words[name]) for name in SIZE_NAMES if name in words}
    if words.get("cron_status") is not None:
        words["cron_status"] = checked_word("cron_status", CronStatus, words["cron_status"])
    return words


@flow
def set_cron_status(instance_id: str, cron_status: CronStatus) -> Steps[Instance]:
    """Make an instance ACTIVE or PAUSED.

    :raises MicsError: it has no cron, so there is nothing to pause or to resume
    """
    instance = yield from get_instance(instance_id)
    if not instance.cron:
        raise MicsError(
            f"instance {instance_id} ({instance.name}) has no cron: give it one before it can be {cron_status.lower()}"
        )
    return (yield from update_instance(instance_id, cron_status=str(cron_status)))


def pause_instance(instance_id: str) -> Flow[Instance]:
    """Set an instance PAUSED: the platform fires its cron no more."""
    return set_cron_status(instance_id, CronStatus.PAUSED)


def resume_instance(instance_id: str) -> Flow[Instance]:
    """Set an instance ACTIVE: the platform fires its cron from the next tick on, and makes up nothing."""
    return set_cron_status(instance_id, CronStatus.ACTIVE)


def delete_instance(instance_id: str) -> Call[None]:
    return Call("DELETE", instance_path(instance_id), ignore_body)


def list_instance_properties(instance_id: str) -> Flow[list[PluginProperty]]:
    path = f"{instance_path(instance_id)}/properties"
    return whole_list(path, PluginProperty, lambda each: each.technical_name, {})


def set_instance_property(
    instance_id: str, instance_property: dict[str, Any], *, organisation_id: str | None = None
) -> Call[PluginProperty]:
    """Write one property, whole, under its ``technical_name``."""
    name = instance_property.get("technical_name")
    if not isinstance(name, str) or not name:
        raise MicsError(f"property {instance_property!r} has no technical_name")
    path = f"{instance_path(instance_id)}/properties/technical_name={quote(name, safe='')}"
    query = {"organisation_id": organisation_id}
    return Call("PUT", path, one(PluginProperty), query=query, body=dict(instance_property))
