"""What the arguments of an operator can be: left out, a template that is not rendered yet, or a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.core.provisioning.instances import checked_fields
from airflow_provider_mics.runtime.templates import is_literal, rendered, rendered_flag


class NotGiven:
    """The default of an argument for which None has a meaning: ``cron=None`` clears, leaving it out leaves it.

    Its text does not depend on the process, since Airflow writes it into the serialized DAG.
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
    """The arguments that were given, None among them."""
    return {name: value for name, value in arguments.items() if not isinstance(value, NotGiven)}


def rendered_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields of an instance after rendering."""
    values = {name: rendered(value) for name, value in fields.items()}
    if "archived" in values:
        values["archived"] = rendered_flag("archived", values["archived"])
    return values


def refuse_contradictions(task_id: str, fields: Mapping[str, Any], *, creating: bool) -> None:
    """Refuse fields of an instance that cannot be, as far as that is known before the task runs.

    :raises ValueError: a cron without a status, or a literal that the platform does not know
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


def refuse_both(task_id: str, **arguments: Any) -> None:
    """Refuse two ways of saying the same thing.

    :raises ValueError: more than one is given
    """
    said = [name for name, value in arguments.items() if value is not None]
    if len(said) > 1:
        raise ValueError(f"{task_id}: give {' or '.join(said)}, not both")


def refuse_unknown(task_id: str, name: str, value: Any, known: tuple[str, ...]) -> None:
    """Refuse a word that is not one of ``known``.

    :raises ValueError: it is not
    """
    if value not in known:
        raise ValueError(f"{task_id}: {name} {value!r} is not one of {', '.join(known)}")
