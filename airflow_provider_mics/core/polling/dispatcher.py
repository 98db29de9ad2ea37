"""Passing the results of one poll to the subscriptions that wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_mics.api.calls import Flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.core.polling.execution_lists import Target
from airflow_provider_mics.core.polling.listed_executions import ListDetail, ListedExecution
from airflow_provider_mics.core.polling.organisation_list import ListReading
from airflow_provider_mics.core.polling.subscriptions import (
    CompletionSubscription,
    InstanceSubscription,
    Subscription,
    Subscriptions,
)

Topic = Target | InstanceSubscription
"""What a result is about: an execution, or the search of one subscription."""
MOST_OPEN_IDS = 100
"""A subscription with more executions that are not over searches the list of its instance."""


class Dispatcher:
    """The subscriptions of one poll, and which of them still wait for a result of it."""

    def __init__(self, subscriptions: Subscriptions, now: datetime) -> None:
        self._started = now, self._loop_time
        self._pending = dict.fromkeys(subscriptions)
        self._completions: dict[Target, list[CompletionSubscription]] = {}
        self._of_instances: list[InstanceSubscription] = []
        for subscription in subscriptions:
            if isinstance(subscription, CompletionSubscription):
                self._completions.setdefault(subscription.target, []).append(subscription)
            elif isinstance(subscription, InstanceSubscription):
                self._of_instances.append(subscription)

    @property
    def targets(self) -> list[Target]:
        """The executions that are waited for."""
        return list(self._completions)

    @property
    def instance_ids(self) -> set[str]:
        """The instances of which new executions matter."""
        return {each.instance_id for each in self._of_instances}

    @property
    def wanted_ids(self) -> set[str]:
        """The executions whose state matters."""
        wanted = {each.execution_id for each in self._completions}
        for subscription in self._of_instances:
            if len(subscription.open_ids) <= MOST_OPEN_IDS:
                wanted |= subscription.open_ids
        return wanted

    def publish_list(
        self, reading: ListReading | None, detail: ListDetail
    ) -> tuple[list[Target], dict[Topic, Flow[Any]]]:
        """Publish what the organisation's list shows; return what to ask for by id, and which searches to run."""
        now, loop_time = self._now, self._loop_time
        unresolved: list[Target] = []
        for target, group in self._completions.items():
            listed = None if reading is None else reading.found.get(target.execution_id)
            if listed is not None and listed.instance_id in (None, target.instance_id):
                is_in_full = detail.shows_all_of(listed)
                # An item that one subscription cannot read, none can.
                if all(each.on_list_item(listed, now, is_in_full=is_in_full) for each in group):
                    for each in group:
                        del self._pending[each]
                    continue
            if any(each.is_due(loop_time) for each in group):
                unresolved.append(target)
        return unresolved, self._publish_new(reading, now, loop_time)

    def _publish_new(
        self, reading: ListReading | None, now: datetime, loop_time: float
    ) -> dict[Topic, Flow[Any]]:
        searches: dict[Topic, Flow[Any]] = {}
        for subscription in self._of_instances:
            shown = _shown_to(subscription, reading)
            executions = [execution for each in shown if (execution := each.as_execution()) is not None]
            is_continuous = (
                reading is not None
                and reading.is_continuous
                and len(executions) == len(shown)
                and subscription.open_ids <= reading.found.keys()
            )
            is_read = reading is not None
            if not subscription.on_list(executions, now, is_read=is_read, is_continuous=is_continuous):
                del self._pending[subscription]
            elif subscription.is_due(loop_time):
                searches[subscription] = subscription.search()
        return searches

    async def publish_all(self, results: AsyncGenerator[tuple[Topic, Any], None]) -> list[Any]:
        """Publish each result as soon as it comes, and return all of them."""
        published = []
        async with aclosing(results):
            async for topic, result in results:
                self._publish(topic, result)
                published.append(result)
        return published

    def publish_outage(self, outage: MicsError) -> None:
        """Publish to all pending subscriptions why there is no result for them."""
        for subscription in self._pending:
            subscription.on_error(outage, self._now)

    def _publish(self, topic: Topic, result: Any) -> None:
        group: list[Subscription] = (
            [topic] if isinstance(topic, InstanceSubscription) else [*self._completions[topic]]
        )
        for subscription in group:
            self._pending.pop(subscription, None)
            if not isinstance(result, MicsError):
                subscription.on_answer(result, self._now)
                continue
            subscription.on_error(result, self._now)
            if is_outage(result):
                subscription.back_off(result, self._loop_time)

    @property
    def _loop_time(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def _now(self) -> datetime:
        started, loop_time = self._started
        return started + timedelta(seconds=self._loop_time - loop_time)


def _shown_to(subscription: InstanceSubscription, reading: ListReading | None) -> list[ListedExecution]:
    """Return what a reading shows that matters to a subscription, each once."""
    if reading is None:
        return []
    shown = {each.id: each for each in reading.new.get(subscription.instance_id, ())}
    for name in subscription.open_ids & reading.found.keys():
        shown[name] = reading.found[name]
    return list(shown.values())
