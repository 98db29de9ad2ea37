"""Create an instance once, update only what differs, and delete it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_mics.api.calls import Log, Now, Steps, flow
from airflow_provider_mics.api.cron_syntax import collapse_spaces, cron_problem, cron_warning
from airflow_provider_mics.api.errors import MicsApiError, MicsError, MicsNotFoundError
from airflow_provider_mics.api.executions import may_lack_route
from airflow_provider_mics.api.field_types import CronStatus
from airflow_provider_mics.api.instances import (
    create_instance,
    delete_instance,
    get_instance,
    list_instances,
    update_instance,
)
from airflow_provider_mics.api.models import SIZE_NAMES, Instance
from airflow_provider_mics.api.outages import DEFAULT_SUBMISSION_TIMEOUT, retry_through_outages
from airflow_provider_mics.api.validation import checked_cron, checked_id, checked_size, checked_word
from airflow_provider_mics.core.provisioning.comparison import (
    checked_text,
    checked_texts,
    differences,
    format_differences,
)
from airflow_provider_mics.core.provisioning.find_or_create import (
    EnsureResult,
    IfExists,
    ResourceSpec,
    find_or_create,
)
from airflow_provider_mics.core.provisioning.plugins import find_version_number, resolve_version
from airflow_provider_mics.core.provisioning.properties import Properties, properties_by_name, set_properties


@dataclass(frozen=True)
class _Wanted:
    """What an instance is to have; fields that are absent stay as they are, and so does a version of None."""

    version: str | None
    version_id: str | None
    fields: Mapping[str, Any]
    properties: Properties | None
    organisation_id: str | None


def instance_label(instance: Instance) -> str:
    """Return an instance's id and name: ``instance 42 (nightly import)``."""
    return f"instance {instance.id} ({instance.name})"


@flow
def ensure_instance(
    group_id: str,
    artifact_id: str,
    name: str,
    *,
    version: str | None = None,
    version_id: str | None = None,
    fields: Mapping[str, Any] | None = None,
    properties: Properties | None = None,
    organisation_id: str | None = None,
    if_exists: IfExists = "update",
    is_retry: bool = False,
    submission_timeout: timedelta = DEFAULT_SUBMISSION_TIMEOUT,
    on_exists: Callable[[Instance], object] = lambda _: None,
) -> Steps[EnsureResult[Instance]]:
    """Find or create the instance of this plugin with this name, with these fields and properties.

    :param version: the version's number, such as ``1.0.0``; ``version_id`` is the platform's id of it
    :param fields: any of ``cron``, ``cron_status``, ``cpu_size``, ``ram_size``, ``disk_size``, ``archived``; what is
        not given stays as it is where the instance exists
    :param if_exists: ``update`` what differs, ``skip`` all changes, or ``fail`` if the instance already exists
    :param submission_timeout: how long an outage of the platform is tolerated
    :param on_exists: called as soon as the instance is found or created, before it is updated
    :raises MicsError: an argument is not valid; no such plugin or version; or the instance exists (``fail``)
    """
    group_id, artifact_id, name = checked_texts(group_id=group_id, artifact_id=artifact_id, name=name)
    checked = checked_fields(fields or {}, creating=True)
    wanted = _Wanted(_checked_version(version), version_id, checked, properties, organisation_id)
    properties_by_name(properties)
    yield from _log_cron_warning(wanted.fields)
    give_up_at = (yield Now()) + submission_timeout
    if wanted.version is not None:
        resolving = resolve_version(group_id, artifact_id, wanted.version, organisation_id)
        wanted = replace(wanted, version_id=(yield from retry_through_outages(resolving, give_up_at)).id)
    spec = _resource_spec(group_id, artifact_id, name, wanted)
    result = yield from find_or_create(spec, submission_timeout, is_retry=is_retry)
    on_exists(result.resource)
    return (yield from _complete(result, spec.label, wanted, if_exists, give_up_at))


