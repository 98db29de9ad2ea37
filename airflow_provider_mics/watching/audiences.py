"""All who are to hear of one look: what was seen goes to those whom it concerns, as soon as it is known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.api.calls import Now, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.waiting import is_outage
from airflow_provider_mics.watching.questions import Target
from airflow_provider_mics.watching.sightings import Sighting
from airflow_provider_mics.watching.waits import AppearanceWait, ExecutionWait, Wait

if TYPE_CHECKING:
    from airflow_provider_mics.api.clients import AsyncMicsClient


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
