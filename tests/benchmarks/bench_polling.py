"""What waiting costs: N waits in one process, ours beside the least that does the same work and beside other providers.

``python -m tests.benchmarks.bench_polling [--short] [N ...]`` prints a table as Markdown (N: 100, 1,000 and 5,000).
Each row is measured in a process of its own, all in one run: on another machine the times differ, the ratios hardly do.

* CPU: seconds a minute of the waiting process, while nothing changes.
* lag: seconds from the end of an execution to the event of its wait. All end within one interval.
* memory: KiB a wait, from the resident set before and after the waits began.
* requests: of one poll while nothing changes, and of all from the first end to the last event.
"""
# ruff: noqa: T201 - it prints a table

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import requests

from tests.benchmarks import peer_waits
from tests.benchmarks.list_platform import FIRST_ID, INSTANCE

INTERVAL = 10.0
ORGANISATION, TOKEN = "1185", "benchmark-token"
Waits = Callable[[str, str], Awaitable[Any]]
"""Waits for one execution, at this address and of this id."""


async def wait_at_the_floor(url: str, execution_id: str) -> None:
    """Read pages of 100 with one httpx client, of each item its id and status only, once for all waits."""
    await _floor_of(url).wait(execution_id)


class _Floor:
    def __init__(self, url: str) -> None:
        import httpx
        from pydantic import BaseModel

        class Item(BaseModel):
            id: str
            status: str

        class Page(BaseModel):
            data: list[Item]
            total: int

        self._read_page = Page.model_validate_json
        self._path = f"{url}/v1/integration_batch_instances.executions"
        self._http = httpx.AsyncClient(headers={"Authorization": TOKEN})
        self._waits: dict[str, asyncio.Future[None]] = {}
        self._task = asyncio.create_task(self._poll())

    def wait(self, execution_id: str) -> asyncio.Future[None]:
        self._waits[execution_id] = asyncio.get_running_loop().create_future()
        return self._waits[execution_id]

    async def _poll(self) -> None:
        due = asyncio.get_running_loop().time() + 1
        while True:
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            due += INTERVAL
            total = await self._page(0)
            starts = list(range(100, total, 100))
            for index in range(0, len(starts), 4):
                await asyncio.gather(*map(self._page, starts[index : index + 4]))

    async def _page(self, first: int) -> int:
        query = {"organisation_id": ORGANISATION, "first_result": first, "max_results": 100}
        page = self._read_page((await self._http.get(self._path, params=query)).content)
        for item in page.data:
            if item.status in ("SUCCEEDED", "FAILED", "CANCELED") and item.id in self._waits:
                self._waits.pop(item.id).set_result(None)
        return page.total


_floors: list[_Floor] = []


def _floor_of(url: str) -> _Floor:
    if not _floors:
        _floors.append(_Floor(url))
    return _floors[0]


async def wait_with_the_poller(url: str, execution_id: str) -> None:
    from airflow_provider_mics.api import AsyncMicsClient
    from airflow_provider_mics.core.polling import wait_until_over

    async def make_client() -> AsyncMicsClient:
        return AsyncMicsClient(url, TOKEN, ORGANISATION)

    await wait_until_over(
        key="benchmark",
        make_client=make_client,
        instance_id=INSTANCE,
        execution_id=execution_id,
        poll_interval=INTERVAL,
        log=lambda line: None,
    )


async def wait_with_the_trigger(url: str, execution_id: str) -> None:
    from airflow_provider_mics.triggers import MicsExecutionTrigger

    if "AIRFLOW_CONN_MICS_DEFAULT" not in os.environ:
        connection = {
            "conn_type": "mediarithmics", "host": url, "password": TOKEN, "extra": {"organisation_id": ORGANISATION}
        }  # fmt: skip
        os.environ["AIRFLOW_CONN_MICS_DEFAULT"] = json.dumps(connection)
    trigger = MicsExecutionTrigger(INSTANCE, execution_id, poll_interval=INTERVAL)
    async for event in trigger.run():
        assert event.payload["status"] == "completed", event


ROWS: dict[str, Waits] = {
    "floor": wait_at_the_floor,
    "our poller": wait_with_the_poller,
    **({"our trigger": wait_with_the_trigger} if importlib.util.find_spec("airflow") else {}),
    **peer_waits.present(),
}


class Platform:
    def __init__(self, count: int) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.list_platform", str(count)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def end(self, within: float) -> None:
        requests.post(f"{self.url}/end", params={"within": within}, timeout=30)

    def seen(self) -> dict[str, Any]:
        seen: dict[str, Any] = requests.get(f"{self.url}/counts", timeout=30).json()
        return seen

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def resident_kib() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


async def measure(row: str, count: int, polls: int) -> dict[str, Any]:
    """Measure a row: start ``count`` waits, let them be polled ``polls`` times, and end all executions."""
    wait, platform = ROWS[row], Platform(count + 1)
    fired: dict[int, float] = {}

    async def one(number: int) -> None:
        await wait(platform.url, str(FIRST_ID + number))
        fired[number] = time.time()

    try:
        warm = asyncio.create_task(one(count))
        # Until everything is imported.
        await asyncio.sleep(INTERVAL)
        before = resident_kib()
        tasks = [asyncio.create_task(one(number)) for number in range(count)]
        await asyncio.sleep(INTERVAL + 4)
        memory = (resident_kib() - before) / count
        asked, cpu, began = await asyncio.to_thread(platform.seen), time.process_time(), time.monotonic()
        await asyncio.sleep(polls * INTERVAL)
        cpu = (time.process_time() - cpu) / (time.monotonic() - began) * 60
        polled = await asyncio.to_thread(platform.seen)
        await asyncio.to_thread(platform.end, INTERVAL)
        async with asyncio.timeout(60 * INTERVAL):
            await asyncio.gather(*tasks, warm)
        ended = await asyncio.to_thread(platform.seen)
    finally:
        platform.close()
    lags = sorted(fired[number] - ended["ended_at"][number] for number in range(count))
    return {
        "cpu": cpu,
        "p50": statistics.median(lags),
        "p99": lags[int(0.99 * (count - 1))],
        "memory": memory,
        "per_poll": sum(polled["requests"].values()) / polls - sum(asked["requests"].values()) / polls,
        "at_end": sum(ended["requests"].values()) - sum(polled["requests"].values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("counts", nargs="*", type=int, default=[100, 1000, 5000])
    parser.add_argument("--short", action="store_true", help="100 waits and one poll: whether it runs")
    parser.add_argument("--polls", type=int, default=3)
    parser.add_argument("--rows", help="only these, such as 'floor,our trigger'")
    parser.add_argument("--only", help="one row, as JSON")
    chosen = parser.parse_args()
    counts, polls = ([100], 1) if chosen.short else (chosen.counts, chosen.polls)
    logging.disable()
    if chosen.only:
        print(json.dumps(asyncio.run(measure(chosen.only, counts[0], polls))))
        return
    print("| waits | | CPU s/min | lag p50 / p99 (s) | KiB a wait | requests: a poll / at the end |")
    print("|---|---|---|---|---|---|")
    for count in counts:
        for row in chosen.rows.split(",") if chosen.rows else ROWS:
            arguments = ["--only", row, "--polls", str(polls), str(count)]
            command = [sys.executable, "-m", "tests.benchmarks.bench_polling", *arguments]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            cost = json.loads(told.splitlines()[-1])
            print(
                f"| {count:,} | {row} | {cost['cpu']:.2f} | {cost['p50']:.1f} / {cost['p99']:.1f} "
                f"| {cost['memory']:.1f} | {cost['per_poll']:.0f} / {cost['at_end']} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
