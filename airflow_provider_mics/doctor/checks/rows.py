"""A row of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """What a row says of a check.

    ``note`` is a property of the platform that the provider adapts to. ``unknown`` means that there was nothing to
    look at. ``not asked`` means that a question got no usable answer, so that the report is incomplete.
    """

    OK = "ok"
    NOTE = "note"
    UNKNOWN = "unknown"
    TO_DO = "to do"
    NOT_ASKED = "not asked"


@dataclass(frozen=True)
class Row:
    """One check: what was found, what that means, and what to set or do (empty: nothing).

    ``looked_at`` says how much of the account it rests on; empty where that does not matter.
    """

    check: str
    result: Result
    found: str
    means: str = ""
    set: str = ""
    looked_at: str = ""


def names(values: list[str], shown: int = 5) -> str:
    """Return a list for people, cut to its first values: ``4101, 4102 and 7 more``."""
    more = len(values) - shown
    return ", ".join(values[:shown]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return a number with its noun: ``1 instance``, ``2 instances``."""
    return f"{number} {one if number == 1 else several or f'{one}s'}"
