"""What a batch's own page shows beyond its row: the instance's properties and its last executions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_provider_mics.api.calls import Now, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.executions import read_recent_executions
from airflow_provider_mics.api.field_types import text
from airflow_provider_mics.api.instances import list_instance_properties
from airflow_provider_mics.api.models import Execution, PluginProperty
from airflow_provider_mics.api.text import clean_text, one_line
from airflow_provider_mics.page.marks import newest_first

SHOWN_EXECUTIONS = 100
VALUE_KEYS = ("value", "url", "uri", "path", "file_path")
"""Where the value of a property is, for one type of property or another."""
LONGEST_VALUE = 500
"""Characters of a property that are shown."""


@dataclass(frozen=True)
class Details:
    """What was last read. ``failure`` is why that is not new, or None."""

    properties: tuple[PluginProperty, ...] = ()
    executions: tuple[Execution, ...] = ()
    read_at: datetime | None = None
    failure: str | None = None

    def failed(self, reason: str) -> Details:
        """Return what was known, after a reading that gave nothing new."""
        return replace(self, failure=reason)


@flow
def read_details(instance_id: str, previous: Details) -> Steps[Details]:
    """Return the properties and the newest executions of an instance. An outage leaves what was known."""
    now: datetime = yield Now()

    def make_is_enough() -> Callable[[Execution], bool]:
        left = SHOWN_EXECUTIONS

        def is_enough(_: Execution) -> bool:
            nonlocal left
            left -= 1
            return left <= 0

        return is_enough

    try:
        result = yield from read_recent_executions(instance_id, make_is_enough, page_size=SHOWN_EXECUTIONS)
        properties = yield from list_instance_properties(instance_id)
    except MicsError as error:
        return previous.failed(str(error))
    executions = tuple(newest_first(result.items)[:SHOWN_EXECUTIONS])
    return Details(tuple(properties), executions, now)


def property_text(instance_property: PluginProperty) -> str:
    """Return the value of a property as text. The platform wraps it in an object, whose keys depend on its type."""
    value: Any = instance_property.value
    if isinstance(value, dict):
        value = next((value[key] for key in VALUE_KEYS if key in value), value)
    return one_line(clean_text(text(value) or ""), LONGEST_VALUE)


def message_of(execution: Execution) -> str:
    """Return what an execution said at its end: the error with its id, or the result."""
    if execution.error_message:
        error_id = execution.error.get("error_id") if isinstance(execution.error, dict) else None
        return execution.error_message + (f" (error_id {error_id})" if error_id else "")
    return one_line(text(execution.result) or "", LONGEST_VALUE) if execution.result else ""
