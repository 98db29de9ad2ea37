"""Triggers that wait without a worker. All state is in their arguments, so a triggerer restart loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.executions import cancel_execution
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.asset_triggers import MicsExecutionEventTrigger
from airflow_provider_mics.core.exactly_once.twins import handle_twin
from airflow_provider_mics.core.polling import wait_until_created, wait_until_over
from airflow_provider_mics.core.provisioning.executions import cancel_on_timeout
from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.runtime import trigger_events
from airflow_provider_mics.runtime.failures import is_final, one_line_of
from airflow_provider_mics.runtime.on_kill import (
    LONG_QUERY_TIMEOUT,
    QUERY_TIMEOUT,
    TaskWait,
    warm_up,
    was_killed_by_user_async,
)
from airflow_provider_mics.tick_triggers import (
    MicsTickTrigger,
    identity_of_tick,
    poller_arguments,
    rest_of_shortest_deferral,
    searched_since,
    timeout_at,
)

__all__ = ["MicsExecutionEventTrigger", "MicsExecutionTrigger", "MicsTickTrigger"]
DEADLINE_HANDLING_TIMEOUT = 90.0
"""Seconds to cancel the execution once the deadline has passed, and to wait until the platform has stopped it."""
CANCEL_TIMEOUT = 8.0
"""Seconds to cancel the execution of a killed task: a triggerer that shuts down gives its triggers ten seconds."""
HAS_ON_KILL = hasattr(BaseTrigger, "on_kill")
"""Whether Airflow calls a trigger's ``on_kill`` when a user stops its task (3.3 and later)."""


