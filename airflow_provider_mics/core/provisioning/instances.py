"""An instance, created once and changed where it differs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from airflow_provider_mics.api.calls import Log, Now, Steps, flow
from airflow_provider_mics.api.cron_syntax import cron_problem
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
from airflow_provider_mics.api.outages import retry_through_outages
from airflow_provider_mics.api.validation import checked_cron, checked_id, checked_size, checked_word
from airflow_provider_mics.core.provisioning.comparison import checked_text, differences, single_spaced, told
from airflow_provider_mics.core.provisioning.find_or_create import (
    PATIENCE,
    EnsureResult,
    IfExists,
    ResourceSpec,
    find_or_create,
)
from airflow_provider_mics.core.provisioning.plugins import number_of, resolve_version
from airflow_provider_mics.core.provisioning.properties import Properties, by_name, set_properties


def label_of(instance: Instance) -> str:
    """An instance for people: ``instance 42 (nightly import)``."""
    return f"instance {instance.id} ({instance.name})"


@flow
def find_instances(
    group_id: str, artifact_id: str, name: str, organisation_id: str | None = None
) -> Steps[list[Instance]]:
    """The instances of this natural key; archived ones only where there is no other."""
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
    patience: timedelta = PATIENCE,
    on_sight: Callable[[Instance], object] = lambda _: None,
) -> Steps[EnsureResult[Instance]]:
    """The instance of this plugin with this name, found or created, with these fields and properties.

    ``fields`` are any of ``cron``, ``cron_status``, ``cpu_size``, ``ram_size``, ``disk_size``, ``archived``; one that
    is not given is left as it is where the instance exists. ``version`` is a number for people, ``version_id`` the
    platform's id. ``on_sight`` is called as soon as the instance is known to exist, whatever goes wrong after.

    :raises MicsError: an argument cannot be; no such plugin or version; or it exists and must not (``fail``)
    """
    group_id, artifact_id = checked_text("group_id", group_id), checked_text("artifact_id", artifact_id)
    name = checked_text("name", name)
    version = None if version is None else checked_text("version", version)
    checked = checked_fields(fields or {}, creating=True)
    by_name(properties)
    yield from _warn_of_cron(checked)
    give_up = (yield Now()) + patience
    if version is not None:
        resolving = resolve_version(group_id, artifact_id, version, organisation_id)
        version_id = (yield from retry_through_outages(resolving, give_up)).id
    label = f"instance {name!r} of {group_id}:{artifact_id}"
    recipe = ResourceSpec(
        label,
        look=find_instances(group_id, artifact_id, name, organisation_id),
        create=create_instance(
            group_id,
            artifact_id,
            name,
            version_id=version_id,
            organisation_id=organisation_id,
            **checked,
        ),
        delete=delete_instance,
    )
    provision = yield from find_or_create(recipe, patience, is_retry=is_retry)
    instance = provision.resource
    on_sight(instance)
    # One that was found after a lost answer may be somebody else's of the same moment, with other fields.
    is_as_wanted = not differences(_shown(instance), checked)
    if provision.how == "created":
        yield Log(f"Created {label} as {instance.id}, {_schedule_of(instance)}.")
        if is_as_wanted or if_exists != "update":
            yield from retry_through_outages(set_properties(instance, properties, organisation_id), give_up)
            return provision
    elif if_exists == "fail":
        raise MicsError(f"{label} exists already, as {instance.id}, and if_exists='fail' was asked for")
    elif if_exists == "skip":
        yield Log(f"Found {label}, as {instance.id}; it exists already, and is taken as it is.")
        return provision
    if instance.archived and "archived" not in checked:
        yield Log(
            f"The {label_of(instance)} is archived and stays so: archived=False takes it back.",
            logging.WARNING,
        )
    changing = change_instance(
        instance.id,
        version=version,
        version_id=version_id,
        fields=checked,
        properties=properties,
        organisation_id=organisation_id,
    )
    return (yield from retry_through_outages(changing, give_up))


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
    """Change what differs of an instance, fields first, then properties; the log says what it was and will be.

    ``fields`` are those of `ensure_instance`, ``name`` and ``archived``. What is not given stays as it is.

    :raises MicsError: an argument cannot be, alone or with what stays; or no such version
    """
    version = None if version is None else checked_text("version", version)
    checked = checked_fields(fields or {}, creating=False)
    yield from _warn_of_cron(checked)
    instance = yield from get_instance(instance_id)
    wanted = dict(checked)
    if version is not None and instance.version_value != version:
        resolving = resolve_version(
            instance.group_id or "",
            instance.artifact_id or "",
            version,
            instance.organisation_id or organisation_id,
        )
        version_id = (yield from resolving).id
    if version_id is not None and instance.version_id != checked_id("version_id", version_id):
        wanted["version_id"] = str(version_id)
        if "version_value" in instance.model_fields_set:
            wanted["version_value"] = version or (yield from _number(instance, version_id))
    label = label_of(instance)
    differing = differences(_shown(instance), wanted)
    if differing:
        yield Log(f"Changing {label}: {told(differing)}.")
        instance = yield from update_instance(instance_id, **{each.name: each.after for each in differing})
    differing_properties = yield from set_properties(instance, properties, organisation_id)
    if differing or differing_properties:
        return EnsureResult(instance, "updated")
    yield Log(f"Found {label}; it is as wanted.")
    return EnsureResult(instance, "found")


def _shown(instance: Instance) -> dict[str, Any]:
    """The fields of an instance as they are compared with the wanted ones."""
    return instance.to_json() | {"archived": instance.archived, "cron": single_spaced(instance.cron)}


def _number(instance: Instance, version_id: str) -> Steps[str | None]:
    """The number that belongs to a version's id, so that the two never contradict each other in an instance."""
    number = yield from number_of(
        instance.group_id or "", instance.artifact_id or "", str(version_id), instance.organisation_id
    )
    return number


