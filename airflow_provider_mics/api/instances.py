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
from airflow_provider_mics.api.responses import (
    cannot_be_written_back,
    ignore_body,
    one,
    one_or_sent,
    one_with_raw,
)
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
    """List the instances of an organisation.

    Source: ``IntegrationBatchService.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx

    :param organisation_id: None means the client's own organisation
    :param group_id: only instances of plugins of this group; None means all
    :param artifact_id: only instances of plugins with this name in their group; None means all
    :param cron_status: ``ACTIVE`` or ``PAUSED``; None means all
    :param is_periodic: only instances with a cron (True) or without (False); None means all
    :param include_archived: whether to return archived instances too
    :param page_size: instances in each request
    :raises MicsApiError: the platform refuses the request
    :raises MicsResponseError: the list does not end
    """
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
    """Create an instance of a plugin.

    Source: https://developer.mediarithmics.io/data-ingestion/bulk-processing/integration-batch

    :param group_id: the group of the plugin
    :param artifact_id: the name of the plugin in its group
    :param name: the name of the instance, for people; the platform does not require it to be unique
    :param version_id: the platform's id of the plugin's version, not its number; None means the newest
    :param organisation_id: None means the client's own organisation
    :param cron: five fields of standard Unix cron; None means no schedule. Its time zone is not documented
    :param cron_status: ``ACTIVE`` or ``PAUSED``, together with ``cron``; None without it
    :param cpu_size: cores: ``LOW`` 1 to 2, ``MEDIUM`` 2 to 4, ``LARGE`` 4 to 8, ``EXTRA_LARGE`` 8 to 16
    :param ram_size: GB: ``LOW`` 2 to 4, ``MEDIUM`` 4 to 8, ``LARGE`` 8 to 16, ``EXTRA_LARGE`` 16 to 32
    :param disk_size: GB: ``LOW`` 30, ``MEDIUM`` 100, ``LARGE`` 500, ``EXTRA_LARGE`` 1000
    :param archived: whether it is archived from the beginning
    :raises MicsError: the cron, its status or a size is invalid, or one of cron and status is missing
    :raises MicsApiError: when run: the platform refuses the request
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
    """Get an instance.

    Source: ``IntegrationBatchService.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx

    :param instance_id: the platform's id of the instance
    :raises MicsError: the id is invalid
    :raises MicsNotFoundError: when run: there is no such instance
    """
    return Call("GET", instance_path(instance_id), one(Instance, has_id=str(instance_id)))


@flow
def update_instance(instance_id: str, **changes: Any) -> Steps[Instance]:
    """Change fields of an instance: read it, and write the whole resource back, unknown fields included.

    Nothing is written if the instance has these values already.

    Source: ``IntegrationBatchInstanceOverview.tsx`` of the vendor's web client,
    https://github.com/mnguyen-mics/mcu-nx, which also writes whole resources

    :param instance_id: the platform's id of the instance
    :param changes: values by field name, such as ``name="nightly"``; ``cron=None, cron_status=None`` removes the cron
    :raises MicsError: the id or a field is unknown, a size is invalid, or the instance would have an invalid cron, or
        only one of cron and status
    :raises MicsNotFoundError: there is no such instance
    :raises MicsApiError: the platform refuses the change
    """
    path = instance_path(instance_id)
    instance, raw = yield from Call("GET", path, one_with_raw(Instance, has_id=str(instance_id)))
    if raw is None:
        raise cannot_be_written_back(path)
    current = spell_sizes(raw, "documented")
    documented = _with_documented_spelling(changes)
    _check_field_names(instance_id, documented, Instance.model_fields.keys() | current.keys())
    changed = current | documented
    if {"cron", "cron_status"} & changes.keys():
        # A cron that is there already may be one that we do not schedule, and can be paused all the same.
        is_syntax_checked = changed.get("cron") != current.get("cron")
        checked_cron(changed.get("cron"), changed.get("cron_status"), is_syntax_checked=is_syntax_checked)
    if changed == current:
        return instance
    return (yield from Call("PUT", path, one_or_sent(Instance, changed), body=changed))


def _check_field_names(instance_id: str, changes: dict[str, Any], known: Collection[str]) -> None:
    """Raise for a misspelled field: the platform would store it, and leave the intended field unchanged."""
    for name in sorted(changes.keys() - set(known)):
        meant = get_close_matches(name, sorted(known), n=1)
        raise MicsError(
            f"instance {instance_id} has no field {name!r}"
            + (f": did you mean {meant[0]!r}?" if meant else "")
        )


def _with_documented_spelling(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes with sizes and status in the spelling of the vendor's page."""
    spelled = spell_sizes(changes, "documented")
    spelled |= {name: checked_size(name, spelled[name]) for name in SIZE_NAMES if name in spelled}
    if spelled.get("cron_status") is not None:
        spelled["cron_status"] = checked_word("cron_status", CronStatus, spelled["cron_status"])
    return spelled


