"""A platform for benchmarks, as fast as Python can be: N executions of one instance, which run until they are ended.

``python -m tests.benchmarks.list_platform N`` prints its port and serves until its input ends. Each answer takes
``LATENCY`` seconds, whatever it is. ``POST /end?within=10`` ends all executions at times spread evenly over that many
seconds, ``GET /counts`` says how many requests there were.
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
        is_over = bool(self.ended_at) and time.time() >= self.ended_at[number]
        return (self._over if is_over else self._running)[number]

    def page(self, first: int, size: int) -> bytes:
        numbers = range(self.count - 1 - first, max(-1, self.count - 1 - first - size), -1)
        items = b",".join(map(self.one, numbers))
        return (
            b'{"status":"ok","data":[%b],"count":%d,"total":%d,"first_result":%d,"max_result":%d,"max_results":%d}'
            % (items, len(numbers), self.count, first, size, size)
        )

    def answer(self, method: str, target: str) -> bytes:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/counts":
            return json.dumps({"requests": self.counts, "ended_at": self.ended_at}).encode()
        if url.path == "/end":
            self.end(float(query["within"]))
            return b"{}"
        by_id = re.search(r"/executions/(\d+)$", url.path)
        self.counts["by id" if by_id else "list" if method == "GET" else method] += 1
        if by_id:
            return b'{"status":"ok","data":%b}' % self.one(int(by_id[1]) - FIRST_ID)
        size = min(int(query.get("max_results", 50)), LARGEST_PAGE)
        return self.page(int(query.get("first_result", 0)), size)


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
        await reader.readexactly(int(length[1]) if length else 0)
        await asyncio.sleep(LATENCY)
        body = executions.answer(method, target)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
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