@flow
def discard_instance(instance_id: str, *, missing_ok: bool = True) -> Steps[Instance | None]:
    """Delete an instance and return it as it was; None where it was gone already.

    :raises MicsNotFoundError: it does not exist, and ``missing_ok`` is False
    :raises MicsError: the platform does not delete it
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
                f"{label_of(instance)} is still there, the platform does not delete it; archive it instead: {refusal}"
            ) from None
    yield Log(f"Deleted {label_of(instance)}.")
    return instance


def _warn_of_cron(fields: Mapping[str, Any]) -> Steps[None]:
    warning = cron_warning(fields.get("cron"))
    if warning:
        yield Log(warning, logging.WARNING)


def _schedule_of(instance: Instance) -> str:
    return f"with the cron {instance.cron!r}, {instance.cron_status}" if instance.cron else "without a cron"


EVERY_MINUTE = ["*"] * 5


def checked_fields(fields: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
    """The given fields in the platform's spelling; those that were not given stay out.

    ``creating``: there is no instance yet whose cron or status could complete what is given.

    :raises MicsError: a cron without a status, a cron that cannot be read, an unknown word, a name that says nothing
    """
    checked = dict(fields)
    if "name" in checked:
        checked["name"] = checked_text("name", checked["name"])
    if "cron" in checked:
        checked["cron"] = single_spaced(checked["cron"])
    for name in SIZE_NAMES:
        if name in checked:
            checked[name] = checked_size(name, checked[name])
    if checked.get("cron_status") is not None:
        checked["cron_status"] = checked_word("cron_status", CronStatus, checked["cron_status"])
    if creating or {"cron", "cron_status"} <= checked.keys():
        checked_cron(checked.get("cron"), checked.get("cron_status"))
    elif {"cron", "cron_status"} & checked.keys():
        _check_one_of_both(checked)
    return checked


def _check_one_of_both(fields: Mapping[str, Any]) -> None:
    """With one of the two left as it is, the other can be changed but not cleared."""
    name = "cron" if "cron" in fields else "cron_status"
    if fields[name] is None:
        raise MicsError(f"{name}=None alone: to clear the schedule, give cron=None and cron_status=None")
    problem = cron_problem(fields["cron"]) if name == "cron" else None
    if problem:
        raise MicsError(f"cron {fields['cron']!r} {problem}")


def cron_warning(cron: str | None) -> str | None:
    """What is odd about a cron that can be read, or None.

    The editor of the platform's own web client uses ``* * * * *`` for "no schedule" and saves it as none.
    """
    if cron is None or cron.split() != EVERY_MINUTE:
        return None
    return (
        f"cron {cron!r} runs the batch every minute, and the platform's own editor takes it for 'no schedule'. "
        "If that is what you mean, give cron=None and cron_status=None."
    )
