"""The trigger that waits for the execution of a tick, and what the triggers of tasks have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.core.exactly_once.identity import STRANGER_AGE, ExecutionIdentity
from airflow_provider_mics.core.polling import MakeClient, wait_until_created
from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.runtime import trigger_events
from airflow_provider_mics.runtime.failures import is_final, one_line_of

if TYPE_CHECKING:
    from airflow_provider_mics.api.clients import AsyncMicsClient

EXPIRED_DEADLINE_TIMEOUT = 10.0
"""Seconds for a first request where the deadline passed while no triggerer was running."""
SHORTEST_DEFERRAL = max(10.0, 5 * conf.getfloat("scheduler", "scheduler_idle_sleep_time", fallback=1.0))
"""Seconds from the start of a trigger to its event: several loops of a scheduler, which sleeps between them."""


class MicsTickTrigger(BaseTrigger):
    """Wait until the platform has created the execution of a tick, and fire one event.

    The event is read by ``runtime.trigger_events.outcome_of``.

    :param instance_id: the instance's id
    :param tick: the time of the tick, ISO 8601 with a UTC offset
    :param tolerance: seconds by which the execution's ``expected_start_date`` may differ
    :param candidate_times: other times at which the platform may fire this tick around a clock change, ISO 8601
    :param deadline: when to stop waiting, in epoch seconds (UTC)
    :param mics_conn_id: the Airflow connection of type ``mediarithmics``
    :param organisation_id: the organisation's id; by default the connection's
    :param poll_interval: seconds between two requests
    :param grace: seconds that the platform has after an outage, in which the deadline does not count; None if it does
    :param ignored_ids: executions of the tick that are not waited for
    :param give_up_at: when to stop waiting even in an outage, in epoch seconds (UTC); None for no limit
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
        grace: float | None = None,
        ignored_ids: list[str] | None = None,
        give_up_at: float | None = None,
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
        self.grace = grace
        self.ignored_ids = ignored_ids or []
        self.give_up_at = give_up_at

    @classmethod
    def of(cls, identity: ExecutionIdentity, until: datetime, **arguments: Any) -> MicsTickTrigger:
        """Return a trigger that waits for the execution of ``identity`` until ``until`` (an aware datetime)."""
        return cls(
            instance_id=identity.instance_id, deadline=until.timestamp(), **tick_of(identity), **arguments
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
            "grace": self.grace,
            "ignored_ids": self.ignored_ids,
            "give_up_at": self.give_up_at,
        }
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        began = asyncio.get_running_loop().time()
        event = await self._event()
        await rest_of_shortest_deferral(self, began)
        yield TriggerEvent(event)

    async def _event(self) -> dict[str, Any]:
        identity = identity_of_tick(self.instance_id, self.serialize()[1])
        timeout = timeout_at(self.deadline)
        try:
            async with timeout:
                execution = await wait_until_created(
                    **poller_arguments(self),
                    instance_id=self.instance_id,
                    matches=lambda each: identity.matches(each) and each.id not in self.ignored_ids,
                    since=searched_since(identity),
                    on_outage=partial(self._renew_grace, timeout),
                )
            return trigger_events.completed(execution)
        except TimeoutError as error:
            if not timeout.expired():
                return trigger_events.failed("", MicsError(one_line_of(error)), is_final=False)
            return trigger_events.timed_out("", f"the platform did not create the {identity}")
        except MicsError as error:
            return trigger_events.failed("", error, is_final=is_final(error))
        except Exception as error:  # noqa: BLE001 - as one line, and not as a traceback without retries
            return trigger_events.failed("", MicsError(one_line_of(error)), is_final=False)

    def _renew_grace(self, timeout: asyncio.Timeout, has_begun: bool) -> None:
        """Stop the platform's grace while it is down, and start it again afterwards."""
        if self.grace is None:
            return
        now = datetime.now(UTC).timestamp()
        ends = [self.give_up_at, None if has_begun else max(self.deadline, now + self.grace)]
        end = min((each for each in ends if each is not None), default=None)
        # The poller may still report when the wait is over.
        with suppress(RuntimeError):
            timeout.reschedule(None if end is None else asyncio.get_running_loop().time() + end - now)


def tick_of(identity: ExecutionIdentity) -> dict[str, Any]:
    """Return a tick as plain JSON, for the arguments of a trigger."""
    return {
        "tick": identity.expected_start_date.isoformat(),
        "tolerance": identity.tolerance.total_seconds(),
        "candidate_times": [moment.isoformat() for moment in identity.candidate_times],
    }


def identity_of_tick(instance_id: str, tick: dict[str, Any]) -> ExecutionIdentity:
    """Return the identity of a tick's execution from what `tick_of` returned."""
    return ExecutionIdentity(
        instance_id,
        ExecutionType.CRON,
        datetime.fromisoformat(tick["tick"]),
        timedelta(seconds=tick["tolerance"]),
        tuple(datetime.fromisoformat(moment) for moment in tick["candidate_times"]),
    )


def searched_since(identity: ExecutionIdentity) -> datetime:
    """Return from when on a trigger searches: what was created before the tick, the task has searched for itself."""
    return min(identity.expected_start_date, datetime.now(UTC)) - STRANGER_AGE


async def rest_of_shortest_deferral(trigger: BaseTrigger, began: float) -> None:
    """Sleep until `SHORTEST_DEFERRAL` after ``began`` (of the event loop's clock), where a scheduler runs the task.

    A scheduler reads from its executor that the first half of a task has ended once in each of its loops. If the
    second half is queued before that, it takes the end of the first for the end of the second, and fails the task
    (``process_executor_events`` in Airflow's ``scheduler_job_runner.py``). ``dag.test()`` has no scheduler.
    """
    left = began + SHORTEST_DEFERRAL - asyncio.get_running_loop().time()
    if trigger.task_instance is not None and left > 0:
        await asyncio.sleep(left)


def timeout_at(deadline: float | None) -> asyncio.Timeout:
    """Return a context that raises TimeoutError at ``deadline`` (epoch seconds), or never if that is None.

    A deadline that passed while no triggerer was running leaves time for one request: the execution may have ended
    before it.
    """
    if deadline is None:
        return asyncio.timeout(None)
    left = deadline - datetime.now(UTC).timestamp()
    return asyncio.timeout(left if left > 0 else EXPIRED_DEADLINE_TIMEOUT)


def poller_arguments(trigger: Any) -> dict[str, Any]:
    """Return how a trigger shares a poller with all others of the same connection and organisation."""
    key = trigger.mics_conn_id, trigger.organisation_id
    return {
        "key": key,
        "make_client": _make_client_of(*key),
        "poll_interval": trigger.poll_interval,
        "log": lambda line: trigger.log.log(line.level, "%s", line.message),
    }


@lru_cache(maxsize=256)
def _make_client_of(mics_conn_id: str, organisation_id: str | None) -> MakeClient:
    """Return one function for all triggers of a connection: there may be thousands."""

    async def make_client() -> AsyncMicsClient:
        # One retry: the poller backs off by itself, and a lost response is not worth a log line in each task.
        return await MicsHook(mics_conn_id, organisation_id).make_async_client(max_retries=1)

    return make_client
