"""The trigger with which a task bears an outage of the platform without a worker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.outages import OutageLog, backoff, is_outage
from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.runtime.connection import UnreadableConnectionError
from airflow_provider_mics.runtime.failures import one_line_of
from airflow_provider_mics.triggers import MicsExecutionTrigger

FIRST_PAUSE = 5.0
"""Seconds before the first request."""
LONGEST_PAUSE = 60.0
"""Seconds: the longest pause between two requests, since the task has only its ``submission_timeout``."""


class MicsOutageTrigger(MicsExecutionTrigger):
    """Wait until the platform answers again, or until the deadline, and fire one event: the task's state.

    If a user stops the task, its execution is canceled, where one is known.

    :param instance_id: the instance that is asked for; its answer ends the outage, whatever it says
    :param execution_id: the execution that the task has created, or an empty text
    :param state: plain JSON that the task needs to go on; it is the event
    :param attempt: how many such waits the task had before: each begins with a longer pause

    The other parameters are those of `MicsExecutionTrigger`.
    """

    def __init__(self, state: Mapping[str, Any], attempt: int = 0, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.state = dict(state)
        self.attempt = attempt
        self.cancel_on_kill = self.cancel_on_kill and bool(self.execution_id)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        _, arguments = super().serialize()
        path = f"{__name__}.{type(self).__name__}"
        return path, {**arguments, "state": self.state, "attempt": self.attempt}

    async def _event(self) -> dict[str, Any]:
        outage, pause = OutageLog(), min(FIRST_PAUSE * 2.0 ** min(self.attempt, 10), LONGEST_PAUSE)
        while True:
            left = (self.deadline or 0.0) - datetime.now(UTC).timestamp()
            await asyncio.sleep(max(0.0, min(pause * random.uniform(1.0, 1.2), left)))  # noqa: S311
            error = await self._outage()
            if error is None:
                for line in outage.answered(datetime.now(UTC)):
                    self.log.log(line.level, "%s", line.message)
                return self.state
            for line in outage.failed(error, datetime.now(UTC)):
                self.log.log(line.level, "%s", line.message)
            if left <= pause:
                return self.state
            pause = min(backoff(FIRST_PAUSE, outage.failures, error), LONGEST_PAUSE)

    async def _outage(self) -> MicsError | None:
        """Ask for the instance; return why there is no answer, or None."""
        hook = MicsHook(self.mics_conn_id, self.organisation_id)
        try:
            async with await hook.make_async_client(max_retries=0) as client:
                await client.run(get_instance(self.instance_id))
        except MicsError as error:
            is_unreadable = isinstance(error, UnreadableConnectionError)
            return error if is_unreadable or is_outage(error) else None
        except Exception as error:  # noqa: BLE001 - any error may be temporary
            return MicsError(one_line_of(error))
        return None
