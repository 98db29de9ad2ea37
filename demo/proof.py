"""What a demo must have seen, in Airflow and on the platform, to count as working."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_mics.api import CronStatus
from demo.state import TASK, Batch
from local_airflow.rest_api import AirflowApi


@dataclass(frozen=True)
class Seen:
    """One claim, whether it was seen, and what was seen."""

    claim: str
    seen: bool
    evidence: str


def proof(batches: Sequence[Batch], airflow: AirflowApi, since: datetime) -> list[Seen]:
    """Each claim of the demo with its evidence; a tick counts that came after ``since``."""
    return [
        _a_tick_ran(batches, airflow, since),
        _a_manual_run_succeeded(batches),
        _a_failure_shows_the_platforms_message(batches, airflow),
        _paused_has_no_schedule(batches),
        _archived_has_no_dag(batches),
        _one_execution_per_tick(batches),
    ]


def _a_tick_ran(batches: Sequence[Batch], airflow: AirflowApi, since: datetime) -> Seen:
    claim = "a CRON tick ran to success"
    for batch in batches:
        for run in batch.scheduled_runs("success"):
            if datetime.fromisoformat(run["run_after"]) < since:
                continue
            execution_id = airflow.xcom(batch.dag_id, run["dag_run_id"], TASK, "execution_id")
            for execution in batch.executions:
                if (
                    execution.id == execution_id
                    and execution.succeeded
                    and execution.execution_type == "CRON"
                ):
                    return Seen(
                        claim, True, f"{batch.instance.name}: {run['dag_run_id']}, execution {execution_id}"
                    )
    return Seen(claim, False, "no tick that came since the start has run to success yet")


def _a_manual_run_succeeded(batches: Sequence[Batch]) -> Seen:
    claim = "a run triggered by hand succeeded"
    for batch in batches:
        for run in batch.manual_runs("success"):
            done = [each for each in batch.executions if each.succeeded and each.execution_type == "MANUAL"]
            if done:
                return Seen(
                    claim, True, f"{batch.instance.name}: {run['dag_run_id']}, execution {done[-1].id}"
                )
    return Seen(claim, False, "no manual run has succeeded yet")


def _a_failure_shows_the_platforms_message(batches: Sequence[Batch], airflow: AirflowApi) -> Seen:
    claim = "the failing batch failed its task, with the platform's message in the log"
    for batch in batches:
        failed = [each for each in batch.executions if each.failed and each.error_message]
        for run in (each for each in batch.runs if each["state"] == "failed" and failed):
            task = airflow.task(batch.dag_id, run["dag_run_id"], TASK)
            log = airflow.log(batch.dag_id, run["dag_run_id"], TASK, max(1, task["try_number"]))
            for execution in failed:
                if execution.error_message and execution.error_message in log:
                    return Seen(claim, True, f"{batch.instance.name}: {execution.error_message}")
    return Seen(claim, False, "no failed task with the platform's message in its log yet")


def _paused_has_no_schedule(batches: Sequence[Batch]) -> Seen:
    paused = [
        each
        for each in batches
        if each.instance.cron_status == CronStatus.PAUSED and not each.instance.archived
    ]
    ok = bool(paused) and all(
        each.dag and not each.dag["timetable_summary"] and "cron paused" in each.tags for each in paused
    )
    return Seen(
        "a paused instance has a DAG without schedule",
        ok,
        ", ".join(str(each.instance.name) for each in paused),
    )


def _archived_has_no_dag(batches: Sequence[Batch]) -> Seen:
    archived = [each for each in batches if each.instance.archived]
    ok = bool(archived) and not any(each.dag for each in archived)
    return Seen(
        "an archived instance has no DAG", ok, ", ".join(str(each.instance.name) for each in archived)
    )


def _one_execution_per_tick(batches: Sequence[Batch]) -> Seen:
    claim = "exactly one execution per tick, both schedulers active"
    shared = 0
    for batch in batches:
        twice = [tick for tick, count in batch.ticks().items() if count > 1]
        if twice:
            return Seen(claim, False, f"{batch.instance.name}: {len(twice)} tick(s) with two executions")
        shared += len(batch.scheduled_runs("success"))
    ticks = sum(len(batch.ticks()) for batch in batches)
    return Seen(claim, shared > 0, f"{ticks} ticks on the platform, {shared} of them also run by Airflow")
