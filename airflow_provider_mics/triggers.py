"""Waiting without a worker. All that matters is in a trigger's arguments, so that a restart loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.executions import cancel_execution
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.asset_triggers import MicsExecutionEventTrigger
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.polling import until_appears, watch_execution
from airflow_provider_mics.core.provisioning.executions import cancel_on_timeout
from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.runtime import trigger_events
from airflow_provider_mics.runtime.failures import is_final, one_line_of
from airflow_provider_mics.runtime.on_kill import (
    LONG_QUESTION_SECONDS,
    QUESTION_SECONDS,
    TaskWait,
    warm_up,
    was_killed_by_user_async,
)

__all__ = ["MicsExecutionEventTrigger", "MicsExecutionTrigger", "MicsTickTrigger"]

LATE_LOOK_SECONDS = 10.0
LAST_WORDS_SECONDS = 90.0
CANCEL_SECONDS = 8.0
"""A triggerer that shuts down gives its triggers ten seconds."""
IS_TOLD_OF_KILLS = hasattr(BaseTrigger, "on_kill")
"""Whether this Airflow tells a trigger that a person stopped its task (3.3 does)."""


class MicsExecutionTrigger(BaseTrigger):
    """Waits until an execution is over, through outages of any length.

    Its one event is read by `trigger_events.outcome_of`.

    :param instance_id: the instance
    :param execution_id: the execution to wait for
    :param mics_conn_id: the Airflow connection; the token never enters a trigger's arguments
    :param organisation_id: instead of the one in the connection's extra
    :param poll_interval: seconds between two questions to the platform
    :param deadline: when to give up, in epoch seconds: an absolute time, which a restart does not move
    :param cancel_on_kill: whether a person who stops the waiting task stops the batch
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
    ) -> None:
        super().__init__()
        self.instance_id = instance_id
        self.execution_id = execution_id
        self.mics_conn_id = mics_conn_id
        self.organisation_id = organisation_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.cancel_on_kill = cancel_on_kill
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
        }
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        if self.cancel_on_kill and self.task_instance is not None:
            warm_up(TaskWait.of(self.task_instance, self.execution_id))
        try:
            event = await self._event()
        except asyncio.CancelledError:
            # Before Airflow 3.3 a trigger is told nothing but this, whoever stopped it.
            if not IS_TOLD_OF_KILLS:
                await self.on_kill()
            raise
        self._fired = True
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """Cancel the execution, if a person stopped the task; leave it alone if the trigger only moves elsewhere."""
        if self._fired or not self.cancel_on_kill or self.task_instance is None:
            return
        waiting = TaskWait.of(self.task_instance, self.execution_id)
        patience = LONG_QUESTION_SECONDS if IS_TOLD_OF_KILLS else QUESTION_SECONDS
        if not await was_killed_by_user_async(waiting, patience):
            return
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                how = (await self._hook.arun(cancel_execution(self.instance_id, self.execution_id))).method
            self.log.info("The task was stopped: canceled %s (%s).", self._name, how)
        except (MicsError, TimeoutError) as error:
            line = one_line_of(error)
            self.log.error("The task was stopped, but %s could not be canceled: %s", self._name, line)

    @property
    def _hook(self) -> MicsHook:
        return MicsHook(self.mics_conn_id, self.organisation_id)

    async def _event(self) -> dict[str, Any]:
        scope = until(self.deadline)
        began_late = self.deadline is not None and self.deadline <= datetime.now(UTC).timestamp()
        try:
            async with scope:
                execution = await watch_execution(
                    **_sharing(self),
                    instance_id=self.instance_id,
                    execution_id=self.execution_id,
                )
        except TimeoutError as error:
            if not scope.expired():
                return trigger_events.failed(self.execution_id, MicsError(one_line_of(error)), is_final=False)
            return await self._out_of_time()
        except MicsError as error:
            return trigger_events.failed(self.execution_id, error, is_final=is_final(error))
        if began_late and self.cancel_on_kill and execution.canceled:
            # A triggerer that ended before it could tell has canceled it.
            return self._timed_out("; it is canceled", is_settled=True)
        return trigger_events.over(execution)

    async def _out_of_time(self) -> dict[str, Any]:
        """What to tell at the deadline: an end that came since the last look, or that the batch is canceled now.

        Canceled here and not by the task: Airflow 2 ends a task whose ``execution_timeout`` is over when it resumes,
        before it could do anything.
        """
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                stopped = await self._hook.arun(
                    cancel_on_timeout(self.instance_id, self.execution_id, cancels=self.cancel_on_kill)
                )
        except Exception as error:  # noqa: BLE001 - the task, which this event wakes, tries again
            self.log.warning("The time is up, and the platform cannot be asked: %s", one_line_of(error))
            return self._timed_out("", is_settled=False)
        if stopped.ended_by_itself:
            return trigger_events.over(stopped.execution)
        return self._timed_out(stopped.note, is_settled=True)

    def _timed_out(self, note: str, *, is_settled: bool) -> dict[str, Any]:
        moment = utc(datetime.fromtimestamp(self.deadline or 0, UTC))
        message = f"{self._name} was not over at {moment}{note}"
        return trigger_events.timed_out(self.execution_id, message, is_settled=is_settled)

    @property
    def _name(self) -> str:
        return f"execution {self.execution_id} of instance {self.instance_id}"


