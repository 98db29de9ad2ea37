"""One look at the platform for all who wait: the organisation's list first, then what it did not show."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsConnectionError,
    MicsError,
    MicsRateLimitError,
)
from airflow_provider_mics.api.executions import get_execution
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.waiting import is_outage
from airflow_provider_mics.watching.audiences import Audience
from airflow_provider_mics.watching.lists import ListOrder, find_in_organisation
from airflow_provider_mics.watching.questions import (
    Answers,
    ExecutionQuestions,
    Target,
    ask_each,
    refuses_token,
)
from airflow_provider_mics.watching.sightings import Sighting
from airflow_provider_mics.watching.waits import AppearanceWait, Wait

if TYPE_CHECKING:
    from airflow_provider_mics.api.clients import AsyncMicsClient

FEWEST_FOR_LIST = 2
"""A single execution is asked for by its id: that answer is a hundredth of a page."""


class Looker:
    """Looks at the platform, and keeps what it learns of how to ask it."""

    def __init__(self) -> None:
        self._order = ListOrder()
        self._questions = ExecutionQuestions()

    async def look(
        self, client: AsyncMicsClient, waits: Sequence[Wait[Any]], poll_interval: float
    ) -> MicsError | None:
        """Tell each wait what was seen of it; the return value is why the platform must be given a rest, if so.

        :raises MicsError: the token is refused, or the platform cannot be reached for a reason that will not pass
        """
        audience = await Audience.gather(client, waits)
        try:
            sightings = await self._look_in_list(client, audience.targets)
        except MicsError as error:
            if not is_outage(error):
                raise
            trouble: MicsError | None = error
        else:
            unclear = audience.hear_list(sightings or {})
            executions = await self._questions.ask(client, unclear, poll_interval, audience.hear_of)
            appearances = await _look_for_appearances(client, audience, poll_interval, executions.stopped_by)
            trouble = executions.stopped_by or appearances.stopped_by
            if trouble is None and sightings is None:
                return _outage_of_all([*executions.by_key.values(), *appearances.by_key.values()])
        if trouble is not None:
            audience.hear_rest(trouble)
        return trouble

    async def _look_in_list(
        self, client: AsyncMicsClient, targets: Sequence[Target]
    ) -> dict[str, Sighting] | None:
        """What the organisation's list shows, by execution id; None where the list is of no use.

        :raises MicsError: it is more than the list that cannot be asked
        """
        if client.organisation_id is None or len(targets) < FEWEST_FOR_LIST:
            return None
        ids = [target.execution_id for target in targets]
        try:
            return await client.run(find_in_organisation(ids, self._order))
        except MicsError as error:
            if await _is_the_list_alone(client, error, targets):
                return None
            raise


async def _look_for_appearances(
    client: AsyncMicsClient, audience: Audience, poll_interval: float, stopped_by: MicsError | None
) -> Answers[AppearanceWait, Execution | None]:
    if stopped_by is not None:
        return Answers({}, stopped_by)
    looks = {wait: wait.look() for wait in audience.askable_appearances}
    return await ask_each(client, looks, poll_interval, audience.hear)


async def _is_the_list_alone(client: AsyncMicsClient, error: MicsError, targets: Sequence[Target]) -> bool:
    """Whether all but the list can be asked: no such route, no right to it, or it fails where others answer."""
    if refuses_token(error) or isinstance(error, MicsRateLimitError):
        return False
    if not is_outage(error):
        return isinstance(error, MicsApiError)
    if isinstance(error, MicsConnectionError) and error.certainly_not_sent:
        return False
    try:
        await client.run(get_execution(*random.choice(targets)))  # noqa: S311
    except MicsError as failure:
        return not is_outage(failure)
    return True


def _outage_of_all(answers: Sequence[object]) -> MicsError | None:
    """The outage that was the answer to every question."""
    outages = [each for each in answers if isinstance(each, MicsError) and is_outage(each)]
    return outages[0] if outages and len(outages) == len(answers) else None