@flow
def find_instances(
    group_id: str, artifact_id: str, name: str, organisation_id: str | None = None
) -> Steps[list[Instance]]:
    """Return the instances of this natural key; archived ones only where there is no other."""
    listed = yield from list_instances(
        organisation_id, group_id=group_id, artifact_id=artifact_id, include_archived=True
    )
    found = [
        each
        for each in listed
        if (each.group_id, each.artifact_id, (each.name or "").strip()) == (group_id, artifact_id, name)
        and (organisation_id is None or each.organisation_id in (None, str(organisation_id)))
    ]
    return [each for each in found if not each.archived] or found


def _resource_spec(group_id: str, artifact_id: str, name: str, wanted: _Wanted) -> ResourceSpec[Instance]:
    return ResourceSpec(
        f"instance {name!r} of {group_id}:{artifact_id}",
        find=find_instances(group_id, artifact_id, name, wanted.organisation_id),
        create=create_instance(
            group_id,
            artifact_id,
            name,
            version_id=wanted.version_id,
            organisation_id=wanted.organisation_id,
            **wanted.fields,
        ),
        delete=delete_instance,
    )


@flow
def _complete(
    result: EnsureResult[Instance], label: str, wanted: _Wanted, if_exists: IfExists, give_up_at: datetime
) -> Steps[EnsureResult[Instance]]:
    """Log what was done so far, and bring a created or found instance into the wanted state."""
    instance = result.resource
    if result.outcome == "created":
        yield Log(f"Created {label} as {instance.id}, {_describe_schedule(instance)}.")
        # After a lost response, another client may have created it at the same moment, with other fields.
        if if_exists != "update" or not differences(_comparable_fields(instance), wanted.fields):
            setting = set_properties(instance, wanted.properties, wanted.organisation_id)
            yield from retry_through_outages(setting, give_up_at)
            return result
    elif if_exists == "fail":
        raise MicsError(f"{label} already exists as {instance.id}, and if_exists='fail'")
    elif if_exists == "skip":
        yield Log(f"Found {label} as {instance.id}; it already exists and is not updated (if_exists='skip').")
        return result
    if instance.archived and "archived" not in wanted.fields:
        yield Log(
            f"The {instance_label(instance)} is archived and stays archived: set archived=False to restore it.",
            logging.WARNING,
        )
    return (yield from retry_through_outages(_update(instance.id, wanted), give_up_at))


@flow
def change_instance(
    instance_id: str,
    *,
    version: str | None = None,
    version_id: str | None = None,
    fields: Mapping[str, Any] | None = None,
    properties: Properties | None = None,
    organisation_id: str | None = None,
) -> Steps[EnsureResult[Instance]]:
    """Update what differs of an instance, first its fields, then its properties, and log the differences.

    ``fields`` are those of `ensure_instance` and ``name``. What is not given stays as it is.

    :raises MicsError: an argument is not valid, alone or with the present values; or no such version
    """
    checked = checked_fields(fields or {}, creating=False)
    wanted = _Wanted(_checked_version(version), version_id, checked, properties, organisation_id)
    yield from _log_cron_warning(wanted.fields)
    return (yield from _update(instance_id, wanted))


def _checked_version(version: str | None) -> str | None:
    return None if version is None else checked_text("version", version)


@flow
def _update(instance_id: str, wanted: _Wanted) -> Steps[EnsureResult[Instance]]:
    instance = yield from get_instance(instance_id)
    label = instance_label(instance)
    version_fields = yield from _version_fields(instance, wanted)
    differing = differences(_comparable_fields(instance), {**wanted.fields, **version_fields})
    if differing:
        yield Log(f"Updating {label}: {format_differences(differing)}.")
        instance = yield from update_instance(instance_id, **{each.name: each.after for each in differing})
    differing_properties = yield from set_properties(instance, wanted.properties, wanted.organisation_id)
    if differing or differing_properties:
        return EnsureResult(instance, "updated")
    yield Log(f"Found {label}; nothing to update.")
    return EnsureResult(instance, "found")