class MicsExecutionTrigger(BaseTrigger):
    """Wait for the end of an execution, through outages of any length, and fire one event.

    The event is read by ``runtime.trigger_events.outcome_of``.

    :param instance_id: the instance's id
    :param execution_id: the execution's id
    :param mics_conn_id: the Airflow connection of type ``mediarithmics``; the token is never among the arguments
    :param organisation_id: the organisation's id; by default the connection's
    :param poll_interval: seconds between two requests
    :param deadline: when to stop waiting, in epoch seconds (UTC): an absolute time, which a restart does not change;
        None for no limit
    :param cancel_on_kill: whether to cancel the execution when a user stops the task, or at the deadline
    :param tick: the tick of the execution (`tick_of`), to notice a second execution of it; None for any other
    """

    def __init__(
        self,
        instance_id: str,
        execution_id: str,
        mics_conn_id: str = MicsHook.default_conn_name,
        organisation_id: str | None = None,
        poll_interval: float = 30.0,
        deadline: float | None = None,
        cancel_on_kill: bool = True,
        tick: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.instance_id = instance_id
        self.execution_id = execution_id
        self.mics_conn_id = mics_conn_id
        self.organisation_id = organisation_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.cancel_on_kill = cancel_on_kill
        self.tick = tick
        self._fired = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {
            "instance_id": self.instance_id,
            "execution_id": self.execution_id,
            "mics_conn_id": self.mics_conn_id,
            "organisation_id": self.organisation_id,
            "poll_interval": self.poll_interval,
            "deadline": self.deadline,
            "cancel_on_kill": self.cancel_on_kill,
            "tick": self.tick,
        }
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        if self.cancel_on_kill and self.task_instance is not None:
            warm_up(TaskWait.of(self.task_instance, self.execution_id))
        noticed = {self.execution_id}
        began = asyncio.get_running_loop().time()
        watch = None
        if self.tick is not None:
            watch = asyncio.create_task(self._notice_twins(self.tick, noticed))
        try:
            event = await self._event()
            await rest_of_shortest_deferral(self, began)
        except asyncio.CancelledError:
            if not HAS_ON_KILL:
                await self.on_kill()
            raise
        finally:
            if watch is not None:
                watch.cancel()
                await asyncio.wait([watch], timeout=CANCEL_TIMEOUT)
        self._fired = True
        if self.tick is not None:
            event["twins"] = sorted(noticed - {self.execution_id})
        yield TriggerEvent(event)

    async def _notice_twins(self, tick: dict[str, Any], noticed: set[str]) -> None:
        """Notice other executions of the tick, and add their ids to ``noticed``."""
        identity = identity_of_tick(self.instance_id, tick)
        grace = None if tick["grace"] is None else timedelta(seconds=tick["grace"])
        # The wait for the execution itself logs the outages.
        arguments = poller_arguments(self) | {"log": lambda _: None}
        with suppress(MicsError):
            while True:
                twin = await wait_until_created(
                    **arguments,
                    instance_id=self.instance_id,
                    matches=lambda each: identity.matches(each) and each.id not in noticed,
                    since=searched_since(identity),
                )
                if await self._hook.arun(handle_twin(identity, self.execution_id, twin, grace)):
                    noticed.add(twin.id)
                else:
                    await asyncio.sleep(self.poll_interval)

    async def on_kill(self) -> None:
        """Cancel the execution if a user stopped the task, but not if the trigger moves to another triggerer."""
        if self._fired or not self.cancel_on_kill or self.task_instance is None:
            return
        wait = TaskWait.of(self.task_instance, self.execution_id)
        if not await was_killed_by_user_async(wait, LONG_QUERY_TIMEOUT if HAS_ON_KILL else QUERY_TIMEOUT):
            return
        await self._cancel_stopped()

    async def _cancel_stopped(self) -> None:
        """Cancel the execution of a task that a user has stopped."""
        try:
            async with asyncio.timeout(CANCEL_TIMEOUT):
                canceled = await self._hook.arun(cancel_execution(self.instance_id, self.execution_id))
            self.log.info("The task was stopped: canceled %s (%s).", self._name, canceled.method)
        except (MicsError, TimeoutError) as error:
            line = one_line_of(error)
            self.log.error("The task was stopped, but %s could not be canceled: %s", self._name, line)

    @property
    def _hook(self) -> MicsHook:
        return MicsHook(self.mics_conn_id, self.organisation_id)

    async def _event(self) -> dict[str, Any]:
        is_expired = self.deadline is not None and self.deadline <= datetime.now(UTC).timestamp()
        timeout = timeout_at(self.deadline)
        try:
            async with timeout:
                execution, is_in_full = await wait_until_over(
                    **poller_arguments(self),
                    instance_id=self.instance_id,
                    execution_id=self.execution_id,
                )
        except TimeoutError as error:
            if not timeout.expired():
                return trigger_events.failed(self.execution_id, MicsError(one_line_of(error)), is_final=False)
            return await self._handle_deadline()
        except MicsError as error:
            return trigger_events.failed(self.execution_id, error, is_final=is_final(error))
        except Exception as error:  # noqa: BLE001 - as one line, and not as a traceback without retries
            return trigger_events.failed(self.execution_id, MicsError(one_line_of(error)), is_final=False)
        if is_expired and self.cancel_on_kill and execution.canceled:
            # Canceled at the deadline by a triggerer that stopped before it could fire the event.
            return self._timeout_event("; it is canceled", is_handled=True)
        return trigger_events.completed(execution, is_in_full=is_in_full)

    async def _handle_deadline(self) -> dict[str, Any]:
        """Cancel the execution, unless it has ended since the last request, and return the event.

        The trigger cancels it, and not the task: Airflow 2 ends a task whose ``execution_timeout`` has passed as soon
        as it resumes, before it can do anything.
        """
        try:
            async with asyncio.timeout(DEADLINE_HANDLING_TIMEOUT):
                result = await self._hook.arun(
                    cancel_on_timeout(self.instance_id, self.execution_id, should_cancel=self.cancel_on_kill)
                )
        except Exception as error:  # noqa: BLE001 - the resumed task tries again
            line = one_line_of(error)
            if isinstance(error, MicsError) and not is_outage(error):
                self.log.warning("Timed out, and %s could not be read: %s", self._name, line)
            else:
                self.log.warning("Timed out, and the platform is unreachable: %s", line)
            return self._timeout_event("", is_handled=False)
        if result.ended_by_itself:
            return trigger_events.completed(result.execution)
        return self._timeout_event(result.note, is_handled=True)

    def _timeout_event(self, note: str, *, is_handled: bool) -> dict[str, Any]:
        moment = utc(datetime.fromtimestamp(self.deadline or 0, UTC))
        message = f"{self._name} was not over at {moment}{note}"
        return trigger_events.timed_out(self.execution_id, message, is_handled=is_handled)

    @property
    def _name(self) -> str:
        return f"execution {self.execution_id} of instance {self.instance_id}"
