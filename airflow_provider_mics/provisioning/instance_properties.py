"""Setting the properties of an instance: what is so already is not written again."""

from __future__ import annotations

from typing import Any

from airflow_provider_mics.api.calls import Log, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.instances import list_instance_properties, set_instance_property
from airflow_provider_mics.api.models import Instance, PluginProperty
from airflow_provider_mics.provisioning.differences import Difference, alike, told
from airflow_provider_mics.provisioning.property_values import (
    Properties,
    by_name,
    is_property_object,
    plain_value,
    property_object,
    type_of,
    value_of,
)


@flow
def set_properties(
    instance: Instance, properties: Properties | None, organisation_id: str | None = None
) -> Steps[list[Difference]]:
    """Give properties of an instance new values, and say what differed.

    A property keeps its type and its other fields; one that the instance does not have becomes its own (origin
    INSTANCE). All are checked before the first is written.

    :raises MicsError: a value does not fit its property's type, or the property cannot be written
    """
    wanted = by_name(properties)
    if not wanted:
        return []
    listed = yield from list_instance_properties(instance.id)
    existing = {each.technical_name: each for each in listed}
    changes: list[tuple[dict[str, Any], Difference]] = []
    for name, value in wanted.items():
        current = existing.get(name)
        changed = _changed(name, current, value)
        shown = current.to_json() if current else {}
        if alike(shown, changed):
            continue
        if current is not None and "writable" in current.model_fields_set and not current.writable:
            raise MicsError(
                f"property {name} of instance {instance.id} cannot be written (origin {current.origin}): "
                "it belongs to the version"
            )
        before, after = plain_value(shown.get("value")), plain_value(changed["value"])
        changes.append((changed, Difference(name, before, after)))
    differing = [difference for _, difference in changes]
    if differing:
        yield Log(f"Setting properties of instance {instance.id} ({instance.name}): {told(differing)}.")
    for changed, _ in changes:
        yield from set_instance_property(
            instance.id, changed, organisation_id=instance.organisation_id or organisation_id
        )
    return differing


def _changed(name: str, current: PluginProperty | None, value: Any) -> dict[str, Any]:
    if current is None:
        return property_object(name, value, origin="INSTANCE")
    given = dict(value) if is_property_object(value) else {"value": value}
    whole = current.to_json() | given
    if "value" in given:
        kind = whole.get("property_type") or type_of(name, given["value"])
        whole["value"] = value_of(name, kind, given["value"])
    return whole
