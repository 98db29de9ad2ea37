"""The trigger that turns ended executions into asset events, for ``AssetWatcher`` (Airflow 3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from airflow.triggers.base import TriggerEvent

from airflow_provider_mics.api.calls import Log
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.executions import get_execution
from airflow_provider_mics.api.field_types import OVER
from airflow_provider_mics.api.json_size import shortened
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import OutageLog, backoff
from airflow_provider_mics.api.validation import checked_id, seconds_of
from airflow_provider_mics.core.polling import watch_completions
from airflow_provider_mics.core.polling.completions import CompletionCursor
from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.runtime.compat import BaseEventTrigger
from airflow_provider_mics.runtime.failures import one_line_of
from airflow_provider_mics.runtime.trigger_events import EVENT_LIMIT
from airflow_provider_mics.tick_triggers import poller_arguments


class MicsExecutionEventTrigger(BaseEventTrigger):
    """Fire an event for each execution of an instance that ends, for an ``AssetWatcher``. Who started it is irrelevant.

    Executions that ended before the trigger was first started fire no event. From Airflow 3.3 on, executions that end
    while no triggerer is running fire when one runs again, since the trigger saves its state in the asset's state
    store; before 3.3 they are missed. An event can be a duplicate after a triggerer crash, so DAGs that it starts must
    tolerate that.

    Payload: ``instance_id``, ``execution_id``, ``status``, and the ``execution`` as JSON, shortened to 4 KiB.

    :param instance_id: the instance's id
    :param statuses: the final statuses that fire an event, such as ``SUCCEEDED``, ``FAILED`` and ``CANCELED``
    :param mics_conn_id: the Airflow connection of type ``mediarithmics``; the token is never among the arguments
    :param organisation_id: the organisation's id; by default the connection's
    :param poll_interval: seconds between two requests
    :raises ValueError: an invalid id, status or interval
    """

    def __init__(
        self,
        instance_id: str,
        statuses: Sequence[str] = ("SUCCEEDED",),
        mics_conn_id: str = MicsHook.default_conn_name,
        organisation_id: str | None = None,
        poll_interval: float = 30.0,
    ) -> None:
        super().__init__()
        self.instance_id = instance_id
        chosen = [statuses] if isinstance(statuses, str) else statuses
        self.statuses = sorted({_checked_final_status(status) for status in chosen})
        self.mics_conn_id = mics_conn_id
        self.organisation_id = organisation_id
        self.poll_interval = seconds_of(type(self).__name__, "poll_interval", poll_interval)
        try:
            checked_id("instance_id", instance_id)
        except MicsError as error:
            raise ValueError(f"{type(self).__name__}: {error}") from None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {
            "instance_id": self.instance_id,
            "statuses": self.statuses,
            "mics_conn_id": self.mics_conn_id,
            "organisation_id": self.organisation_id,
            "poll_interval": self.poll_interval,
        }
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll without end: Airflow restarts a watcher that ends or raises every second."""
        cursor, is_loaded = None, False
        outage = OutageLog()
        while True:
            try:
                if not is_loaded:
                    cursor, is_loaded = await self._load_cursor(), True
                arguments = poller_arguments(self) | {"instance_id": self.instance_id, "cursor": cursor}
                async with aclosing(watch_completions(**arguments)) as completions:
                    async for ended, following in completions:
                        self._log_lines(outage.answered(datetime.now(UTC)))
                        for execution in ended:
                            if execution.status in self.statuses:
                                yield TriggerEvent(self._payload(await self._in_full(execution)))
                        # Saved after the events: a duplicate event is better than a lost one.
                        await self._save_cursor(following)
                        cursor = following
            except Exception as error:  # noqa: BLE001 - any error may be temporary
                failure = error if isinstance(error, MicsError) else MicsError(one_line_of(error))
                self._log_lines(outage.failed(failure, datetime.now(UTC)))
                await asyncio.sleep(backoff(self.poll_interval, outage.failures, failure))

    async def _in_full(self, execution: Execution) -> Execution:
        """Return an execution with what a list leaves out of it, if that can be read."""
        hook = MicsHook(self.mics_conn_id, self.organisation_id)
        with suppress(MicsError):
            whole = await hook.arun(get_execution(self.instance_id, execution.id))
            return whole if whole.status == execution.status else execution
        return execution

    def _payload(self, execution: Execution) -> dict[str, Any]:
        return {
            "instance_id": self.instance_id,
            "execution_id": execution.id,
            "status": str(execution.status),
            "execution": shortened(execution.to_json(), EVENT_LIMIT),
        }

    def _log_lines(self, lines: Iterable[Log]) -> None:
        for line in lines:
            self.log.log(line.level, "%s", line.message)

    async def _load_cursor(self) -> CompletionCursor | None:
        """Return the saved cursor; None if there is none yet, or no state store (before Airflow 3.3)."""
        for store in self._stores:
            saved = await store.aget(self._state_key)
            if saved is not None:
                try:
                    return CompletionCursor.from_json(saved)
                except Exception as error:  # noqa: BLE001 - the trigger then starts without state
                    self.log.warning("Could not read the saved trigger state: %s", one_line_of(error))
        return None

    async def _save_cursor(self, cursor: CompletionCursor) -> None:
        try:
            for store in self._stores:
                await store.aset(self._state_key, cursor.to_json())
        except Exception as error:  # noqa: BLE001 - only a restart needs the saved state
            self.log.warning("Could not save the trigger state: %s", one_line_of(error))

    @property
    def _stores(self) -> list[Any]:
        """The state store of each asset: Airflow runs one trigger for all assets with the same trigger arguments."""
        stores: Any = getattr(self, "asset_state_store", None)
        if stores is None:
            return []
        by_asset = [*getattr(stores, "_by_name", {}).values(), *getattr(stores, "_by_uri", {}).values()]
        return by_asset or [stores]

    @property
    def _state_key(self) -> str:
        """The key of the state: one asset can have several triggers, with different statuses or instances."""
        arguments = json.dumps([self.statuses, self.mics_conn_id, self.organisation_id])
        return f"mics_execution_events_{self.instance_id}_{crc32(arguments.encode()):08x}"


def _checked_final_status(status: str) -> str:
    if status not in OVER:
        choices = ", ".join(sorted(str(each) for each in OVER))
        raise ValueError(f"MicsExecutionEventTrigger: status {status!r} is not one of {choices}")
    return str(status)
