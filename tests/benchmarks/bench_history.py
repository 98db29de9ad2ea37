"""What a submission, a tick and a look of an event trigger cost, by the length and the order of an instance's history.

``python -m tests.benchmarks.bench_history [--short]`` starts a sandbox whose lists come in pages of 20 without a
``total``, gives an instance 100 to 100,000 executions (with ``--short``: 100 and 1,000), and prints a table in
markdown: requests and seconds, of the first one in a process and of the next one. It takes ten minutes, nearly all of
them for the first look of an event trigger, which reads the whole history (with ``--short``: twenty seconds).
"""
# ruff: noqa: T201 - it prints a table

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_mics.api import Job, MicsClient
from airflow_provider_mics.api.field_types import ExecutionType, from_milliseconds
from airflow_provider_mics.core.exactly_once.handover import (
    CreateNow,
    TickContext,
    WaitForPlatform,
    decide_tick,
)
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity, TaskTry, identity_of
from airflow_provider_mics.core.exactly_once.submission import submit_execution
from airflow_provider_mics.core.polling.completions import CompletionCursor, list_recent_executions
from tests.sandbox_server import SandboxServer

QUIRKS = {"max_results_cap": 20, "lists_have_total": False, "platform_silent": True}
DENSE_S, CRON_S = 17, 60
"""Seconds between two executions of the history: of an instance that is started by hand, and of one with a cron."""
LENGTHS = (100, 1_000, 10_000, 100_000)
SHORT_LENGTHS = (100, 1_000)
CRON = "* * * * *"
CONTEXT = TickContext(CRON, "UTC", None)
PATIENCE = timedelta(minutes=5)


class Process:
    """What one process does with one instance: a client of its own, and what it has learned."""

    def __init__(self, server: SandboxServer, instance_id: str) -> None:
        self._server = server
        self._instance_id = instance_id
        self._client = MicsClient(server.url, server.token, server.organisation_id)
        self._cursor: CompletionCursor | None = None
        self._runs = 0

    def close(self) -> None:
        self._client.close()

    def submit(self) -> None:
        """A manual submission: look, create, look for duplicates."""
        self._runs += 1
        now = datetime.now(UTC)
        run = TaskTry("history", f"run {now.isoformat()} {self._runs}", "task", -1, "manual", now, now)
        submission = self._run(submit_execution(identity_of(run, self._instance_id)))
        assert submission.outcome == "created"

    def fired_tick(self) -> None:
        """The decision of a tick that the platform has fired."""
        tick_ms = self._next_tick_ms()
        body = {"parameters": {"execution_type": "CRON", "expected_start_date": tick_ms}, "status": "PENDING"}
        path = f"integration_batch_instances/{self._instance_id}/executions"
        self._server.call("POST", path, body | {"organisation_id": self._server.organisation_id})
        self._server.reset_counters()
        assert isinstance(self._decide(tick_ms), CreateNow)

    def silent_tick(self) -> None:
        """A tick that the platform has not fired: the decision to wait, the one to create, and the creation."""
        tick_ms = self._next_tick_ms()
        assert isinstance(self._decide(tick_ms), WaitForPlatform)
        decision = self._decide(tick_ms, grace_is_over=True)
        assert isinstance(decision, CreateNow)
        self._run(submit_execution(decision.identity, existing=decision.existing))

    def look(self) -> None:
        """A look of an event trigger, which knows all ends but the newest."""
        executions, _ = self._run(list_recent_executions(self._instance_id, self._cursor))
        if self._cursor is None:
            self._cursor = CompletionCursor.start(executions, datetime.now(UTC))
        else:
            self._cursor = self._cursor.new_completions(executions, datetime.now(UTC))[1]

    def _next_tick_ms(self) -> int:
        """Return this minute, and later the minutes after it: the history has none of them."""
        self._runs += 1
        return int((time.time() // 60 + self._runs - 1) * 60_000)

    def _decide(self, tick_ms: int, *, grace_is_over: bool = False) -> Any:
        tick = ExecutionIdentity(self._instance_id, ExecutionType.CRON, from_milliseconds(tick_ms))
        give_up_at = datetime.now(UTC) + PATIENCE
        return self._run(decide_tick(tick, CONTEXT, give_up_at=give_up_at, grace_is_over=grace_is_over))

    def _run(self, job: Job[Any]) -> Any:
        return self._client.run(job)


JOBS: dict[str, tuple[int, Callable[[Process], None]]] = {
    "manual submission": (DENSE_S, Process.submit),
    "tick, fired": (CRON_S, Process.fired_tick),
    "tick, not fired": (CRON_S, Process.silent_tick),
    "look of an event trigger": (CRON_S, Process.look),
}


def measure(length: int, order: str) -> Iterator[str]:
    """Yield the rows of the table for one history."""
    with SandboxServer(quirks=QUIRKS | {"list_order": order}) as server:
        for name, (every_s, job) in JOBS.items():
            instance_id = server.create_instance(cron=CRON, properties={"duration_s": 0})
            server.bulk(instance_id=int(instance_id), executions=length, every_s=every_s)
            process = Process(server, instance_id)
            costs = [_cost(server, job, process) for _ in range(2)]
            process.close()
            cells = " | ".join(f"{requests} | {seconds:.2f}" for requests, seconds in costs)
            yield f"| {name} | {order} first | {length:,} | {cells} |"


def _cost(server: SandboxServer, job: Callable[[Process], None], process: Process) -> tuple[int, float]:
    server.reset_counters()
    began = time.perf_counter()
    job(process)
    seconds = time.perf_counter() - began
    return sum(server.counters().values()), seconds


def main(arguments: list[str]) -> None:
    lengths = SHORT_LENGTHS if "--short" in arguments else LENGTHS
    print("| what | order | executions | requests, first | s | requests, next | s |")
    print("|---|---|---|---|---|---|---|")
    for order in ("newest", "oldest"):
        for length in lengths:
            for row in measure(length, order):
                print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