class MicsTickTrigger(BaseTrigger):
    """Waits until the platform has created the execution of a tick, or until its time to do so is over.

    :param instance_id: the instance
    :param tick: the moment of the cron, ISO 8601
    :param tolerance: seconds by which the platform's moment may differ
    :param candidate_times: other moments at which the platform may fire this tick (ISO 8601), where clocks change
    :param deadline: when to stop looking, in epoch seconds
    :param mics_conn_id: the Airflow connection
    :param organisation_id: instead of the one in the connection's extra
    :param poll_interval: seconds between two questions to the platform
    """

    def __init__(
        self,
        instance_id: str,
        tick: str,
        tolerance: float,
        candidate_times: list[str],
        deadline: float,
        mics_conn_id: str = MicsHook.default_conn_name,
        organisation_id: str | None = None,
        poll_interval: float = 30.0,
    ) -> None:
        super().__init__()
        self.instance_id = instance_id
        self.tick = tick
        self.tolerance = tolerance
        self.candidate_times = candidate_times
        self.deadline = deadline
        self.mics_conn_id = mics_conn_id
        self.organisation_id = organisation_id
        self.poll_interval = poll_interval

    @classmethod
    def of(cls, identity: ExecutionIdentity, until: datetime, **arguments: Any) -> MicsTickTrigger:
        """The trigger that waits for ``identity`` until ``until``."""
        return cls(
            instance_id=identity.instance_id,
            tick=identity.expected_start_date.isoformat(),
            tolerance=identity.tolerance.total_seconds(),
            candidate_times=[moment.isoformat() for moment in identity.candidate_times],
            deadline=until.timestamp(),
            **arguments,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {
            "instance_id": self.instance_id,
            "tick": self.tick,
            "tolerance": self.tolerance,
            "candidate_times": self.candidate_times,
            "deadline": self.deadline,
            "mics_conn_id": self.mics_conn_id,
            "organisation_id": self.organisation_id,
            "poll_interval": self.poll_interval,
        }
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        identity = ExecutionIdentity(
            self.instance_id,
            ExecutionType.CRON,
            datetime.fromisoformat(self.tick),
            timedelta(seconds=self.tolerance),
            tuple(datetime.fromisoformat(moment) for moment in self.candidate_times),
        )
        scope = until(self.deadline)
        try:
            async with scope:
                execution = await until_appears(
                    **_sharing(self), instance_id=self.instance_id, matches=identity.matches
                )
            event = trigger_events.over(execution)
        except TimeoutError as error:
            event = trigger_events.timed_out("", f"the platform did not create the {identity}")
            if not scope.expired():
                event = trigger_events.failed("", MicsError(one_line_of(error)), is_final=False)
        except MicsError as error:
            event = trigger_events.failed("", error, is_final=is_final(error))
        yield TriggerEvent(event)


def until(deadline: float | None) -> asyncio.Timeout:
    """Ends what is inside with TimeoutError at ``deadline`` (epoch seconds).

    One that passed while no triggerer ran leaves time for one look: the execution may have ended before it.
    """
    if deadline is None:
        return asyncio.timeout(None)
    left = deadline - datetime.now(UTC).timestamp()
    return asyncio.timeout(left if left > 0 else LATE_LOOK_SECONDS)


def _sharing(trigger: MicsExecutionTrigger | MicsTickTrigger) -> dict[str, Any]:
    """How a trigger waits together with all others on the same connection and organisation."""
    hook = MicsHook(trigger.mics_conn_id, trigger.organisation_id)
    return {
        "key": (trigger.mics_conn_id, trigger.organisation_id),
        # The watcher backs off by itself; a single lost answer is not worth a line in every log.
        "make_client": partial(hook.make_async_client, max_retries=1),
        "poll_interval": trigger.poll_interval,
        "tell": lambda line: trigger.log.log(line.level, "%s", line.message),
    }
