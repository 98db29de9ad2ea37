"""The experiment: logical runs over seeds against a sandbox with faults, and what really started there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.case_counts import IS_FULL
from tests.reliability.fault_rules import REFUSED_SHARE, sandbox_rules
from tests.reliability.lab_time import LabTime
from tests.reliability.logical_runs import LogicalRun, Result, Try, carry_out
from tests.reliability.unreliable_client import Network
from tests.sandbox_server import SandboxServer

SPEED = 20.0 if IS_FULL else 50.0
"""Slower where much is asked of a machine at once: what takes it a real second must not look like an outage."""
RUNS_OF_AN_INSTANCE = 25
AT_ONCE = 100
START_LATENCY = 300.0
"""Seconds from the time of an execution to its start: a request delivered twice can be undone only before that, and
here every third request on the way to it fails, and one try of three dies. The naive cancels nothing, so not for it."""
DURATION = 2.0
STILLNESS_S = 60


@dataclass
class Findings:
    """What an experiment showed; ``started`` is how many executions really started for each logical run."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    started: dict[LogicalRun, int] = field(default_factory=dict)
    created: int = 0
    canceled_in_time: int = 0
    believed_wrongly: list[Result] = field(default_factory=list)
    stories: list[str] = field(default_factory=list)

    @property
    def lost(self) -> list[LogicalRun]:
        return [run for run, times in self.started.items() if times == 0]

    @property
    def double(self) -> list[LogicalRun]:
        return [run for run, times in self.started.items() if times > 1]

    @property
    def surplus(self) -> int:
        """Executions that started and should not have."""
        return sum(times - 1 for times in self.started.values() if times > 1)

    @property
    def rate(self) -> float:
        """Faults for each request, lists that lag behind not counted."""
        faults = sum(count for kind, count in self.faults.items() if kind != "stale_list")
        return faults / max(1, self.counts["requests"])


@contextmanager
def laboratory() -> Iterator[tuple[SandboxServer, LabTime]]:
    """A sandbox and a clock, of the same speed and the same time."""
    with SandboxServer(speed=SPEED) as server:
        yield server, LabTime(SPEED, datetime.fromtimestamp(server.now_ms() / 1000, UTC))


def experiment(
    server: SandboxServer,
    lab: LabTime,
    one_try: Try,
    *,
    seed: int,
    runs: int,
    rate: float,
    into: Findings,
    start_latency: float = START_LATENCY,
) -> None:
    """Carry out ``runs`` logical runs of one seed, and add to ``into`` what came of them."""
    server.quirks(start_latency_s=start_latency)
    instances = [
        server.create_instance(f"seed {seed}.{each}", properties={"duration_s": DURATION})
        for each in range(-(-runs // RUNS_OF_AN_INSTANCE))
    ]
    work = [LogicalRun(seed, number, instances[number // RUNS_OF_AN_INSTANCE]) for number in range(runs)]
    network = Network(server, lab, refused=rate * REFUSED_SHARE)
    server.faults(sandbox_rules(lab, rate), seed=seed)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda run: carry_out(run, one_try, network, into.counts), work))
    into.faults.update(server.injected())
    into.counts["faults on POST"] += sum(
        rule["injected"] for rule in server._admin("GET", "faults")["rules"] if rule.get("method") == "POST"
    )
    into.faults["connection refused"] += network.counts["refused"]
    into.counts["requests"] += network.counts["requests"]
    network.close()
    server.clear_faults()
    _judge(server, instances, results, into)


def _judge(server: SandboxServer, instances: list[str], results: list[Result], into: Findings) -> None:
    """Read the platform's own book once nothing on it can start any more."""

    def at_rest() -> bool:
        return all(
            each["status"] not in ("PENDING", "RUNNING")
            for instance_id in instances
            for each in server.executions(instance_id)
        )

    server.wait_until(at_rest, STILLNESS_S)
    book = [each for instance_id in instances for each in server.executions(instance_id)]
    started = Counter(each["expected_start_date"] for each in book if each["started_at"] is not None)
    ids = {each["id"] for each in book if each["status"] == "SUCCEEDED"}
    into.created += len(book)
    into.canceled_in_time += sum(each["started_at"] is None for each in book)
    for result in results:
        into.started[result.run] = started[result.run.moment_ms]
        into.counts["succeeded" if result.execution_id else "failed"] += 1
        if started[result.run.moment_ms] != 1:
            into.stories.append(_story(result, book))
        if result.execution_id is not None and result.execution_id not in ids:
            into.believed_wrongly.append(result)


def _story(result: Result, book: list[dict[str, Any]]) -> str:
    """What happened to a run that went wrong, in the laboratory's time."""

    def clock(moment_ms: int | None) -> str:
        return "never" if moment_ms is None else f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%H:%M:%S}"

    own = [each for each in book if each["expected_start_date"] == result.run.moment_ms]
    executions = [
        f"{each['id']} created {clock(each['created_at'])} started {clock(each['started_at'])} {each['status']}"
        for each in own
    ]
    return "\n".join([str(result.run), *executions, *result.notes.lines])
