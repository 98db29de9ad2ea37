"""A platform that is late, or whose clock is wrong, over real HTTP: no tick is carried out twice unnoticed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from airflow_provider_mics.api.calls import Job
from airflow_provider_mics.api.clients import MicsClient
from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.core.exactly_once.handover import TickContext
from tests.case_counts import IS_FULL
from tests.core.exactly_once.ticks import run_tick
from tests.reliability.conftest import Tell, asks_nothing_of_airflow
from tests.reliability.lab_time import LabTime
from tests.sandbox_server import SandboxServer

pytestmark = [asks_nothing_of_airflow, pytest.mark.long]

T = TypeVar("T")
SPEED = 50.0 if IS_FULL else 200.0
TICKS = 6 if IS_FULL else 1
PERIOD = timedelta(minutes=10)
CRON = "*/10 * * * *"
POLL_INTERVAL = 10.0


@dataclass
class Runner:
    """A client on the clock of the laboratory, and what it logged."""

    server: SandboxServer
    lab: LabTime
    lines: list[tuple[int, str]] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return self.lab.now()

    def run(self, job: Job[T]) -> T:
        with MicsClient(
            self.server.url,
            self.server.token,
            self.server.organisation_id,
            clock=self.lab.now,
            sleep=self.lab.sleep,
            log=self,
        ) as client:
            return client.run(job)

    def log(self, level: int, message: str, /, *args: object) -> None:
        self.lines.append((level, message % args))

    @property
    def warnings(self) -> str:
        return "\n".join(message for level, message in self.lines if level >= logging.WARNING)


@pytest.fixture(scope="module")
def laboratory() -> Iterator[tuple[SandboxServer, LabTime]]:
    with SandboxServer(speed=SPEED) as server:
        yield server, LabTime(SPEED, datetime.fromtimestamp(server.now_ms() / 1000, UTC))


@pytest.mark.parametrize(
    ("grace", "quirks"),
    [
        (120, {"platform_late_s": 130}),
        (120, {"platform_late_s": 400, "start_latency_s": 60}),
        (120, {"clock_offset_s": -150}),
        (120, {"clock_offset_s": 150, "platform_late_s": 30}),
        (0, {"platform_late_s": 6}),
        (120, {"creates_ahead_s": 300, "clock_offset_s": -40}),
    ],
)
@pytest.mark.parametrize("duration", [1, 120] if IS_FULL else [1])
def test_no_tick_is_carried_out_twice_unnoticed(
    laboratory: tuple[SandboxServer, LabTime],
    tell: Tell,
    grace: int,
    quirks: dict[str, float],
    duration: int,
) -> None:
    server, lab = laboratory
    runner = Runner(server, lab)
    instance_id = server.create_instance(cron=CRON, properties={"duration_s": duration})
    server.quirks(reset=True, **quirks)
    start = runner.now.replace(minute=0, second=0, microsecond=0)
    first = start + (int((runner.now - start) / PERIOD) + 1) * PERIOD
    context = TickContext(CRON, "UTC", None, timedelta(seconds=grace))
    ticks = [first + number * PERIOD for number in range(TICKS + 1)]
    for tick in ticks:
        runner.lab.sleep(max(0.0, (tick - runner.now).total_seconds()))
        outcome = run_tick(runner, context, tick, POLL_INTERVAL, instance_id)
        assert outcome.execution is not None, outcome
        assert outcome.execution.succeeded
    # The last tick has told what came after the end of the one before it.
    asked = {milliseconds(tick) for tick in ticks[:-1]}
    book = [each for each in server.executions(instance_id) if each["expected_start_date"] in asked]
    started = Counter(each["expected_start_date"] for each in book if each["started_at"] is not None)
    tell(
        f"grace {grace} s, {quirks}, {duration} s long: started {sorted(started.values())}\n{runner.warnings}"
    )
    assert set(started) == asked
    for tick_ms, times in started.items():
        named = [each["id"] for each in book if each["expected_start_date"] == tick_ms]
        assert times == 1 or any(f"execution {each}" in runner.warnings for each in named), runner.lines
