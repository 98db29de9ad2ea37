"""Which part of a list was asked for, and in which order lists are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ORDERS = {
    "newest": "id DESC",
    "oldest": "id",
    # A multiplicative hash: mixed up, yet the same for every page.
    "random": "(id * 2654435761) % 4294967291",
    "unstable": "RANDOM()",
}


@dataclass(frozen=True)
class Window:
    """A part of a list: how many to skip, how many to give (all where None), and the order's name."""

    first_result: int = 0
    max_results: int | None = None
    order: str = "newest"

    def select(self, table: str, conditions: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """The query, and its values, for this part of those rows of a table that meet all the conditions."""
        limit = -1 if self.max_results is None else self.max_results
        where = " AND ".join(conditions)
        query = f"SELECT * FROM {table} WHERE {where} ORDER BY {ORDERS[self.order]} LIMIT ? OFFSET ?"  # noqa: S608
        return query, (*_values(conditions), limit, self.first_result)


def count(table: str, conditions: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """The query, and its values, for the number of rows that meet all the conditions."""
    return f"SELECT COUNT(*) FROM {table} WHERE {' AND '.join(conditions)}", _values(conditions)  # noqa: S608


def _values(conditions: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(value for value in conditions.values() if value is not NO_VALUE)


NO_VALUE = object()
"""The value of a condition that has no ``?``, as in ``{"deleted_ms IS NULL": NO_VALUE}``."""
