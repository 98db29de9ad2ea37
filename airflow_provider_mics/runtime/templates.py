"""Helpers for templated arguments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.validation import checked_id, parse_datetime


def is_literal(value: Any) -> bool:
    """Whether a value is known when the DAG is parsed: no Jinja template, and no XCom of another task."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    return value is None or isinstance(value, (bool, int, float))


def check_literal_ids(task_id: str, **ids: Any) -> None:
    """Check the ids that are known when the DAG is parsed; templates are checked when the task runs.

    :raises ValueError: one is no id
    """
    for name, value in ids.items():
        if is_literal(value):
            _check(task_id, partial(checked_id, name, rendered(value)))


def check_literal_moment(task_id: str, moment: Any) -> None:
    """Check an ``expected_start_date`` that is known when the DAG is parsed.

    :raises ValueError: it is no moment
    """
    if isinstance(moment, datetime) or is_literal(moment):
        _check(task_id, partial(parse_datetime, moment))


def _check(task_id: str, check: Callable[[], object]) -> None:
    try:
        check()
    except MicsError as error:
        raise ValueError(f"{task_id}: {error}") from None


def rendered(value: Any) -> Any:
    """Return a rendered value; ``""`` and ``"None"``, which an empty template gives, become None."""
    return None if value in ("", "None") else value


def rendered_flag(name: str, value: Any) -> bool:
    """Return a rendered boolean, which may be the text ``True`` or ``False``.

    :param name: the argument's name, for the error
    :raises MicsError: the value is neither true nor false
    """
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    if not isinstance(value, bool):
        raise MicsError(f"{name} {value!r} is neither True nor False")
    return value


def rendered_id(value: Any) -> str | None:
    """Return a rendered id as text without surrounding spaces; an empty one becomes None."""
    text = str(value).strip()
    return None if text in ("", "None") else text
