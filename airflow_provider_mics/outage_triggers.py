"""The trigger with which a task bears an outage of the platform without a worker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.field_types import ExecutionType, from_milliseconds, milliseconds
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.outages import OutageLog, backoff, is_outage
from airflow_provider_mics.core.exactly_once.earlier_tries import unknown_executions
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.runtime.connection import UnreadableConnectionError
from airflow_provider_mics.runtime.failures import one_line_of
from airflow_provider_mics.triggers import CANCEL_TIMEOUT, MicsExecutionTrigger

FIRST_PAUSE = 5.0
"""Seconds before the first request."""
LONGEST_PAUSE = 60.0
"""Seconds: the longest pause between two requests, since the task has only its ``submission_timeout``."""


class MicsOutageTrigger(MicsExecutionTrigger):
    """Wait until the platform answers again, or until the deadline, and fire one event: the task's state.

    If a user stops the task, its execution is canceled: the one that is known, or what a request whose answer was lost
    has created. Where the platform still does not answer, the log says which one to look for.

    :param instance_id: the instance that is asked for; its answer ends the outage, whatever it says
    :param execution_id: the execution that the task has created, or an empty text
    :param state: plain JSON that the task needs to go on; it is the event
    :param attempt: how many such waits the task had before: each begins with a longer pause
    :param request: the request to create an execution whose answer was lost (`request_of`); None if there was none

    The other parameters are those of `MicsExecutionTrigger`.
    """

    def __init__(
        self,
        state: Mapping[str, Any],
        attempt: int = 0,
        request: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.state = dict(state)
        self.attempt = attempt
        self.request = None if request is None else dict(request)
        self.cancel_on_kill = self.cancel_on_kill and bool(self.execution_id or self.request)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        _, arguments = super().serialize()
        path = f"{__name__}.{type(self).__name__}"
        return path, {**arguments, "state": self.state, "attempt": self.attempt, "request": self.request}

    async def _cancel_stopped(self) -> None:
        if self.execution_id or self.request is None:
            await super()._cancel_stopped()
            return
        identity, known_ids = _identity_of(self.instance_id, self.request), self.request["known_ids"]
        try:
            async with asyncio.timeout(CANCEL_TIMEOUT):
                found = await self._hook.arun(unknown_executions(identity, known_ids))
        except (MicsError, TimeoutError) as error:
            self.log.error(
                "The task was stopped in an outage, and the answer to its request to run instance %s was lost: if the "
                "platform has a %s execution with expected_start_date %s, cancel it there. It could not be looked for: "
                "%s",
                self.instance_id,
                identity.execution_type,
                self.request["expected_start_date"],
                one_line_of(error),
            )
            return
        if not found:
            self.log.info("The task was stopped in an outage: the platform shows no execution of it.")
        for each in found:
            self.execution_id = each.id
            await super()._cancel_stopped()

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


def request_of(identity: ExecutionIdentity, moment: int | None, known_ids: Sequence[str]) -> dict[str, Any]:
    """Return a request to create an execution as plain JSON, for the arguments of the trigger.

    :param moment: the ``expected_start_date`` that was sent, in epoch milliseconds
    :param known_ids: the executions of the identity before the request
    """
    not_before = identity.not_before
    return {
        "execution_type": str(identity.execution_type),
        "expected_start_date": moment,
        "not_before": None if not_before is None else milliseconds(not_before),
        "known_ids": list(known_ids),
    }


def _identity_of(instance_id: str, request: Mapping[str, Any]) -> ExecutionIdentity:
    not_before = request["not_before"]
    return ExecutionIdentity(
        instance_id,
        ExecutionType(request["execution_type"]),
        from_milliseconds(request["expected_start_date"]),
        not_before=None if not_before is None else from_milliseconds(not_before),
        is_settled=True,
    )
