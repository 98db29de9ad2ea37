"""Arguments of operators: not given, a template that is not rendered yet, or a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Self

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.validation import seconds_of
from airflow_provider_mics.core.provisioning.instances import checked_fields
from airflow_provider_mics.runtime.templates import is_literal, rendered, rendered_flag


class NotGiven:
    """Default of an argument for which None has a meaning: ``cron=None`` clears, no ``cron`` leaves it as it is.

    Airflow writes its text into the serialized DAG, so the text is the same in every process.
    """

    def __repr__(self) -> str:
        return "not given"

    def __bool__(self) -> bool:
        return False

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


NOT_GIVEN = NotGiven()


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that were given, including those that are None."""
    return {name: value for name, value in arguments.items() if not isinstance(value, NotGiven)}


def rendered_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given fields of an instance after rendering.

    :raises MicsError: ``archived`` is neither true nor false
    """
    values = {name: rendered(value) for name, value in fields.items()}
    if "archived" in values:
        values["archived"] = rendered_flag("archived", values["archived"])
    return values


def missing_values(properties: Any) -> frozenset[tuple[Any, ...]]:
    """Return the places where properties have None, or the text that a template makes of it."""
    if isinstance(properties, Mapping):
        items: Iterable[tuple[Any, Any]] = properties.items()
    elif isinstance(properties, (list, tuple)):
        items = enumerate(properties)
    else:
        is_missing = properties is None or (isinstance(properties, str) and properties == "None")
        return frozenset([()] if is_missing else [])
    return frozenset((key, *rest) for key, value in items for rest in missing_values(value))


def rendered_properties(properties: Any, meant: frozenset[tuple[Any, ...]]) -> Any:
    """Return properties after rendering.

    :param meant: their `missing_values` before: there the DAG itself says None
    :raises MicsError: a template found no value; the error does not show the others, which may be secret
    """
    for place in sorted(missing_values(properties) - meant - {()}, key=str):
        name = place[0]
        if not isinstance(properties, Mapping):
            item = properties[name]
            name = item.get("technical_name") if isinstance(item, Mapping) else None
            name = name or f"number {place[0] + 1}"
        raise MicsError(
            f"property {name} is empty: its template found no value and gave None. Give it a value, or a default in "
            "the template"
        )
    return properties


def check_instance_fields(task_id: str, fields: Mapping[str, Any], *, creating: bool) -> None:
    """Check the fields of an instance when the DAG is parsed; templates are checked when the task runs.

    :raises ValueError: a cron without a status, or a value that the platform does not accept
    """
    literals = {name: value for name, value in fields.items() if is_literal(value)}
    try:
        if len(literals) == len(fields):
            checked_fields(fields, creating=creating)
            return
        for name, value in literals.items():
            if value is not None:
                checked_fields({name: value}, creating=False)
    except MicsError as error:
        raise ValueError(f"{task_id}: {error}") from None
    if creating and (fields.get("cron") is None) != (fields.get("cron_status") is None):
        raise ValueError(f"{task_id}: give cron and cron_status together, or neither")


def check_exclusive(task_id: str, **arguments: Any) -> None:
    """Check that at most one of the arguments is given.

    :raises ValueError: more than one is not None
    """
    names = [name for name, value in arguments.items() if value is not None]
    if len(names) > 1:
        raise ValueError(f"{task_id}: give {' or '.join(names)}, not both")


def check_choice(task_id: str, name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Check that a value is one of ``choices``.

    :raises ValueError: it is not
    """
    if value not in choices:
        raise ValueError(f"{task_id}: {name} {value!r} is not one of {', '.join(choices)}")


def optional_timedelta(owner: str, name: str, value: Any, *, may_be_zero: bool = False) -> timedelta | None:
    """Return a number of seconds or a timedelta as a timedelta, and None as None.

    :raises ValueError: the value is not a valid length of time
    """
    if value is None:
        return None
    return timedelta(seconds=seconds_of(owner, name, value, may_be_zero=may_be_zero))
