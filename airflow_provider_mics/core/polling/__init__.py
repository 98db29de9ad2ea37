"""Many waits, one poll: whoever waits on the same connection in the same event loop shares one watcher. Pure asyncio.

execution = await watch_execution(
    key=("mics_default", "1185"),
    make_client=hook.make_async_client,
    instance_id="42",
    execution_id="7",
    poll_interval=30.0,
    tell=lambda line: log.log(line.level, "%s", line.message),
)
"""

from __future__ import annotations

from airflow_provider_mics.core.polling.poller import WatcherStoppedError, until_appears, watch_execution
from airflow_provider_mics.core.polling.subscriptions import MakeClient, Tell

__all__ = ["MakeClient", "Tell", "WatcherStoppedError", "until_appears", "watch_execution"]
