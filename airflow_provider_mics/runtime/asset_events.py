"""What the event of an updated asset says: which execution updated it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.runtime.compat import Asset

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import Context

logger = logging.getLogger(__name__)


def describe_in_asset_events(context: Context, instance_id: str, execution: Execution) -> None:
    """Put the execution into the ``extra`` of the events of the task's outlets, as JSON; durations are in seconds."""
    start, duration = execution.start_date, execution.duration
    extra = {
        "instance_id": instance_id,
        "execution_id": execution.id,
        "status": str(execution.status),
        "start_date": None if start is None else start.isoformat(),
        "duration": None if duration is None else duration.total_seconds(),
    }
    events: Any = context.get("outlet_events")
    if events is None:
        return
    for outlet in context["task"].outlets or []:
        if isinstance(outlet, Asset):
            try:
                events[outlet].extra.update(extra)
            except Exception as error:  # noqa: BLE001 - the batch has run, whatever its event says
                logger.warning(
                    "The event of asset %s does not say which execution it is of: %s", outlet.uri, error
                )