def _version_fields(instance: Instance, wanted: _Wanted) -> Steps[dict[str, Any]]:
    """Return the fields for the wanted version, if it is another: its id, and its number where the API shows one."""
    version_id = wanted.version_id
    group_id, artifact_id = instance.group_id or "", instance.artifact_id or ""
    if wanted.version is not None and instance.version_value != wanted.version:
        organisation_id = instance.organisation_id or wanted.organisation_id
        version = yield from resolve_version(group_id, artifact_id, wanted.version, organisation_id)
        version_id = version.id
    if version_id is None or instance.version_id == checked_id("version_id", version_id):
        return {}
    fields: dict[str, Any] = {"version_id": str(version_id)}
    if "version_value" in instance.model_fields_set:
        # Both are written, so that id and number never contradict each other.
        fields["version_value"] = wanted.version or (
            yield from find_version_number(group_id, artifact_id, str(version_id), instance.organisation_id)
        )
    return fields


def _comparable_fields(instance: Instance) -> dict[str, Any]:
    return instance.to_json() | {"archived": instance.archived, "cron": collapse_spaces(instance.cron)}


@flow
def ensure_instance_deleted(instance_id: str, *, missing_ok: bool = True) -> Steps[Instance | None]:
    """Delete an instance and return it as it was; None where it no longer existed.

    :raises MicsNotFoundError: it does not exist, and ``missing_ok`` is False
    :raises MicsError: the platform rejected the DELETE request
    """
    try:
        instance = yield from get_instance(instance_id)
    except MicsNotFoundError:
        if not missing_ok:
            raise
        yield Log(f"Instance {instance_id} does not exist: nothing to delete.")
        return None
    try:
        yield from delete_instance(instance_id)
    except MicsApiError as refusal:
        if not may_lack_route(refusal):
            raise
        try:
            yield from get_instance(instance_id)
        except MicsNotFoundError:
            pass
        else:
            raise MicsError(
                f"{instance_label(instance)} still exists: the platform rejected the DELETE request; "
                f"archive it instead: {refusal}"
            ) from None
    yield Log(f"Deleted {instance_label(instance)}.")
    return instance


def checked_fields(fields: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
    """Return the given fields in the platform's spelling.

    :param creating: there is no instance yet whose cron or status could complete the given one
    :raises MicsError: a cron without a status, a cron that is not valid, an unknown word, an empty name
    """
    checked = dict(fields)
    if "name" in checked:
        checked["name"] = checked_text("name", checked["name"])
    if "cron" in checked:
        checked["cron"] = collapse_spaces(checked["cron"])
    for name in SIZE_NAMES:
        if name in checked:
            checked[name] = checked_size(name, checked[name])
    if checked.get("cron_status") is not None:
        checked["cron_status"] = checked_word("cron_status", CronStatus, checked["cron_status"])
    if creating or {"cron", "cron_status"} <= checked.keys():
        checked_cron(checked.get("cron"), checked.get("cron_status"))
    elif {"cron", "cron_status"} & checked.keys():
        _check_partial_schedule(checked)
    return checked


def _check_partial_schedule(fields: Mapping[str, Any]) -> None:
    """Check a cron or a status without the other: either can be changed alone, but not cleared."""
    name = "cron" if "cron" in fields else "cron_status"
    if fields[name] is None:
        raise MicsError(f"{name}=None alone: to clear the schedule, give cron=None and cron_status=None")
    problem = cron_problem(fields["cron"]) if name == "cron" else None
    if problem:
        raise MicsError(f"cron {fields['cron']!r} {problem}")


def _log_cron_warning(fields: Mapping[str, Any]) -> Steps[None]:
    warning = cron_warning(fields.get("cron"))
    if warning:
        hint = "For no schedule, give cron=None and cron_status=None."
        yield Log(f"cron {fields['cron']!r} {warning}. {hint}", logging.WARNING)


def _describe_schedule(instance: Instance) -> str:
    return f"with the cron {instance.cron!r}, {instance.cron_status}" if instance.cron else "without a cron"