@flow
def set_cron_status(instance_id: str, cron_status: CronStatus) -> Steps[Instance]:
    """Set the cron status of an instance.

    :raises MicsError: the instance has no cron, so there is nothing to pause or to resume
    """
    instance = yield from get_instance(instance_id)
    if not instance.cron:
        raise MicsError(
            f"instance {instance_id} ({instance.name}) has no cron: set one before it can be {cron_status.lower()}"
        )
    return (yield from update_instance(instance_id, cron_status=str(cron_status)))


def pause_instance(instance_id: str) -> Flow[Instance]:
    """Pause an instance: the platform stops firing its cron. Executions that exist already are not canceled.

    Source: ``IntegrationBatchInstanceOverview.tsx`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx

    :param instance_id: the platform's id of the instance
    :raises MicsError: the id is invalid, or (when run) the instance has no cron
    :raises MicsNotFoundError: when run: there is no such instance
    """
    return set_cron_status(instance_id, CronStatus.PAUSED)


def resume_instance(instance_id: str) -> Flow[Instance]:
    """Resume an instance: the platform fires its cron from the next tick on, without catching up.

    Source: ``IntegrationBatchInstanceOverview.tsx`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx

    :param instance_id: the platform's id of the instance
    :raises MicsError: the id is invalid, or (when run) the instance has no cron
    :raises MicsNotFoundError: when run: there is no such instance
    """
    return set_cron_status(instance_id, CronStatus.ACTIVE)


def delete_instance(instance_id: str) -> Call[None]:
    """Delete an instance.

    Source: https://developer.mediarithmics.io/data-ingestion/bulk-processing/integration-batch

    :param instance_id: the platform's id of the instance
    :raises MicsError: the id is invalid
    :raises MicsApiError: when run: the platform refuses the request
    """
    return Call("DELETE", instance_path(instance_id), ignore_body)


def list_instance_properties(instance_id: str) -> Flow[list[PluginProperty]]:
    """List the properties of an instance: the parameters of its executions.

    Source: ``PluginInstanceService.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx

    :param instance_id: the platform's id of the instance
    :raises MicsError: the id is invalid
    :raises MicsNotFoundError: when run: there is no such instance
    """
    path = f"{instance_path(instance_id)}/properties"
    # Properties are written back whole, so their texts are kept as they came.
    return whole_list(path, PluginProperty, lambda each: each.technical_name, {}, is_cleaned=False)


def set_instance_property(
    instance_id: str, instance_property: dict[str, Any], *, organisation_id: str | None = None
) -> Call[PluginProperty]:
    """Write one property of an instance.

    Source: ``PluginInstanceService.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx

    :param instance_id: the platform's id of the instance
    :param instance_property: the whole property as JSON, with its ``technical_name`` and the new ``value``
    :param organisation_id: None means the client's own organisation
    :raises MicsError: the id is invalid, or the property has no ``technical_name``
    :raises MicsApiError: when run: the platform refuses the request
    """
    name = instance_property.get("technical_name")
    if not isinstance(name, str) or not name:
        raise MicsError(f"property {instance_property!r} has no technical_name")
    path = f"{instance_path(instance_id)}/properties/technical_name={quote(name, safe='')}"
    query = {"organisation_id": organisation_id}
    body = dict(instance_property)
    return Call("PUT", path, one_or_sent(PluginProperty, body), query=query, body=body)
