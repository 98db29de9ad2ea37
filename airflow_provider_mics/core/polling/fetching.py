"""One poll of the platform: the organisation's list first, then what the list does not answer.

Results come as a stream of ``(key, result)`` pairs, each as soon as it is known; an error is the result of its own key
only. The stream ends when every key has its result, or raises what makes further requests useless: a refused token, or
an outage.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Collection, Hashable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from airflow_provider_mics.api.calls import Call, Job, Now
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsAuthError,
    MicsConnectionError,
    MicsError,
    MicsRateLimitError,
)
from airflow_provider_mics.api.executions import (
    NO_SUCH_ROUTE,
    execution_not_found,
    execution_path,
    get_execution,
    is_missing,
)
from airflow_provider_mics.api.field_types import OVER
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.api.responses import one, one_with_raw
from airflow_provider_mics.core.polling.dispatcher import Dispatcher
from airflow_provider_mics.core.polling.execution_lists import Target, find_in_instance
from airflow_provider_mics.core.polling.listed_executions import ListDetail, ListedExecution
from airflow_provider_mics.core.polling.organisation_list import ListReading, OrganisationList
from airflow_provider_mics.core.polling.subscriptions import Subscriptions

if TYPE_CHECKING:
    from airflow_provider_mics.api.clients import AsyncMicsClient

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Targets = Sequence[Target]
Results = AsyncGenerator[tuple[K, T | MicsError], None]
MIN_WAITS_FOR_LIST = 2
"""A single execution is requested by its id: that answer is a hundredth of a page."""
MAX_CONCURRENT = 8
"""Maximum number of open requests; the client's pool has ten connections."""
MAX_OUTAGES_IN_A_ROW = MAX_CONCURRENT
"""After this many outages in a row, the remaining requests of the poll are not sent."""
MAX_JITTER = 1.0
"""Maximum random delay (s) before each request, to avoid bursts."""
LIST_FIRST_SECONDS = 600.0
"""How long instance lists are read first on a platform without the route of a single execution."""


class ExecutionFetcher:
    """Polls the platform, and remembers between polls which requests work there."""

    def __init__(self) -> None:
        self._list = OrganisationList()
        self._detail = ListDetail()
        self._requests = ExecutionRequests()

    async def fetch(
        self, client: AsyncMicsClient, subscriptions: Subscriptions, poll_interval: float
    ) -> MicsError | None:
        """Publish to each subscription what the platform says; return the outage to back off from, if any.

        :raises MicsAuthError: the token is refused
        :raises MicsError: the platform is unreachable and a retry would not help
        """
        dispatcher = Dispatcher(subscriptions, await client.perform(Now()))
        try:
            reading = await self._read_list(client, dispatcher, len(subscriptions))
            unresolved, searches = dispatcher.publish_list(reading, self._detail)
            results = await dispatcher.publish_all(self._requests.results(client, unresolved, poll_interval))
            found = gather_limited(client, searches, poll_interval)
            results += await dispatcher.publish_all(_unless_refused(found))
        except MicsError as error:
            if refuses_token(error) or not is_outage(error):
                raise
            dispatcher.publish_outage(error)
            return error
        if reading is None:
            return _common_outage(results)
        await self._check_detail(client, dispatcher.targets, reading)
        return None

    async def _read_list(
        self, client: AsyncMicsClient, dispatcher: Dispatcher, waits: int
    ) -> ListReading | None:
        """Read the organisation's list; None if it cannot be used.

        :raises MicsError: not only the list fails
        """
        if client.organisation_id is None or waits < MIN_WAITS_FOR_LIST:
            return None
        try:
            return await self._list.read(client, dispatcher.wanted_ids, dispatcher.instance_ids)
        except MicsError as error:
            if await _only_list_fails(client, error, dispatcher.targets, dispatcher.instance_ids):
                return None
            raise

    async def _check_detail(self, client: AsyncMicsClient, targets: Targets, reading: ListReading) -> None:
        """Compare one execution of each status that is over with the resource itself, where that is due."""
        now = asyncio.get_running_loop().time()
        due: dict[str, tuple[Target, ListedExecution]] = {}
        for target in targets:
            listed = reading.found.get(target.execution_id)
            if listed is not None and listed.item["status"] in OVER and self._detail.is_due(listed, now):
                due[listed.item["status"]] = target, listed
        for target, listed in due.values():
            call = Call("GET", execution_path(*target), one_with_raw(Execution, has_id=target.execution_id))
            with suppress(MicsError):
                _, resource = await client.run(call)
                self._detail.compare(listed, resource or {}, now)


async def _only_list_fails(
    client: AsyncMicsClient, error: MicsError, targets: Targets, instance_ids: Collection[str]
) -> bool:
    """Whether other requests work: the list's route or the right to it is missing, or the list alone fails."""
    if isinstance(error, MicsRateLimitError):
        return False
    if not is_outage(error) and not refuses_token(error):
        return isinstance(error, MicsApiError)
    if isinstance(error, MicsConnectionError) and error.certainly_not_sent:
        return False
    other: Job[Any] = (
        get_execution(*random.choice(targets))  # noqa: S311
        if targets
        else get_instance(next(iter(instance_ids)))
    )
    try:
        await client.run(other)
    except MicsError as failure:
        return not is_outage(failure) and not refuses_token(failure)
    return True


