"""A wait: what it waits for, what it has heard so far, and how its news reach the one who waits.

The watcher's task tells a wait what was seen; the waiting task reads the news. So log lines are written in the
context of the one who waits, which is how Airflow knows whose log they belong to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_mics.api.calls import Flow, Log, Now, Steps, flow
from airflow_provider_mics.api.errors import MicsError, MicsNotFoundError
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import OutageLog, backoff, is_outage, readable
from airflow_provider_mics.api.progress import APPEARS_WITHIN, HEARTBEAT, ExecutionLog
from airflow_provider_mics.api.validation import checked_id
from airflow_provider_mics.core.polling.execution_lists import Appearance, Matches, Sighting, Target

if TYPE_CHECKING:
    from airflow_provider_mics.api.clients import AsyncMicsClient


MakeClient = Callable[[], Awaitable["AsyncMicsClient"]]

Tell = Callable[[Log], object]

T = TypeVar("T")


SHORTEST_INTERVAL = 0.05

"""Seconds between two questions, whatever was asked for."""


@dataclass(frozen=True)
class _End(Generic[T]):
    """The last of a wait's news: what was waited for, or why it will not come."""

    value: T | None = None
    error: BaseException | None = None


class Wait(Generic[T]):
    """One who waits. ``poll_interval`` is in seconds; ``make_client`` serves all who wait on the same connection."""

    def __init__(self, name: str, poll_interval: float, make_client: MakeClient) -> None:
        self.poll_interval = max(poll_interval, SHORTEST_INTERVAL)
        self.make_client = make_client
        self.is_over = False
        self._name = name
        self._news: asyncio.Queue[Log | _End[T]] = asyncio.Queue()
        self._outage = OutageLog()
        self._missing_since: datetime | None = None
        self._failures_alone = 0
        self._not_asked_before = float("-inf")

    def learned(self, answer: Any, now: datetime) -> None:
        """Hear the answer of the platform on what is waited for."""
        raise NotImplementedError

    async def follow(self, tell: Tell) -> T:
        """Pass on the log lines as they come, and return what was waited for."""
        while True:
            news = await self._news.get()
            if isinstance(news, Log):
                tell(news)
            elif news.error is not None:
                # The same error ends many waits: each begins its traceback anew.
                raise news.error.with_traceback(None)
            else:
                return news.value  # type: ignore[return-value]

    def may_be_asked(self, loop_time: float) -> bool:
        """Whether asking for this one alone is due; after failures it is asked ever more seldom."""
        return loop_time >= self._not_asked_before

    def failed(self, error: MicsError, now: datetime) -> None:
        """Hear that asking failed: borne where it says nothing of what is waited for, else the end of this wait."""
        if isinstance(error, MicsNotFoundError):
            self._is_missing(error, now)
        elif is_outage(error):
            self._missing_since = None
            self._log(self._outage.failed(error, now))
        else:
            self.fail(error)

    def rest(self, error: MicsError, loop_time: float) -> None:
        """Not be asked for alone for a while, the longer the more often that failed in a row."""
        self._failures_alone += 1
        self._not_asked_before = loop_time + backoff(self.poll_interval, self._failures_alone, error)

    def note(self, line: Log) -> None:
        """Pass a line on to the log of the one who waits."""
        self._log([line])

    def fail(self, error: BaseException) -> None:
        self._end(_End(error=error))

    def _is_missing(self, error: MicsNotFoundError, now: datetime) -> None:
        if self._missing_since is None:
            self._missing_since = now
            patience = f"looking for it for {readable(APPEARS_WITHIN)}"
            self._log([Log(f"{self._name} is not found, {patience}: {error}", logging.WARNING)])
        elif now - self._missing_since >= APPEARS_WITHIN:
            self.fail(error)

    def _was_answered(self, now: datetime) -> None:
        self._missing_since = None
        self._failures_alone = 0
        self._not_asked_before = float("-inf")
        if self._outage.failures:
            self._log(self._outage.answered(now))

    def _succeed(self, value: T) -> None:
        self._end(_End(value))

    def _end(self, end: _End[T]) -> None:
        if not self.is_over:
            self.is_over = True
            self._news.put_nowait(end)

    def _log(self, lines: Iterable[Log]) -> None:
        for line in lines:
            self._news.put_nowait(line)


