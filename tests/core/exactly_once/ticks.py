"""A platform and an Airflow task on one simulated clock: two schedulers, and everything that may keep them apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from airflow_provider_mics.api.calls import Job
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.field_types import ExecutionType, milliseconds
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.progress import wait_for_execution
from airflow_provider_mics.core.exactly_once.handover import (
    CreateNow,
    Skip,
    TickContext,
    WaitForPlatform,
    decide_tick,
    wait_for_tick_execution,
)
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.submission import submit_execution
from airflow_provider_mics.core.exactly_once.twins import check_for_twins, with_twin_checks
from airflow_provider_mics.core.planning.cron_ticks import Cron
from tests.simulated_platform import SimulatedPlatform

T = TypeVar("T")
MINUTE = timedelta(minutes=1)


@dataclass
class Change:
    """A change of the instance's schedule at a moment (our clock)."""

    at: datetime
    fields: dict[str, Any]


@dataclass
class Platform:
    """An instance whose platform plans, fires, starts and ends executions by its own clock as time passes.

    ``zone`` is the time zone in which the platform reads crons, ``late`` how long after a tick it creates its
    execution, negative if before; ``offset`` by how much its clock is ahead. A pause cancels what is pending.
    """

    now: datetime
    cron: str
    zone: str
    late: timedelta
    offset: timedelta
    start_latency: timedelta
    duration: timedelta
    changes: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        instance = {"id": "42", "name": "Nightly import", "cron": self.cron, "cron_status": "ACTIVE"}
        self.simulated = SimulatedPlatform(now=self.now, instance=instance)
        self.simulated.clock_offset = self.offset
        self.simulated.driver.before = lambda _: self.catch_up()
        self._next_tick = (self.now + self.offset - self.late).replace(second=0) + MINUTE
        self._modify(self.now - timedelta(days=30))

    def _modify(self, at: datetime) -> None:
        self.simulated.instance["last_modified_ts"] = milliseconds(at + self.offset)

    def advance(self, to: datetime) -> None:
        self.simulated.now = max(to, self.simulated.now)
        self.catch_up()

    def catch_up(self) -> None:
        """Do what the platform does by itself up to now."""
        clock = self.simulated.now + self.offset
        while self.changes and self.changes[0].at + self.offset <= clock:
            change = self.changes.pop(0)
            self._run_until(change.at + self.offset)
            self.simulated.instance |= change.fields
            self._modify(change.at)
            for each in self.simulated.executions:
                if each["status"] == "PENDING" and not self._is_active:
                    each["status"] = "CANCELED"
        self._run_until(clock)

    @property
    def _is_active(self) -> bool:
        return bool(self.simulated.instance.get("cron_status") == "ACTIVE")

    def _run_until(self, clock: datetime) -> None:
        while self._next_tick + self.late <= clock:
            cron = Cron(self.simulated.instance["cron"], self.zone)
            if self._is_active and cron.fires_at(self._next_tick):
                created = self.simulated.fire(self._next_tick)
                created["creation_date"] = milliseconds(self._next_tick + self.late)
            self._next_tick += MINUTE
        self._settle(clock)

    def _settle(self, clock: datetime) -> None:
        for each in self.simulated.executions:
            due = max(each["creation_date"], each["parameters"]["expected_start_date"])
            starts = due + self.start_latency / timedelta(milliseconds=1)
            ends = starts + self.duration / timedelta(milliseconds=1)
            if each["status"] == "PENDING" and starts <= milliseconds(clock):
                each |= {"status": "RUNNING", "start_date": int(starts)}
            if each["status"] == "RUNNING" and ends <= milliseconds(clock):
                each |= {"status": "SUCCEEDED", "duration": int(ends - starts)}

    def settle(self) -> None:
        """Let everything end."""
        self.changes.clear()
        self.advance(self.simulated.now + timedelta(hours=3))

    def started_for(self, tick: datetime, tolerance: timedelta) -> list[dict[str, Any]]:
        """The executions of a tick that have started."""
        return [
            each
            for each in self.simulated.executions
            if each["parameters"]["execution_type"] == "CRON"
            and "start_date" in each
            and abs(each["parameters"]["expected_start_date"] - milliseconds(tick))
            <= tolerance / timedelta(milliseconds=1)
        ]


@dataclass
class Outcome:
    """How the task of a tick ended: an execution, the reason of a skip, or an error."""

    execution: Execution | None = None
    skipped: str = ""
    error: str = ""


class Runner(Protocol):
    """Runs flows on a clock: a `SimulatedPlatform`, or a client in the laboratory."""

    @property
    def now(self) -> datetime: ...

    def run(self, job: Job[T]) -> T: ...


def run_tick(
    runner: Runner, context: TickContext, tick: datetime, poll_interval: float, instance_id: str = "42"
) -> Outcome:
    """What the operator does with a tick on a worker."""
    identity = ExecutionIdentity(instance_id, ExecutionType.CRON, tick)
    try:
        decision = _decide(runner, context, identity, poll_interval)
        if isinstance(decision, Skip):
            return Outcome(skipped=decision.reason)
        submission = runner.run(
            submit_execution(
                decision.identity, existing=decision.existing, is_retry=decision.replaces_existing
            )
        )
        own = submission.execution
        check = check_for_twins(decision.identity, own.id, set(), context.platform_grace)
        wait = wait_for_execution(instance_id, own.id, poll_interval=poll_interval)
        ended = runner.run(with_twin_checks(wait, check))
        runner.run(check)
        return Outcome(ended)
    except MicsError as error:
        return Outcome(error=str(error))


def _decide(
    runner: Runner, context: TickContext, identity: ExecutionIdentity, poll_interval: float
) -> CreateNow | Skip:
    is_over = False
    while True:
        give_up_at = runner.now + timedelta(minutes=10)
        decision = runner.run(decide_tick(identity, context, give_up_at=give_up_at, grace_is_over=is_over))
        if not isinstance(decision, WaitForPlatform):
            return decision
        runner.run(wait_for_tick_execution(decision, poll_interval))
        is_over = True
