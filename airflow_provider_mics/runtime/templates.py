"""What is not known of an argument before its template is rendered, and what may come of it then."""

from __future__ import annotations

from typing import Any

from airflow_provider_mics.api.errors import MicsError


def is_literal(value: Any) -> bool:
    """Whether a value is what it will be when the task runs: no template, and no result of another task."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    return value is None or isinstance(value, (bool, int, float))


def rendered(value: Any) -> Any:
    """A value after rendering, where a template of nothing gives an empty text or ``None`` as text."""
    return None if value in ("", "None") else value


def rendered_flag(name: str, value: Any) -> bool:
    """A boolean after rendering, where a template gives ``True`` as text.

    :raises MicsError: it is neither true nor false
    """
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    if not isinstance(value, bool):
        raise MicsError(f"{name} {value!r} is neither True nor False")
    return value


def rendered_id(value: Any) -> str | None:
    """An id after rendering: a template may give a number, or spaces around it; one of nothing gives None."""
    text = str(value).strip()
    return None if text in ("", "None") else text
