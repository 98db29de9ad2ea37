"""Executions as a list shows them. A poll sees thousands, of which few matter: each is read as little as possible."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from airflow_provider_mics.api.field_types import id_text
from airflow_provider_mics.api.json_text import cleaned
from airflow_provider_mics.api.models import Execution

CHECKED_AGAIN_AFTER = 3600.0
"""Seconds after which it is checked again whether a list shows executions in full."""
DETAILS = ("result", "error")
"""The fields that a list is most likely to leave out."""


def id_of(item: Any) -> str | None:
    """Return the id of an item; None if it is no execution."""
    if type(item) is not dict or type(item.get("status")) is not str:
        return None
    name = item.get("id")
    if type(name) is not str:
        name = id_text(name)
    return name if isinstance(name, str) else None


class ListedExecution:
    """An item of a list, as JSON that is not cleaned yet."""

    __slots__ = ("id", "item")

    def __init__(self, execution_id: str, item: dict[str, Any]) -> None:
        self.id = execution_id
        self.item = item

    @property
    def instance_id(self) -> str | None:
        """The id of its instance; None where the list does not show it."""
        name = id_text(self.item.get("external_model_id"))
        return name if isinstance(name, str) else None

    @property
    def state(self) -> tuple[object, ...]:
        """Two items of an execution have different states if its status or progress changed."""
        item = self.item
        return (
            item["status"],
            item.get("completed_tasks"),
            item.get("num_tasks"),
            item.get("erroneous_tasks"),
        )

    def as_execution(self) -> Execution | None:
        """Read all fields; None if they cannot be read."""
        try:
            return Execution.model_validate(cleaned(self.item))
        except ValidationError:
            return None


class ListDetail:
    """Whether a list shows executions that are over in full, learned from some of them, for each status.

    Only an execution with a result or an error tells: a list may show an empty one in place of one it leaves out.
    """

    def __init__(self) -> None:
        self._is_full: dict[str, bool] = {}
        self._checked_at: dict[str, float] = {}

    def shows_all_of(self, listed: ListedExecution) -> bool:
        """Whether nothing of an execution is missing in the list."""
        return self._is_full.get(listed.item["status"], False)

    def is_due(self, listed: ListedExecution, now: float) -> bool:
        """Whether to compare an execution with the resource itself. ``now`` is in seconds, of any clock."""
        checked_at = self._checked_at.get(listed.item["status"])
        return checked_at is None or now - checked_at >= CHECKED_AGAIN_AFTER

    def compare(self, listed: ListedExecution, resource: dict[str, Any], now: float) -> None:
        """Compare an execution in the list with the resource itself, both as JSON."""
        if listed.item["status"] != resource.get("status"):
            return
        is_full = all(name in listed.item and listed.item[name] == resource[name] for name in resource)
        if not is_full or any(resource.get(name) is not None for name in DETAILS):
            self._is_full[listed.item["status"]] = is_full
            self._checked_at[listed.item["status"]] = now
