"""Properties of versions and instances, from plain Python values.

The shape of a property's ``value`` follows its ``property_type`` (vendor's page on plugins, vendor's web client).
What is wrong with a value is said by its Python type, never by showing it: it may be a password.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_mics.api.calls import Log, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.instances import list_instance_properties, set_instance_property
from airflow_provider_mics.api.models import Instance, PluginProperty
from airflow_provider_mics.core.provisioning.comparison import Difference, alike, told

Properties = Mapping[str, Any] | Sequence[Mapping[str, Any]]

"""Values or whole property objects by name, or a list of whole property objects."""


INT_RANGE = range(-(2**31), 2**31)

LONG_RANGE = range(-(2**63), 2**63)

_FILE = ("original_name", "asset_id", "path")

VALUE_KEYS: Mapping[str, tuple[str, ...]] = {
    "URL": ("url",),
    "DATA_FILE": ("uri",),
    "ASSET_FILE": _FILE,
    "ASSET_FOLDER": _FILE,
    "ASSET": ("original_file_name", "asset_id", "file_path"),
    "AD_LAYOUT": ("id", "version"),
    "STYLE_SHEET": ("id", "version"),
    "RECOMMENDER": ("recommender_id",),
}

PLAIN = ("value",)

TEXTS = ("STRING", "PIXEL_TAG", "URL", "DATA_FILE", "RECOMMENDER")


def by_name(properties: Properties | None) -> dict[str, Any]:
    """Properties by their technical name, however they were given.

    :raises MicsError: one has no name, or a name occurs twice
    """
    if not properties:
        return {}
    if isinstance(properties, Mapping):
        pairs = [(str(name), value) for name, value in properties.items()]
    elif isinstance(properties, Sequence) and not isinstance(properties, str):
        pairs = [(_name_of(each, position), each) for position, each in enumerate(properties, start=1)]
    else:
        raise MicsError(
            f"properties are a Python {_kind(properties)}: give an object of names and values, or a list of objects"
        )
    named: dict[str, Any] = {}
    for name, value in pairs:
        if name in named:
            raise MicsError(f"property {name} is given twice")
        if is_property_object(value) and value.get("technical_name", name) != name:
            raise MicsError(f"property {name} is given with the technical_name {value['technical_name']!r}")
        named[name] = value
    return named


def _name_of(whole: Any, position: int) -> str:
    name = whole.get("technical_name") if isinstance(whole, Mapping) else None
    if not isinstance(name, str) or not name:
        raise MicsError(
            f"number {position} of the list of properties (a Python {_kind(whole)}) needs a technical_name: "
            "give an object with technical_name and value"
        )
    return name


def _kind(value: Any) -> str:
    return type(value).__name__


def is_property_object(value: Any) -> bool:
    """Whether ``value`` is a whole property, rather than a property's value."""
    return isinstance(value, Mapping) and (
        not value.keys().isdisjoint({"property_type", "technical_name", "origin"})
        or isinstance(value.get("value"), Mapping)
    )


def property_object(
    name: str, value: Any, *, origin: str, writable: bool = True, deletable: bool = True
) -> dict[str, Any]:
    """A whole property, from a plain value or from a property object that may leave things out.

    :raises MicsError: the value does not fit the type, or tells none
    """
    given = dict(value) if is_property_object(value) else {"value": value}
    plain = given.get("value")
    property_type = given.get("property_type") or type_of(name, _unwrapped(plain))
    return {
        "technical_name": name,
        "property_type": property_type,
        "origin": origin,
        "writable": writable,
        "deletable": deletable,
        **given,
        "value": value_of(name, property_type, plain),
    }


def _unwrapped(value: Any) -> Any:
    return value["value"] if isinstance(value, Mapping) and set(value) == {"value"} else value


def type_of(name: str, value: Any) -> str:
    """The property type that a plain Python value tells."""
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
        f"property {name}: a Python {_kind(value)} does not tell its type: give true or false, a number, a text, "
        'or a whole property such as {"property_type": "URL", "value": {"url": "https://..."}}'
    )


def value_of(name: str, property_type: str, value: Any) -> Any:
    """The ``value`` object of a property of this type, from a plain value or from such an object.

    :raises MicsError: the value does not fit the type
    """
    keys = VALUE_KEYS.get(property_type, PLAIN)
    if isinstance(value, Mapping):
        if value.keys().isdisjoint(keys) and (property_type in VALUE_KEYS or property_type in _READERS):
            raise MicsError(f"property {name} is of type {property_type}: its value needs {', '.join(keys)}")
        return {
            key: _checked(name, property_type, each) if key in keys else each for key, each in value.items()
        }
    if len(keys) > 1:
        raise MicsError(
            f"property {name} is of type {property_type}: give its value as an object of {', '.join(keys)}"
        )
    return {keys[0]: _checked(name, property_type, value)}


def plain_value(value: Any) -> Any:
    """What a person wants to read of a ``value`` object: the one thing in it, where it is one."""
    return next(iter(value.values())) if isinstance(value, Mapping) and len(value) == 1 else value


def _checked(name: str, property_type: str, value: Any) -> Any:
    read = _READERS.get(property_type)
    if value is None or read is None:
        return value
    try:
        return read(value)
    except (TypeError, ValueError, OverflowError):
        raise MicsError(
            f"property {name} is of type {property_type}: the given Python {_kind(value)} does not fit"
        ) from None


def _text(value: Any) -> str:
    if isinstance(value, (bool, Mapping, Sequence)) and not isinstance(value, str):
        raise TypeError
    return str(value)


def _boolean(value: Any) -> bool:
    """A template always gives text, so ``true`` is taken for what it says."""
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    if not isinstance(value, bool):
        raise TypeError
    return value


def _whole(value: Any, within: range) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise TypeError
    number = int(value)
    if number not in within:
        raise ValueError
    return number


def _int(value: Any) -> int:
    return _whole(value, INT_RANGE)


def _long(value: Any) -> int:
    return _whole(value, LONG_RANGE)


def _double(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


_READERS = {"BOOLEAN": _boolean, "INT": _int, "LONG": _long, "DOUBLE": _double, **dict.fromkeys(TEXTS, _text)}


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
