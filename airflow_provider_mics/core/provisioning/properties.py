"""Make properties of versions and instances from plain Python values.

The shape of a property's ``value`` follows its ``property_type`` (vendor's page on plugins, vendor's web client).
Error messages name the Python type of an invalid value and never show the value: it may be a password.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from airflow_provider_mics.api.calls import Log, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.instances import list_instance_properties, set_instance_property
from airflow_provider_mics.api.models import Instance, PluginProperty
from airflow_provider_mics.core.provisioning.comparison import Difference, format_differences, is_equivalent

Properties = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""Values or property objects by name, or a list of property objects."""
INT_RANGE = range(-(2**31), 2**31)
LONG_RANGE = range(-(2**63), 2**63)
_FILE_KEYS = ("original_name", "asset_id", "path")
VALUE_KEYS: Mapping[str, tuple[str, ...]] = {
    "URL": ("url",),
    "DATA_FILE": ("uri",),
    "ASSET_FILE": _FILE_KEYS,
    "ASSET_FOLDER": _FILE_KEYS,
    "ASSET": ("original_file_name", "asset_id", "file_path"),
    "AD_LAYOUT": ("id", "version"),
    "STYLE_SHEET": ("id", "version"),
    "RECOMMENDER": ("recommender_id",),
}
"""The keys of the ``value`` object by property type."""
DEFAULT_VALUE_KEYS = ("value",)
TEXT_TYPES = ("STRING", "PIXEL_TAG", "URL", "DATA_FILE", "RECOMMENDER")


def properties_by_name(properties: Properties | None) -> dict[str, Any]:
    """Return properties by their technical name, whichever way they are given.

    :raises MicsError: a property has no name, or a name occurs twice
    """
    if not properties:
        return {}
    if isinstance(properties, Mapping):
        pairs = [(str(name), value) for name, value in properties.items()]
    elif isinstance(properties, Sequence) and not isinstance(properties, str):
        pairs = [(_name_of(each, position), each) for position, each in enumerate(properties, start=1)]
    else:
        raise MicsError(
            f"properties are a Python {_type_name(properties)}: "
            "give an object of names and values, or a list of objects"
        )
    named: dict[str, Any] = {}
    for name, value in pairs:
        if name in named:
            raise MicsError(f"property {name} is given twice")
        if is_property_object(value) and value.get("technical_name", name) != name:
            raise MicsError(f"property {name} is given with the technical_name {value['technical_name']!r}")
        named[name] = value
    return named


def _name_of(item: Any, position: int) -> str:
    name = item.get("technical_name") if isinstance(item, Mapping) else None
    if not isinstance(name, str) or not name:
        raise MicsError(
            f"item {position} of the list of properties (a Python {_type_name(item)}) needs a technical_name: "
            "give an object with technical_name and value"
        )
    return name


def _type_name(value: Any) -> str:
    return type(value).__name__


def is_property_object(value: Any) -> bool:
    """Whether ``value`` is a property object, rather than a property's value."""
    return isinstance(value, Mapping) and (
        not value.keys().isdisjoint({"property_type", "technical_name", "origin"})
        or isinstance(value.get("value"), Mapping)
    )


def property_object(
    name: str, value: Any, *, origin: str, writable: bool = True, deletable: bool = True
) -> dict[str, Any]:
    """Return a complete property object, from a plain value or from an incomplete property object.

    :raises MicsError: the value does not fit the property type, or no property type fits the value
    """
    given = dict(value) if is_property_object(value) else {"value": value}
    value = given.get("value")
    property_type = given.get("property_type") or infer_property_type(name, _unwrapped(value))
    return {
        "technical_name": name,
        "property_type": property_type,
        "origin": origin,
        "writable": writable,
        "deletable": deletable,
        **given,
        "value": property_value(name, property_type, value),
    }


def _unwrapped(value: Any) -> Any:
    return value["value"] if isinstance(value, Mapping) and set(value) == {"value"} else value


def infer_property_type(name: str, value: Any) -> str:
    """Return the property type for a plain Python value.

    :raises MicsError: there is none
    """
    match value:
        case bool():
            return "BOOLEAN"
        case int():
            return "INT" if value in INT_RANGE else "LONG"
        case float():
            return "DOUBLE"
        case str():
            return "STRING"
    raise MicsError(
        f"property {name}: a Python {_type_name(value)} has no property type: give true or false, a number, a text, "
        'or a property object such as {"property_type": "URL", "value": {"url": "https://..."}}'
    )


