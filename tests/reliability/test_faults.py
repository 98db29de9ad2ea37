"""Exactly one execution for each piece of work, over real HTTP that fails at every third request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.case_counts import IS_FULL
from tests.reliability.conftest import Tell, asks_nothing_of_airflow
from tests.reliability.figures import side_by_side
from tests.reliability.lab_time import LabTime
from tests.reliability.laboratory import Findings, experiment, laboratory
from tests.reliability.logical_runs import Try, naive_try, our_try
from tests.sandbox_server import SandboxServer

pytestmark = [asks_nothing_of_airflow, pytest.mark.long]

RATE = 0.3
SEEDS = range(20) if IS_FULL else range(4)
RUNS_OF_A_SEED = 100 if IS_FULL else 25
ALL_KINDS = {
    "drop_before", "drop_after", "timeout_before", "timeout_after", "429", "500", "502", "503", "504", "html",
    "cut_json", "slow", "duplicate", "error_200", "stale_list", "connection refused", "gateway", "login", "body",
}  # fmt: skip


@dataclass
class Bench:
    """The laboratory, and what came out of it so far."""

    server: SandboxServer
    lab: LabTime
    ours: Findings = field(default_factory=Findings)
    naive: Findings = field(default_factory=Findings)

    def do(self, one_try: Try, seed: int, into: Findings, **more: Any) -> None:
        experiment(
            self.server, self.lab, one_try, seed=seed, runs=RUNS_OF_A_SEED, rate=RATE, into=into, **more
        )


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with laboratory() as (server, lab):
        yield Bench(server, lab)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_logical_run_starts_exactly_one_execution(bench: Bench, seed: int) -> None:
    bench.do(our_try, seed, bench.ours)
    started = {run: times for run, times in bench.ours.started.items() if run.seed == seed}
    assert len(started) == RUNS_OF_A_SEED
    assert {run: times for run, times in started.items() if times != 1} == {}, bench.ours.stories[-1]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_naive_operator_meets_the_same_faults(bench: Bench, seed: int) -> None:
    # It cancels nothing, so to it a batch that starts later is only one to be waited for longer.
    bench.do(naive_try, seed, bench.naive, start_latency=0)
    assert sum(run.seed == seed for run in bench.naive.started) == RUNS_OF_A_SEED


def test_a_task_succeeds_only_with_an_execution_that_succeeded(bench: Bench) -> None:
    assert bench.ours.believed_wrongly == []
    assert bench.ours.counts["failed"] == 0


def test_every_kind_of_fault_was_met_and_a_third_of_all_requests_failed(bench: Bench, tell: Tell) -> None:
    tell(f"{len(SEEDS)} seeds\n{side_by_side({'ours': bench.ours, 'naive': bench.naive})}")
    assert set(bench.ours.faults) >= ALL_KINDS
    assert 0.25 < bench.ours.rate < 0.35


def test_the_naive_operator_starts_batches_twice(bench: Bench) -> None:
    assert bench.naive.double