class ExecutionRequests:
    """Requests executions in full: each by its id, or those of one instance by the instance's list.

    A 404 means "no such execution" or "no such route", so an execution counts as gone only if neither way finds it,
    and both answers are the platform's. If the route by id is missing, the lists are read first for a while.
    """

    def __init__(self) -> None:
        self._list_first_until = float("-inf")

    async def results(
        self, client: AsyncMicsClient, targets: Targets, poll_interval: float
    ) -> Results[Target, Execution]:
        """Stream the result for each target; a MicsNotFoundError for an execution that the platform does not have.

        :raises MicsError: see `gather_limited`
        """
        now = asyncio.get_running_loop().time()
        is_list_first = now < self._list_first_until
        first, second = (_by_list, _by_id) if is_list_first else (_by_id, _by_list)
        refusals: dict[Target, MicsApiError] = {}
        async with aclosing(first(client, targets, poll_interval)) as results:
            async for target, result in results:
                if _is_of_one_route(result):
                    refusals[target] = result
                else:
                    yield target, result
        async with aclosing(_unless_refused(second(client, list(refusals), poll_interval))) as results:
            async for target, result in results:
                if isinstance(result, Execution) and not is_list_first:
                    self._list_first_until = now + LIST_FIRST_SECONDS
                if not is_missing(result):
                    yield target, result
                elif is_missing(refusals[target]):
                    # A 405 counts as a 404 here: both ways failed to find the execution.
                    yield target, execution_not_found(*target)
                else:
                    yield target, refusals[target]


def _by_id(client: AsyncMicsClient, targets: Targets, poll_interval: float) -> Results[Target, Execution]:
    jobs = {
        target: Call("GET", execution_path(*target), one(Execution, has_id=target.execution_id))
        for target in targets
    }
    return gather_limited(client, jobs, poll_interval)


async def _by_list(
    client: AsyncMicsClient, targets: Targets, poll_interval: float
) -> Results[Target, Execution]:
    """Read one list for all targets of an instance."""
    ids: dict[str, list[str]] = {}
    for target in targets:
        ids.setdefault(target.instance_id, []).append(target.execution_id)
    jobs = {instance_id: find_in_instance(instance_id, wanted) for instance_id, wanted in ids.items()}
    async with aclosing(gather_limited(client, jobs, poll_interval)) as lists:
        async for instance_id, found in lists:
            for target in (Target(instance_id, execution_id) for execution_id in ids[instance_id]):
                if isinstance(found, MicsError):
                    yield target, found
                else:
                    yield target, found.get(target.execution_id) or execution_not_found(*target)


async def gather_limited(
    client: AsyncMicsClient, jobs: Mapping[K, Job[T]], poll_interval: float
) -> Results[K, T]:
    """Run the jobs in random order, at most `MAX_CONCURRENT` at once; stream each result as soon as it is known.

    :raises MicsError: an error after which the remaining jobs are not run: a 429, or the last of
        `MAX_OUTAGES_IN_A_ROW`, where a refused token counts as an outage
    """
    waiting = list(jobs.items())
    random.shuffle(waiting)
    jitter = _jitter(len(waiting), poll_interval)
    running: dict[asyncio.Task[T | MicsError], K] = {}
    stopped_by: MicsError | None = None
    outages_in_a_row = 0
    try:
        while waiting or running:
            while waiting and len(running) < MAX_CONCURRENT:
                key, job = waiting.pop()
                running[asyncio.create_task(_run_job(client, job, jitter))] = key
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in [each for each in running if each.done()]:
                key, result = running.pop(task), task.result()
                outages_in_a_row = outages_in_a_row + 1 if _is_outage(result) else 0
                if stopped_by is None and _stops(result, outages_in_a_row):
                    stopped_by = result
                    waiting.clear()
                else:
                    yield key, result
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    if stopped_by is not None:
        raise stopped_by


async def _run_job(client: AsyncMicsClient, job: Job[T], jitter: float) -> T | MicsError:
    await asyncio.sleep(random.uniform(0, jitter))  # noqa: S311
    try:
        return await client.run(job)
    except MicsError as error:
        return error


async def _unless_refused(results: Results[K, T]) -> Results[K, T]:
    """Stream the results.

    :raises MicsError: the first result that is a refused token, which is not the result of its own key only
    """
    async with aclosing(results):
        async for key, result in results:
            if refuses_token(result):
                raise result
            yield key, result


def _jitter(count: int, poll_interval: float) -> float:
    """Return the maximum delay (s) before each of ``count`` requests: all take a tenth of the interval on average."""
    return min(MAX_JITTER, poll_interval / 5 * MAX_CONCURRENT / count) if count > MAX_CONCURRENT else 0.0


def _stops(result: object, outages_in_a_row: int) -> TypeGuard[MicsError]:
    return isinstance(result, MicsRateLimitError) or outages_in_a_row >= MAX_OUTAGES_IN_A_ROW


def refuses_token(error: object) -> TypeGuard[MicsAuthError]:
    """Whether the token itself is refused (401), not only its right to one resource (403)."""
    return isinstance(error, MicsAuthError) and error.status_code == 401


def _is_outage(result: object) -> TypeGuard[MicsError]:
    """Whether a result says nothing of its execution; one that only says something of its route is not counted."""
    if refuses_token(result):
        return True
    return isinstance(result, MicsError) and is_outage(result) and not _is_of_one_route(result)


def _common_outage(results: Sequence[object]) -> MicsError | None:
    """Return an outage if every result is one."""
    outages = [each for each in results if isinstance(each, MicsError) and is_outage(each)]
    return outages[0] if outages and len(outages) == len(results) else None


def _is_of_one_route(result: object) -> TypeGuard[MicsApiError]:
    """Whether another route may work: this one is missing, refused, or has a gateway of its own that refuses it."""
    if not isinstance(result, MicsApiError):
        return False
    return (
        result.status_code in NO_SUCH_ROUTE
        or refuses_token(result)
        or (
            not result.from_platform
            and 300 <= result.status_code < 500
            and not isinstance(result, MicsRateLimitError)
        )
    )
