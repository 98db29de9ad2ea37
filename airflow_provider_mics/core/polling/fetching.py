"""One look at the platform for all who wait: the organisation's list first, then what it did not show."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeGuard, TypeVar

from airflow_provider_mics.api.calls import Call, Job
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsConnectionError,
    MicsError,
    MicsNotFoundError,
    MicsRateLimitError,
)
from airflow_provider_mics.api.executions import NO_SUCH_ROUTE, execution_path, get_execution
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.api.responses import one
from airflow_provider_mics.core.polling.execution_lists import (
    ListOrder,
    Sighting,
    Target,
    find_in_instance,
    find_in_organisation,
)
from airflow_provider_mics.core.polling.subscriptions import AppearanceWait, Audience, Wait

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


K = TypeVar("K", bound=Hashable)

T = TypeVar("T")


AT_ONCE = 8

"""Questions that are open at the same time; the client's pool has ten connections."""

MOST_FAILURES_IN_A_ROW = AT_ONCE

"""After so many outages in a row, the platform is not asked the rest."""

LONGEST_HESITATION = 1.0

"""Seconds before a question, at random: what many ask at the same moment comes as a shower, not as a blow."""

LIST_FIRST_FOR = 600.0

"""Seconds for which a platform that does not know the route of one execution is not asked on it first."""


Hear = Callable[[Target, Execution | MicsError], None]


@dataclass
class Answers(Generic[K, T]):
    """What came of each question. ``stopped_by`` is what made it no use to ask the rest, which have no answer."""

    by_key: dict[K, T | MicsError]
    stopped_by: MicsError | None = None


def refuses_token(error: MicsError | None) -> TypeGuard[MicsApiError]:
    """Whether the token itself is refused, not only what it was used for."""
    return isinstance(error, MicsApiError) and error.status_code == 401


async def ask_each(
    client: AsyncMicsClient,
    jobs: Mapping[K, Job[T]],
    poll_interval: float,
    hear: Callable[[K, T | MicsError], None],
) -> Answers[K, T]:
    """Run the jobs in any order, and let each answer be heard as it comes: no slow one keeps another waiting.

    An error is the answer of its own job only, unless it says that asking on is no use.

    :raises MicsError: the token is refused
    """
    return await _Round(client, jobs, poll_interval, hear).run()


class _Round(Generic[K, T]):
    def __init__(
        self,
        client: AsyncMicsClient,
        jobs: Mapping[K, Job[T]],
        poll_interval: float,
        hear: Callable[[K, T | MicsError], None],
    ) -> None:
        self._client = client
        self._left = list(jobs.items())
        random.shuffle(self._left)
        # All hesitations together take a tenth of the interval; a few questions need none.
        share = poll_interval / 5 * AT_ONCE / max(1, len(self._left))
        self._hesitation = min(LONGEST_HESITATION, share) if len(self._left) > AT_ONCE else 0.0
        self._hear = hear
        self._failures_in_a_row = 0
        self._answers: Answers[K, T] = Answers({})

    async def run(self) -> Answers[K, T]:
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(AT_ONCE, len(self._left))):
                    workers.create_task(self._work())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        return self._answers

    async def _work(self) -> None:
        while self._left and self._answers.stopped_by is None:
            key, job = self._left.pop()
            await asyncio.sleep(random.uniform(0, self._hesitation))  # noqa: S311
            try:
                answer: T | MicsError = await self._client.run(job)
            except MicsError as error:
                if refuses_token(error):
                    raise
                answer = error
            self._note(answer)
            if answer is not self._answers.stopped_by:
                self._answers.by_key[key] = answer
                self._hear(key, answer)

    def _note(self, answer: T | MicsError) -> None:
        if not isinstance(answer, MicsError) or not is_outage(answer):
            self._failures_in_a_row = 0
            return
        self._failures_in_a_row += 1
        is_enough = self._failures_in_a_row >= MOST_FAILURES_IN_A_ROW or isinstance(
            answer, MicsRateLimitError
        )
        if is_enough and self._answers.stopped_by is None:
            self._answers.stopped_by = answer


class ExecutionQuestions:
    """Asks for single executions: each by its id, or those of one instance by its list.

    A 404 can mean that there is no such execution or no such route: only where both ways know nothing of it, it is
    gone. A platform that lacks the route is asked for lists first for a while.
    """

    def __init__(self) -> None:
        self._list_first_until = float("-inf")

    async def ask(
        self, client: AsyncMicsClient, targets: Collection[Target], poll_interval: float, hear: Hear
    ) -> Answers[Target, Execution]:
        """The executions in full; a MicsNotFoundError for one that the platform does not have.

        :raises MicsError: the token is refused
        """

        def hear_unless_missing(target: Target, answer: Execution | MicsError) -> None:
            if not _is_missing(answer):
                hear(target, answer)

        now = asyncio.get_running_loop().time()
        list_first = now < self._list_first_until
        ways = (_ask_lists, _ask_by_id) if list_first else (_ask_by_id, _ask_lists)
        answers = await ways[0](client, targets, poll_interval, hear_unless_missing)
        missing = [target for target, answer in answers.by_key.items() if _is_missing(answer)]
        if not missing or answers.stopped_by is not None:
            return answers
        others = await ways[1](client, missing, poll_interval, _with_405_as_missing(hear))
        if not list_first and any(isinstance(answer, Execution) for answer in others.by_key.values()):
            self._list_first_until = now + LIST_FIRST_FOR
        return Answers(answers.by_key | others.by_key, others.stopped_by)


async def _ask_by_id(
    client: AsyncMicsClient, targets: Collection[Target], poll_interval: float, hear: Hear
) -> Answers[Target, Execution]:
    jobs = {target: Call("GET", execution_path(*target), one(Execution)) for target in targets}
    return await ask_each(client, jobs, poll_interval, hear)


async def _ask_lists(
    client: AsyncMicsClient, targets: Collection[Target], poll_interval: float, hear: Hear
) -> Answers[Target, Execution]:
    """One list for all targets of an instance."""
    ids: dict[str, list[str]] = {}
    for target in targets:
        ids.setdefault(target.instance_id, []).append(target.execution_id)
    answers: dict[Target, Execution | MicsError] = {}

    def hear_list(instance_id: str, found: dict[str, Execution] | MicsError) -> None:
        for execution_id in ids[instance_id]:
            target = Target(instance_id, execution_id)
            answers[target] = (
                found if isinstance(found, MicsError) else found.get(execution_id, _not_found(target))
            )
            hear(target, answers[target])

    jobs = {instance_id: find_in_instance(instance_id, wanted) for instance_id, wanted in ids.items()}
    lists = await ask_each(client, jobs, poll_interval, hear_list)
    return Answers(answers, lists.stopped_by)


def _with_405_as_missing(hear: Hear) -> Hear:
    """Where neither way knows of an execution, it does not matter in which words."""

    def hear_missing(target: Target, answer: Execution | MicsError) -> None:
        no_route = _is_missing(answer) and not isinstance(answer, MicsNotFoundError)
        hear(target, _not_found(target) if no_route else answer)

    return hear_missing


def _is_missing(answer: Execution | MicsError) -> bool:
    return isinstance(answer, MicsApiError) and answer.status_code in NO_SUCH_ROUTE


def _not_found(target: Target) -> MicsNotFoundError:
    return MicsNotFoundError(
        f"instance {target.instance_id} has no execution {target.execution_id}",
        status_code=404,
        request=f"GET /v1/{execution_path(*target)}",
    )
