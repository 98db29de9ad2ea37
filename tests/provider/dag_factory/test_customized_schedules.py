"""A schedule that a user gives a DAG, in ``customize`` or by a plan, makes runs that start the batch."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pkgutil import resolve_name
from typing import Any

import pytest
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.simple import NullTimetable
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_provider_mics.dag_factory import plan_instance
from airflow_provider_mics.dag_factory.cron_schedule import UNSCHEDULED_START_DATE
from tests.core.planning.instances import MODIFIED, instance
from tests.provider.dag_factory.factories import as_bytes, read_back
from tests.provider.dag_factory.test_dag_factory import dag_of, dags_of

OWN = "30 5 * * *"
ZONE = "Europe/Paris"
ACTIVE = instance()
PAUSED = instance(cron_status="PAUSED")
BY_HAND = instance(cron=None, cron_status=None)
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
DATES = [(None, None), (SOON, None), (None, MODIFIED), (SOON, SOON + timedelta(days=9))]
TO_RUN_BY_HAND = """
from datetime import UTC, datetime

from airflow_provider_mics.dag_factory import integration_batch_dags

globals().update(
    integration_batch_dags(
        start_date=datetime(2200, 1, 1, tzinfo=UTC),
        default_args={"end_date": datetime(2201, 1, 1, tzinfo=UTC)},
        deferrable=False,
        poll_interval=0.2,
    )
)
"""


def core(cron: str, zone: str = ZONE) -> Any:
    return CronTriggerTimetable(cron, timezone=zone)


def several(*crons: str) -> Any:
    try:
        return resolve_name("airflow.timetables.trigger:MultipleCronTriggerTimetable")(*crons, timezone=ZONE)
    except AttributeError:
        return pytest.skip("this Airflow has no timetable of several crons")


def of_the_sdk(cron: str) -> Any:
    try:
        return resolve_name("airflow.sdk:CronTriggerTimetable")(cron, timezone=ZONE)
    except (ImportError, AttributeError):
        return pytest.skip("this Airflow has no timetables for authors of DAG files")


@pytest.mark.parametrize(
    ("one", "make", "cron"),
    [
        (ACTIVE, lambda: core("0 7 * * *"), None),
        (ACTIVE, lambda: core(OWN, "UTC"), None),
        (ACTIVE, lambda: of_the_sdk("0 7 * * *"), None),
        (BY_HAND, lambda: core("0 7 * * *"), None),
        (BY_HAND, lambda: of_the_sdk("0 7 * * *"), None),
        (PAUSED, lambda: core("0 7 * * *"), None),
        (PAUSED, lambda: core(OWN), None),
        (ACTIVE, lambda: core(OWN), OWN),
        (ACTIVE, lambda: of_the_sdk(OWN), OWN),
        (ACTIVE, lambda: CronDataIntervalTimetable(OWN, timezone=ZONE), OWN),
        (ACTIVE, lambda: several("0 7 * * *", "0 8 * * *"), None),
        # The platform fires one of them, which must not run twice.
        (ACTIVE, lambda: several(OWN, "0 7 * * *"), OWN),
        (ACTIVE, NullTimetable, OWN),
        (PAUSED, NullTimetable, OWN),
        (BY_HAND, NullTimetable, ""),
    ],
)
def test_runs_are_ticks_only_of_the_cron_that_the_platform_fires(snapshot, one, make, cron):
    timetable = make()

    def adapt(dag: Any, _: Any) -> None:
        dag.timetable = timetable

    [task] = dag_of(snapshot, one, customize=adapt).tasks
    assert task.tick_context.cron == cron


@pytest.mark.parametrize(
    ("one", "given", "cron"),
    [
        (PAUSED, OWN, None),
        (PAUSED, None, OWN),
        (BY_HAND, "0 7 * * *", None),
        (ACTIVE, OWN, OWN),
        (ACTIVE, "0 7 * * *", None),
        (ACTIVE, None, OWN),
    ],
)
def test_so_it_is_with_a_schedule_from_a_plan(snapshot, one, given, cron):
    def mine(known: Any, each: Any) -> Any:
        return replace(plan_instance(known, each), cron=given)

    dag = dag_of(snapshot, one, plan=mine)
    assert dag.timetable.can_be_scheduled == (given is not None)
    assert dag.tasks[0].tick_context.cron == cron


def test_a_tick_context_of_the_users_own_stays(snapshot):
    def adapt(dag: Any, _: Any) -> None:
        [task] = dag.tasks
        task.tick_context = replace(task.tick_context, platform_grace=None)

    [task] = dag_of(snapshot, ACTIVE, customize=adapt).tasks
    assert (task.tick_context.cron, task.tick_context.platform_grace) == (OWN, None)


class TestDates:
    @pytest.mark.parametrize("one", [PAUSED, BY_HAND, instance(cron="61 5 * * *")])
    @pytest.mark.parametrize(("start", "end"), DATES)
    def test_without_a_schedule_there_are_none_that_keep_a_run_from_its_task(self, snapshot, one, start, end):
        dag = dag_of(snapshot, one, start_date=start, default_args={"end_date": end})
        for each in (dag, dag.tasks[0], read_back(dag), read_back(dag).tasks[0]):
            assert (each.start_date, each.end_date) == (UNSCHEDULED_START_DATE, None)

    @pytest.mark.parametrize("one", [ACTIVE, PAUSED, BY_HAND])
    @pytest.mark.parametrize(("start", "end"), DATES)
    def test_they_bound_every_schedule(self, snapshot, one, start, end):
        def adapt(dag: Any, each: Any) -> None:
            if each is not ACTIVE and not dag.timetable.can_be_scheduled:
                dag.timetable = core("0 7 * * *")

        arguments = {"start_date": start, "default_args": {"end_date": end}, "customize": adapt}
        dag = read_back(dag_of(snapshot, one, **arguments))
        own = MODIFIED if one is ACTIVE else UNSCHEDULED_START_DATE
        restriction = dag._time_restriction
        assert (restriction.earliest, restriction.latest) == (start or own, end)

    def test_a_start_date_that_the_user_gave_the_dag_stays(self, snapshot):
        def adapt(dag: Any, _: Any) -> None:
            dag.timetable, dag.start_date = core("0 7 * * *"), MODIFIED

        assert dag_of(snapshot, BY_HAND, customize=adapt, start_date=SOON).start_date == MODIFIED

    def test_a_resumed_instance_has_them_again(self, snapshot):
        dag = dag_of(snapshot, ACTIVE, start_date=SOON)
        restriction = TimeRestriction(earliest=dag.start_date, latest=None, catchup=False)
        info = dag.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
        assert info.run_after >= SOON

    def test_a_run_by_hand_before_the_start_date_starts_the_batch(self, mics_default, dag_folder):
        created = mics_default.create_instance("By hand")
        run = dag_folder.run(TO_RUN_BY_HAND, dag_id=f"mics_integration_batch_{created}")
        assert run.task("execute").state == "success"
        assert len(mics_default.executions()) == 1


class TestDagIds:
    def test_one_that_customize_sets_is_refused(self, snapshot):
        def adapt(dag: Any, one: Any) -> None:
            if one.id == "2":
                dag.dag_id = "foo_2"

        dags = dags_of(snapshot, *map(instance, (1, 2, 3)), customize=adapt)
        assert list(dags) == [f"mics_integration_batch_{number}" for number in (1, 2, 3)]
        assert "changed the DAG id to foo_2" in dags["mics_integration_batch_2"].description
        assert "set dag_id in plan(...)" in dags["mics_integration_batch_2"].description
        assert dags["mics_integration_batch_2"].timetable.can_be_scheduled is False

    def test_a_worker_finds_the_same_dag(self, snapshot, monkeypatch):
        def adapt(dag: Any, _: Any) -> None:
            dag.dag_id = "foo"

        whole = dags_of(snapshot, instance(1), customize=adapt)
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "mics_integration_batch_1")
        assert as_bytes(dags_of(snapshot, instance(1), customize=adapt)) == as_bytes(whole)
