"""Logical runs: one piece of work each, tried again and again as Airflow retries a task, by us and by the naive."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from airflow_provider_mics.api.calls import Steps, drive, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.api.models import Execution, ExecutionType
from airflow_provider_mics.api.progress import wait_for_execution
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.submission import submit_execution
from tests.reliability.crashes import Crash, CrashPlan, observed
from tests.reliability.fault_rules import READ_TIMEOUT
from tests.reliability.unreliable_client import Network, Notes

TRIES = 6
RETRY_DELAY = 5.0
"""Seconds of the laboratory. Airflow's own default is five minutes; a short one is the harder case."""
POLL_INTERVAL = 60.0
CRASHES = 0.3
"""The share of tries whose process dies. The last two live, so that a run is never lost for want of tries."""
OUR_POINTS, NAIVE_POINTS = 14, 3
"""Before and after each step of ours; before the POST of the naive, after it, and after its first poll."""
FIRST_MOMENT = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)


@dataclass(frozen=True)
class LogicalRun:
    """The ``number``-th piece of work of a seed. Its moment is its name on the platform."""

    seed: int
    number: int
    instance_id: str

    @property
    def moment(self) -> datetime:
        return FIRST_MOMENT + timedelta(milliseconds=1000 * self.seed * 1000 + self.number)

    @property
    def moment_ms(self) -> int:
        return milliseconds(self.moment)

    @property
    def identity(self) -> ExecutionIdentity:
        return ExecutionIdentity(self.instance_id, ExecutionType.MANUAL, self.moment)

    def chance(self, try_number: int) -> random.Random:
        return random.Random(f"{self.seed}/{self.number}/{try_number}")

    def crash_plan(self, try_number: int, points: int) -> CrashPlan:
        """Whether this try dies, and at which of its first ``points``: the same tries die, whoever does the work."""
        chance = self.chance(try_number)
        dies = try_number <= TRIES - 2 and chance.random() < CRASHES
        return CrashPlan(chance.randint(1, points) if dies else None)


@dataclass(frozen=True)
class Result:
    """How a logical run ended on our side: the execution it believes in, if it succeeded."""

    run: LogicalRun
    execution_id: str | None
    notes: Notes


Try = Callable[[LogicalRun, int, Network, Notes], str]


def carry_out(run: LogicalRun, one_try: Try, network: Network, counts: Counter[str]) -> Result:
    """Try until it succeeds or there are no tries left, each in a process of its own, so to speak."""
    notes = Notes(network.lab)
    for try_number in range(1, TRIES + 1):
        counts["tries"] += 1
        notes.log(0, f"try {try_number}")
        try:
            return Result(run, one_try(run, try_number, network, notes), notes)
        except Crash:
            counts["crashes"] += 1
            notes.log(0, "crash")
        except (MicsError, requests.RequestException, ValueError, KeyError, TypeError) as error:
            counts["failed tries"] += 1
            notes.log(0, f"failed: {error}")
        network.lab.sleep(RETRY_DELAY)
    return Result(run, None, notes)


def our_try(run: LogicalRun, try_number: int, network: Network, notes: Notes) -> str:
    """What the operator does: submit, then wait for the end."""
    lab, plan = network.lab, run.crash_plan(try_number, OUR_POINTS)

    def sleep(seconds: float) -> None:
        plan.point()
        lab.sleep(seconds)

    with network.client(run.chance(-try_number), sleep, notes) as client:
        whole = _submit_and_wait(run.identity, is_retry=try_number > 1)
        execution = drive(whole, observed(client.perform, lab, before=plan.point, after=plan.point))
    if not execution.succeeded:
        raise MicsError(f"execution {execution.id} is {execution.status}")
    return execution.id


@flow
def _submit_and_wait(identity: ExecutionIdentity, *, is_retry: bool) -> Steps[Execution]:
    submission = yield from submit_execution(identity, is_retry=is_retry)
    return (
        yield from wait_for_execution(
            identity.instance_id, submission.execution.id, poll_interval=POLL_INTERVAL
        )
    )


def naive_try(run: LogicalRun, try_number: int, network: Network, _: Notes) -> str:
    """What is usually written: POST, then poll. An error of the POST fails the try; polling outlives every error."""
    plan, chance = run.crash_plan(try_number, NAIVE_POINTS), run.chance(-try_number)
    with requests.Session() as session:
        session.trust_env = False
        body = {
            "status": "PENDING",
            "parameters": {"execution_type": "MANUAL", "expected_start_date": run.moment_ms},
        }
        plan.point()
        created = _ask(session, network, chance, "POST", run.instance_id, json=body)
        execution_id = str(created["id"])
        while True:
            plan.point()
            network.lab.sleep(POLL_INTERVAL)
            try:
                found = _ask(session, network, chance, "GET", f"{run.instance_id}/executions/{execution_id}")
            except (requests.RequestException, ValueError, KeyError):
                continue
            if found["status"] in ("SUCCEEDED", "FAILED", "CANCELED"):
                return execution_id


def _ask(
    session: requests.Session, network: Network, chance: random.Random, method: str, path: str, **more: Any
) -> dict[str, Any]:
    path = f"{path}/executions" if method == "POST" else path
    answer = session.request(
        method,
        f"{network.address(chance)}/v1/integration_batch_instances/{path}",
        headers={"Authorization": network.server.token},
        timeout=network.lab.real(READ_TIMEOUT),
        **more,
    )
    answer.raise_for_status()
    data: dict[str, Any] = answer.json()["data"]
    return data
