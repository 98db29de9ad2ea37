"""Helpers for templated arguments."""

from __future__ import annotations

from typing import Any

from airflow_provider_mics.api.errors import MicsError


def is_literal(value: Any) -> bool:
    """Whether a value is known when the DAG is parsed: no Jinja template, and no XCom of another task."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    return value is None or isinstance(value, (bool, int, float))


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
