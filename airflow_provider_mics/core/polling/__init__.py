"""Shared polling: all waits on the same connection in one event loop share one poller. Pure asyncio.

ended = await wait_until_over(
    key=("mics_default", "1185"),
    make_client=hook.make_async_client,
    instance_id="42",
    execution_id="7",
    poll_interval=30.0,
    log=lambda line: logger.log(line.level, "%s", line.message),
)
"""

from __future__ import annotations

from airflow_provider_mics.core.polling.poller import (
    PollerStoppedError,
    wait_until_created,
    wait_until_over,
    watch_completions,
)
from airflow_provider_mics.core.polling.subscriptions import Completions, Ended, LogCallback, MakeClient

__all__ = [
    "Completions",
    "Ended",
    "LogCallback",
    "MakeClient",
    "PollerStoppedError",
    "wait_until_created",
    "wait_until_over",
    "watch_completions",
]