class ExecutionWait(Wait[Execution]):
    """Waits until an execution is over."""

    def __init__(
        self, instance_id: str, execution_id: str, poll_interval: float, make_client: MakeClient
    ) -> None:
        self.target = Target(checked_id("instance_id", instance_id), checked_id("execution_id", execution_id))
        name = f"Execution {execution_id} of instance {instance_id}"
        super().__init__(name, poll_interval, make_client)
        self._execution_log = ExecutionLog(*self.target)
        self._state: tuple[object, ...] = ()
        self._told_at: datetime | None = None

    def sighted(self, sighting: Sighting, now: datetime) -> bool:
        """Hear what a list shows; True where it says that the execution is over, so that it must be read in full."""
        is_told = self._told_at is not None and now - self._told_at < HEARTBEAT
        if not is_told or sighting.state != self._state:
            execution = sighting.as_execution()
            if execution.is_over:
                return True
            self._tell(execution, now)
            self._state = sighting.state
        self._was_answered(now)
        return False

    def learned(self, execution: Execution, now: datetime) -> None:
        """Hear the whole of the execution."""
        self._was_answered(now)
        self._tell(execution, now)
        if execution.is_over:
            self._succeed(execution)

    def _tell(self, execution: Execution, now: datetime) -> None:
        self._log(self._execution_log.lines(execution, now))
        self._told_at = now


class AppearanceWait(Wait[Execution]):
    """Waits until an instance has an execution that ``matches``."""

    def __init__(
        self, instance_id: str, matches: Matches, poll_interval: float, make_client: MakeClient
    ) -> None:
        checked_id("instance_id", instance_id)
        super().__init__(f"Instance {instance_id}", poll_interval, make_client)
        self._appearance = Appearance(instance_id, matches)

    def look(self) -> Flow[Execution | None]:
        return self._appearance.look()

    def learned(self, execution: Execution | None, now: datetime) -> None:
        """Hear what has appeared, or that nothing has."""
        self._was_answered(now)
        if execution is not None:
            self._succeed(execution)


class Audience:
    """Who waits, and for what; who has not heard of this look yet; and what time it is."""

    def __init__(self, waits: Sequence[Wait[Any]], now: datetime) -> None:
        self._began = now, asyncio.get_running_loop().time()
        self._unheard = dict.fromkeys(waits)
        self._appearances: list[AppearanceWait] = []
        self._groups: dict[Target, list[ExecutionWait]] = {}
        for wait in waits:
            if isinstance(wait, AppearanceWait):
                self._appearances.append(wait)
            elif isinstance(wait, ExecutionWait):
                self._groups.setdefault(wait.target, []).append(wait)

    @classmethod
    async def gather(cls, client: AsyncMicsClient, waits: Sequence[Wait[Any]]) -> Audience:
        """The audience of a look that begins now; the client knows what time it is."""
        return cls(waits, await client.run(_time()))

    @property
    def targets(self) -> list[Target]:
        """The executions that are waited for."""
        return list(self._groups)

    @property
    def askable_appearances(self) -> list[AppearanceWait]:
        return [wait for wait in self._appearances if wait.may_be_asked(self._loop_time)]

    def hear_list(self, sightings: Mapping[str, Sighting]) -> list[Target]:
        """Hear what a list shows; the targets that must be asked for by their ids: not in it, or over."""
        now, loop_time = self._now, self._loop_time
        unclear = []
        for target, group in self._groups.items():
            sighting = sightings.get(target.execution_id)
            if sighting is not None and not sighting.may_be_of(target.instance_id):
                sighting = None
            if sighting is not None and not any(wait.sighted(sighting, now) for wait in group):
                for wait in group:
                    self._unheard.pop(wait, None)
            elif any(wait.may_be_asked(loop_time) for wait in group):
                unclear.append(target)
        return unclear

    def hear_of(self, target: Target, answer: Execution | MicsError) -> None:
        """Hear what came of asking for an execution."""
        for wait in self._groups[target]:
            self.hear(wait, answer)

    def hear(self, wait: Wait[Any], answer: Any) -> None:
        """Hear what came of asking for what one waits for."""
        self._unheard.pop(wait, None)
        if not isinstance(answer, MicsError):
            wait.learned(answer, self._now)
            return
        wait.failed(answer, self._now)
        if is_outage(answer):
            wait.rest(answer, self._loop_time)

    def hear_rest(self, trouble: MicsError) -> None:
        """Hear, all who have heard nothing yet, why there was no use in asking."""
        for wait in self._unheard:
            wait.failed(trouble, self._now)

    @property
    def _loop_time(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def _now(self) -> datetime:
        began, loop_time = self._began
        return began + timedelta(seconds=self._loop_time - loop_time)


@flow
def _time() -> Steps[datetime]:
    now: datetime = yield Now()
    return now
