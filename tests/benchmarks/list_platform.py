"""A platform for benchmarks, as fast as Python can be: N executions of one instance, which run until they are ended.

``python -m tests.benchmarks.list_platform N`` prints its port and serves until its input ends. Each answer takes
``LATENCY`` seconds, whatever it is. An execution can also be read as the run of dbt Cloud or of Databricks that has its
id, or as a page that is missing until it is over, for what waits for those. ``POST /end?within=10`` ends all executions
at times spread evenly over that many seconds, ``GET /counts`` says how many requests there were.
"""
# ruff: noqa: T201 - it prints its port

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from urllib.parse import parse_qs, urlsplit

LATENCY = 0.02
INSTANCE = "4104"
FIRST_ID = 100_001
CREATED = 1_790_000_000_000
LARGEST_PAGE = 500


class Executions:
    """The executions, newest first, each as JSON in its two states."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.ended_at: list[float] = []
        self.counts: Counter[str] = Counter()
        self._running = [_execution(FIRST_ID + number, "RUNNING") for number in range(count)]
        self._over = [_execution(FIRST_ID + number, "SUCCEEDED") for number in range(count)]

    def end(self, within: float) -> None:
        now, chance = time.time(), random.Random(1)
        self.ended_at = [now + within * chance.random() for _ in range(self.count)]

    def one(self, number: int) -> bytes:
        return (self._over if self.is_over(number) else self._running)[number]

    def is_over(self, number: int) -> bool:
        return bool(self.ended_at) and time.time() >= self.ended_at[number]

    def page(self, first: int, size: int) -> bytes:
        numbers = range(self.count - 1 - first, max(-1, self.count - 1 - first - size), -1)
        items = b",".join(map(self.one, numbers))
        return (
            b'{"status":"ok","data":[%b],"count":%d,"total":%d,"first_result":%d,"max_result":%d,"max_results":%d}'
            % (items, len(numbers), self.count, first, size, size)
        )

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/counts":
            return 200, json.dumps({"requests": self.counts, "ended_at": self.ended_at}).encode()
        if url.path == "/end":
            self.end(float(query["within"]))
            return 200, b"{}"
        by_id = re.search(r"/(?:executions|until-over|runs)/(\d+)/?$", url.path)
        # Databricks names the run in the body.
        run_id = json.loads(body)["run_id"] if body else by_id and by_id[1]
        self.counts["by id" if run_id else "list" if method == "GET" else method] += 1
        if run_id:
            return self._as(url.path, int(run_id) - FIRST_ID)
        size = min(int(query.get("max_results", 50)), LARGEST_PAGE)
        return 200, self.page(int(query.get("first_result", 0)), size)

    def _as(self, path: str, number: int) -> tuple[int, bytes]:
        """The execution in the words of the API that this path belongs to."""
        is_over = self.is_over(number)
        if path.endswith("/jobs/runs/get"):
            state = (
                {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS"}
                if is_over
                else {"life_cycle_state": "RUNNING"}
            )
            return 200, json.dumps(
                {"run_id": number, "state": {**state, "state_message": ""}, "tasks": []}
            ).encode()
        if "/until-over/" in path:
            return (200, self.one(number)) if is_over else (404, b"{}")
        if "/runs/" in path:
            return 200, b'{"data":{"id":%d,"status":%d}}' % (number, 10 if is_over else 3)
        return 200, b'{"status":"ok","data":%b}' % self.one(number)


def _execution(number: int, status: str) -> bytes:
    """An execution with the fields that the vendor's page shows."""
    is_over = status == "SUCCEEDED"
    return json.dumps(
        {
            "id": str(number),
            "status": status,
            "creation_date": CREATED + number * 100,
            "start_date": CREATED + number * 100 + 1000,
            "duration": 61_000 if is_over else None,
            "organisation_id": "1185",
            "user_id": "2233",
            "cron": None,
            "job_type": "INTEGRATION_BATCH",
            "external_model_name": "PUBLIC_INTEGRATION_BATCH",
            "external_model_id": INSTANCE,
            "parameters": {"execution_type": "MANUAL", "expected_start_date": CREATED + number * 100},
            "result": {"imported": 12_345, "rejected": 3} if is_over else None,
            "error": None,
            "num_tasks": 10,
            "completed_tasks": 10 if is_over else 4,
            "erroneous_tasks": 0,
            "permalink_uri": "1",
            "debug": None,
            "is_retryable": False,
        }
    ).encode()


async def _serve(executions: Executions, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := await reader.readuntil(b"\r\n\r\n"):
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        sent = await reader.readexactly(int(length[1]) if length else 0)
        await asyncio.sleep(LATENCY)
        status, body = executions.answer(method, target, sent)
        reason = b"OK" if status == 200 else b"Not Found"
        head = b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % (status, reason, len(body)))
        writer.write(body)
        await writer.drain()


async def _main(count: int) -> None:
    executions = Executions(count)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _serve(executions, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
