"""Waiting through a watcher that is shared with all who wait on the same connection in the same event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import TypeVar
from weakref import WeakValueDictionary

from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.watching.appearances import Matches
from airflow_provider_mics.watching.waits import AppearanceWait, ExecutionWait, MakeClient, Tell, Wait
from airflow_provider_mics.watching.watcher import Watcher

T = TypeVar("T")

_watchers: WeakValueDictionary[tuple[int, Hashable], Watcher] = WeakValueDictionary()
"""By event loop and key. Those who wait keep their watcher alive, and it keeps its loop: nothing outlives them here."""


async def watch_execution(
    *,
    key: Hashable,
    make_client: MakeClient,
    instance_id: str,
    execution_id: str,
    poll_interval: float = 30.0,
    tell: Tell,
) -> Execution:
    """Wait until an execution is over, through outages of any length, and return it in full, however it ended.

    There is no deadline: put `asyncio.timeout` around it.

    :param key: the connection id and the organisation id: those with the same key share one poll and one client
    :param make_client: makes a client for that connection; called again once when the token is refused, so it must
        read the connection anew. The watcher retries by itself: a client with few retries of its own serves it best
    :param poll_interval: seconds between two looks; among those who share, the shortest counts
    :param tell: called with each log line, in the task and context of the caller: one for each change, and one every
        five minutes
    :raises MicsAuthError: the token is refused, by a newly made client too
    :raises MicsNotFoundError: the platform has not had the execution for a minute
    :raises MicsError: the platform refuses to show this execution, for good
    :raises WatcherStoppedError: somebody else stopped the shared task
    """
    wait = ExecutionWait(instance_id, execution_id, poll_interval, make_client)
    return await _wait_with_others(key, wait, tell)


async def until_appears(
    *,
    key: Hashable,
    make_client: MakeClient,
    instance_id: str,
    matches: Matches,
    poll_interval: float = 30.0,
    tell: Tell,
) -> Execution:
    """Wait until the instance has an execution that ``matches``, and return it; the newest where several do.

    ``matches`` must judge by what never changes of an execution: one that did not match is not asked about again at
    every look. All else as in `watch_execution`.
    """
    return await _wait_with_others(
        key, AppearanceWait(instance_id, matches, poll_interval, make_client), tell
    )


async def _wait_with_others(key: Hashable, wait: Wait[T], tell: Tell) -> T:
    watcher = _watcher(key)
    watcher.join(wait)
    try:
        return await wait.follow(tell)
    finally:
        await watcher.leave(wait)


def _watcher(key: Hashable) -> Watcher:
    loop = asyncio.get_running_loop()
    watcher = _watchers.get((id(loop), key))
    if watcher is None or watcher.loop is not loop or not watcher.is_open:
        watcher = _watchers[id(loop), key] = Watcher(f"mediarithmics watcher of {key}")
    return watcher
