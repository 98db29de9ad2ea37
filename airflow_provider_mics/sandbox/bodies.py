"""Reading the fields of a request's body, as strictly as the platform would."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_provider_mics.sandbox.answers import refuse

LARGEST_NUMBER = 2**63 - 1
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""


def required_text(body: dict[str, Any], name: str) -> str:
    value = optional_text(body, name)
    if value is None:
        raise refuse(f"{name} must be defined")
    return value


def optional_text(body: dict[str, Any], name: str) -> str | None:
    """A text that is not blank; an id may come as a number."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and name.endswith("_id"):
        value = str(value)
    if not isinstance(value, str):
        raise refuse(f"{name} must be a text, not {value!r}")
    return value.strip() or None


def choice(body: dict[str, Any], name: str, choices: Iterable[str]) -> str | None:
    """One of several words.

    The vendor's page writes a choice as ``"ACTIVE | PAUSED"``; so that its requests work as they stand, that
    notation means its first word.
    """
    value = optional_text(body, name)
    if value is None:
        return None
    words = [word.strip() for word in value.split("|")]
    allowed = list(choices)
    if not all(word in allowed for word in words):
        raise refuse(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    return words[0]


def flag(body: dict[str, Any], name: str, default: bool) -> bool:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise refuse(f"{name} must be true or false, not {value!r}")
    return value


def optional_number(body: dict[str, Any], name: str) -> int | None:
    """A whole number from 0, as large as the database can hold."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_NUMBER:
        raise refuse(f"{name} must be a whole number from 0, not {value!r}")
    return value


def milliseconds(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if value is None:
        raise refuse(f"{name} must be defined")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LATEST_MS:
        raise refuse(f"{name} must be epoch milliseconds, not {value!r}")
    return value


def unknown_fields(body: dict[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """What the platform does not know, to be kept and given back."""
    return {name: value for name, value in body.items() if name not in set(known)}