def property_value(name: str, property_type: str, value: Any) -> Any:
    """Return the ``value`` object of a property of this type, from a plain value or from such an object.

    :raises MicsError: the value does not fit the type
    """
    keys = VALUE_KEYS.get(property_type, DEFAULT_VALUE_KEYS)
    if isinstance(value, Mapping):
        if value.keys().isdisjoint(keys) and (property_type in VALUE_KEYS or property_type in _CONVERTERS):
            raise MicsError(f"property {name} is of type {property_type}: its value needs {', '.join(keys)}")
        return {
            key: _converted(name, property_type, each) if key in keys else each for key, each in value.items()
        }
    if len(keys) > 1:
        raise MicsError(
            f"property {name} is of type {property_type}: give its value as an object of {', '.join(keys)}"
        )
    return {keys[0]: _converted(name, property_type, value)}


def plain_value(value: Any) -> Any:
    """Return a ``value`` object for the log: its only item, if it has one item."""
    return next(iter(value.values())) if isinstance(value, Mapping) and len(value) == 1 else value


def _converted(name: str, property_type: str, value: Any) -> Any:
    convert = _CONVERTERS.get(property_type)
    if value is None or convert is None:
        return value
    try:
        return convert(value)
    except (TypeError, ValueError, OverflowError):
        raise MicsError(
            f"property {name} is of type {property_type}: the given Python {_type_name(value)} does not fit"
        ) from None


def _to_text(value: Any) -> str:
    if isinstance(value, (bool, Mapping, Sequence)) and not isinstance(value, str):
        raise TypeError
    return str(value)


def _to_boolean(value: Any) -> bool:
    """Accept the texts ``true`` and ``false`` too: a template always gives text."""
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    if not isinstance(value, bool):
        raise TypeError
    return value


def _to_integer(value: Any, within: range) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise TypeError
    number = int(value)
    if number not in within:
        raise ValueError
    return number


def _to_double(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "BOOLEAN": _to_boolean,
    "INT": partial(_to_integer, within=INT_RANGE),
    "LONG": partial(_to_integer, within=LONG_RANGE),
    "DOUBLE": _to_double,
    **dict.fromkeys(TEXT_TYPES, _to_text),
}


@flow
def set_properties(
    instance: Instance, properties: Properties | None, organisation_id: str | None = None
) -> Steps[list[Difference]]:
    """Set properties of an instance, write only what differs, and return the differences.

    A property keeps its type and its other fields; one that the instance does not have is created with the origin
    INSTANCE. All are checked before the first is written.

    :raises MicsError: a value does not fit its property's type, or the property is read-only
    """
    wanted = properties_by_name(properties)
    if not wanted:
        return []
    listed = yield from list_instance_properties(instance.id)
    existing = {each.technical_name: each for each in listed}
    updates: list[dict[str, Any]] = []
    differing: list[Difference] = []
    for name, value in wanted.items():
        current = existing.get(name)
        updated = _updated_property(name, current, value)
        shown = current.to_json() if current else {}
        if is_equivalent(shown, updated):
            continue
        _check_writable(instance, current)
        updates.append(updated)
        differing.append(Difference(name, plain_value(shown.get("value")), plain_value(updated["value"])))
    if differing:
        label = f"instance {instance.id} ({instance.name})"
        yield Log(f"Setting properties of {label}: {format_differences(differing)}.")
    for each in updates:
        yield from set_instance_property(
            instance.id, each, organisation_id=instance.organisation_id or organisation_id
        )
    return differing


def _check_writable(instance: Instance, current: PluginProperty | None) -> None:
    if current is not None and "writable" in current.model_fields_set and not current.writable:
        raise MicsError(
            f"property {current.technical_name} of instance {instance.id} is read-only (origin {current.origin}): "
            "it belongs to the version"
        )


def _updated_property(name: str, current: PluginProperty | None, value: Any) -> dict[str, Any]:
    if current is None:
        return property_object(name, value, origin="INSTANCE")
    given = dict(value) if is_property_object(value) else {"value": value}
    updated = current.to_json() | given
    if "value" in given:
        property_type = updated.get("property_type") or infer_property_type(name, given["value"])
        updated["value"] = property_value(name, property_type, given["value"])
    return updated
