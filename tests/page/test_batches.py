"""Rows: marks, who fired them, and which batches there are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_mics.page.batches import (
    ACTIVE,
    BY_HAND,
    GONE,
    PAUSED,
    UNKNOWN,
    Batch,
    Dag,
    Source,
    batches_of,
    with_each_instance_once,
    without_links_to,
)
from airflow_provider_mics.page.charts import HEIGHT, bars
from airflow_provider_mics.page.drift import NO_DAG, NO_INSTANCE, ScheduleInAirflow
from airflow_provider_mics.page.marks import EPOCH_START, FiredBy, RunLink, mark_of
from airflow_provider_mics.page.platform_reading import OwnList, PlatformState
from airflow_provider_mics.page.queries import LAST, Query
from airflow_provider_mics.page.texts import duration_text, moment_text, short_moment_text
from tests.flow_driver import NOON
from tests.page.organisation import execution, instance

SOURCE = Source("mics_default")
MINUTE = timedelta(minutes=1)
RUN = RunLink("mics_integration_batch_1", "scheduled__2026-03-02T12:00:00+00:00")


def dag(instance_id: str = "1", **fields: Any) -> Dag:
    default = {"name": "its DAG", "is_paused": False, "schedule": ScheduleInAirflow(None, None)}
    return Dag(f"mics_integration_batch_{instance_id}", SOURCE, instance_id, **{**default, **fields})


def rows(*instances: Any, dags: Any = (), executions: Any = (), links: Any = None) -> list[Batch]:
    by_instance: dict[str, list[Any]] = {}
    for each in sorted(executions, key=lambda one: one.creation_date, reverse=True):
        by_instance.setdefault(each.instance_id, []).append(each)
    state = PlatformState(
        instances={each.id: each for each in instances},
        instances_read_at=NOON,
        executions={key: tuple(each) for key, each in by_instance.items()},
        user_id="77",
        read_at=NOON,
    )
    return batches_of(SOURCE, state, dags, links or {}, NOON)


def test_there_is_a_row_for_each_instance_and_for_each_dag() -> None:
    found = rows(
        instance("1", cron="0 5 * * *"), instance("2"), instance("3", cron="0 5 * * *", cron_status="PAUSED"),
        dags=[dag("1", schedule=ScheduleInAirflow("0 5 * * *", "UTC")), dag("3"), dag("9")],
    )  # fmt: skip
    assert [(each.instance_id, each.status) for each in found] == [
        ("1", ACTIVE), ("2", BY_HAND), ("3", PAUSED), ("9", GONE),
    ]  # fmt: skip
    assert [each.drift for each in found] == [(), (NO_DAG,), (), (NO_INSTANCE,)]
    assert found[0].cron_words == "every day at 05:00"
    assert found[0].platform_tick == NOON.replace(day=3, hour=5)
    assert [each.platform_tick for each in found[1:]] == [None] * 3
    assert found[3].name == "its DAG"
    assert [each.path for each in found] == [
        "dags/mics_integration_batch_1", "instances/mics_default/2", "dags/mics_integration_batch_3",
        "dags/mics_integration_batch_9",
    ]  # fmt: skip


def test_before_the_platform_was_read_no_instance_is_gone() -> None:
    [batch] = batches_of(SOURCE, PlatformState(), [dag("1", takes_start=True)], {}, NOON)
    assert (batch.drift, batch.status) == ((), UNKNOWN)
    assert (batch.why_no_run, batch.why_no_run_at) == (None, None), "its DAG can do it"
    assert Query.of({"status": "unknown", "sort": "status"}).select([batch]) == [batch]


@pytest.mark.parametrize(
    ("fields", "instances", "runs", "runs_at"),
    [
        ({"takes_start": True}, ["1"], True, True),
        ({}, ["1"], True, False),
        ({"takes_start": True, "has_import_errors": True}, ["1"], False, False),
        ({"takes_start": True}, ["2"], False, False),
        (None, ["1"], True, True),
    ],
)
def test_what_can_be_run_and_what_can_wait_for_its_start(
    fields: dict[str, Any] | None, instances: list[str], runs: bool, runs_at: bool
) -> None:
    dags = [] if fields is None else [dag("1", **fields)]
    found = rows(*map(instance, instances), dags=dags)
    [batch] = [each for each in found if each.instance_id == "1"]
    assert (batch.why_no_run is None, batch.why_no_run_at is None) == (runs, runs_at)


def test_ticks_after_an_instance_was_read_are_not_missed() -> None:
    hour = timedelta(hours=1)
    history = tuple(execution(100 + each, due=NOON - each * hour) for each in range(3))
    own = OwnList(NOON, NOON + MINUTE, EPOCH_START)
    state = PlatformState(
        instances={"1": instance("1", cron="0 * * * *")},
        instances_read_at=NOON,
        executions={"1": history},
        own_lists={"1": own},
        read_at=NOON + 3 * hour,
    )
    [batch] = batches_of(SOURCE, state, [], {}, NOON + 3 * hour)
    assert batch.drift == (NO_DAG,)
    read_later = replace(state, own_lists={"1": replace(own, read_at=NOON + 3 * hour)})
    [batch] = batches_of(SOURCE, read_later, [], {}, NOON + 3 * hour)
    assert [each.word for each in batch.drift] == ["no DAG", "missed tick"]


def test_two_dags_of_one_instance_are_two_rows() -> None:
    other = Dag(
        "staging_mics_integration_batch_1", SOURCE, "1", "other", True, ScheduleInAirflow(None, None), NOON
    )
    first, second = rows(instance("1"), dags=[other, dag("1", next_tick=NOON)])
    assert (first.airflow_tick, second.airflow_tick) == (NOON, None)
    assert first.path != second.path


@pytest.mark.parametrize(
    ("fields", "links", "fired_by"),
    [
        ({}, [], FiredBy.PLATFORM),
        ({}, [RUN], FiredBy.PLATFORM),
        ({"user_id": "77"}, [RUN], FiredBy.AIRFLOW),
        ({"user_id": "12"}, [RUN], FiredBy.PLATFORM),
        ({"user_id": "77"}, [], FiredBy.PLATFORM),
        ({"created": NOON + 2 * MINUTE}, [RUN], FiredBy.AIRFLOW),
        ({"created": NOON + MINUTE}, [RUN], FiredBy.PLATFORM),
        ({"kind": "MANUAL"}, [RUN], FiredBy.AIRFLOW),
        ({"kind": "MANUAL"}, [], FiredBy.PERSON),
        ({"kind": "MANUAL", "user_id": "77"}, [], FiredBy.PERSON),
        ({"kind": "OTHER"}, [], FiredBy.UNKNOWN),
    ],
)
def test_who_fired_an_execution(fields: dict[str, Any], links: list[RunLink], fired_by: FiredBy) -> None:
    mark = mark_of(execution(1, **fields), links, "77", NOON)
    assert mark.fired_by == fired_by
    assert mark.run == (links[0] if links else None)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "succeeded"),
        ({"erroneous_tasks": 2}, "warned"),
        ({"status": "FAILED"}, "failed"),
        ({"status": "LOST"}, "failed"),
        ({"status": "CANCELLED"}, "canceled"),
        ({"status": "RUNNING", "seconds": None}, "running"),
        ({"status": "PENDING", "started": None, "seconds": None}, "pending"),
        ({"status": "SOMETHING_NEW"}, "unknown"),
    ],
)
def test_the_state_of_a_mark(fields: dict[str, Any], state: str) -> None:
    assert mark_of(execution(1, **fields), [], None, NOON).state == state


def test_a_running_execution_takes_until_now() -> None:
    running = execution(1, due=NOON - MINUTE, status="RUNNING", seconds=None)
    assert mark_of(running, [], None, NOON).duration == MINUTE
    ahead = execution(1, due=NOON + MINUTE, status="RUNNING", seconds=None)
    assert mark_of(ahead, [], None, NOON).duration == timedelta(0)


def test_marks_are_in_the_order_of_time_and_link_the_run_of_the_own_dag_first() -> None:
    foreign = RunLink("mine", "manual__1")
    [batch] = rows(
        instance("1"),
        dags=[dag("1")],
        executions=[execution(each, due=NOON - (20 - each) * MINUTE) for each in range(1, 16)],
        links={"15": [foreign, RUN], "14": [foreign]},
    )
    assert [mark.execution.id for mark in batch.marks] == [str(each) for each in range(6, 16)]
    assert [mark.run for mark in batch.marks[-2:]] == [foreign, RUN]
    assert [mark.run for mark in without_links_to(batch, {RUN.dag_id}).marks[-2:]] == [None, RUN]


def test_two_sources_of_one_organisation_show_each_instance_once() -> None:
    other, foreign = Source("other", "1185"), Source("foreign")
    state = PlatformState(instances={key: instance(key) for key in "1234"}, instances_read_at=NOON)
    dags = {SOURCE: [dag("1")], other: [dag("2"), dag("3")], foreign: []}
    found = {source: batches_of(source, state, own, {}, NOON) for source, own in dags.items()}
    once = with_each_instance_once(found, {SOURCE: "a", other: "a", foreign: "b"})
    assert [(each.source, each.instance_id, each.dag is not None) for each in once] == [
        (SOURCE, "1", True), (SOURCE, "4", False), (other, "2", True), (other, "3", True),
        *((foreign, key, False) for key in "1234"),
    ]  # fmt: skip


def names(query: dict[str, str], batches: list[Batch]) -> list[str]:
    return [each.name for each in Query.of(query).select(batches)]


def test_a_query_selects_and_sorts() -> None:
    found = rows(
        instance("11", name="CRM import", cron="0 5 * * *"),
        instance("12", name="Éxport <b>", artifact_id="export"),
        instance("13", name="cleanup", cron="0 1 * * *"),
        dags=[dag("11"), dag("12")],
        executions=[
            execution(1, "11", status="FAILED", seconds=5),
            execution(2, "12", due=NOON - MINUTE, seconds=900, kind="MANUAL"),
        ],
    )
    assert names({}, found) == ["cleanup", "CRM import", "Éxport <b>"]
    assert names({"sort": "-name"}, found) == ["Éxport <b>", "CRM import", "cleanup"]
    assert names({"sort": "next"}, found) == ["cleanup", "CRM import", "Éxport <b>"]
    assert names({"sort": "-last"}, found) == ["CRM import", "Éxport <b>", "cleanup"]
    assert names({"sort": "-duration"}, found) == ["Éxport <b>", "CRM import", "cleanup"]
    assert names({"q": "crm IMPORT"}, found) == ["CRM import"]
    assert names({"q": "batch_12"}, found) == ["Éxport <b>"]
    assert names({"q": "nothing"}, found) == []
    assert names({"last": "failed"}, found) == ["CRM import"]
    assert names({"last": "none"}, found) == ["cleanup"]
    assert names({"status": "by hand"}, found) == ["Éxport <b>"]
    assert names({"plugin": "com.acme : export"}, found) == ["Éxport <b>"]
    assert "Éxport <b>" not in names({"drift": "1"}, found)


def test_a_query_in_a_url_is_read_back_and_nonsense_is_ignored() -> None:
    query = Query(q="a & b", status="paused", last=LAST[0], plugin="g : a", drift="1", sort="-next")
    assert Query.of(dict(parse_qsl(query.url().removeprefix("?")))) == query
    assert Query().url() == "?"
    assert Query.of({"status": "x", "last": "y", "drift": "2", "sort": "--name", "q": "  "}) == Query()


def test_bars_fill_their_places_from_the_right() -> None:
    assert bars([], 10) == ""
    assert bars([None, timedelta(0)], 2) == f"M6 {HEIGHT}v-1h5v1z"
    assert bars([timedelta(seconds=1), timedelta(seconds=2)], 3) == "M6 18v-9h5v9zM12 18v-18h5v18z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"), (0.25, "250 ms"), (1, "1 s"), (59.7, "1 min"), (252, "4 min 12 s"), (3600, "1 h"),
        (3661, "1 h 1 min"), (86_400 * 2 + 3600, "2 d 1 h"), (86_400 + 59, "1 d"),
    ],
)  # fmt: skip
def test_a_duration_in_words(seconds: float, text: str) -> None:
    assert duration_text(timedelta(seconds=seconds)) == text


FIRST, LAST_ONE = datetime.min.replace(tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "zone", "text"),
    [
        (LAST_ONE, "Asia/Tokyo", "9999-12-31 23:59 UTC"),
        (FIRST, "America/Los_Angeles", "1-01-01 00:00 UTC"),
        (LAST_ONE - timedelta(hours=9), "Asia/Tokyo", "9999-12-31 23:59"),
    ],
)
def test_a_moment_that_has_no_date_in_a_zone_is_in_utc(moment: datetime, zone: str, text: str) -> None:
    assert moment_text(moment, ZoneInfo(zone)).lstrip("0") == text
    assert short_moment_text(moment, ZoneInfo(zone), NOON)


@pytest.mark.parametrize("moment", [FIRST, LAST_ONE])
@pytest.mark.parametrize("field", ["due", "created", "started"])
@pytest.mark.parametrize("status", ["SUCCEEDED", "RUNNING", "PENDING"])
def test_a_far_date_is_shown_like_any_other(moment: datetime, field: str, status: str) -> None:
    given = {"created": NOON, "started": NOON, field: moment, "status": status, "seconds": None}
    far = instance("1", cron="0 * * * *")
    found = rows(far, executions=[execution(1, **given), execution(2)])
    assert len(found[0].marks) == 2
    state = PlatformState(
        instances={"1": far},
        instances_read_at=NOON,
        executions={"1": (execution(1, **given),)},
        covered_since=EPOCH_START,
        read_at=NOON,
    )
    [batch] = batches_of(SOURCE, state, [], {}, NOON)
    assert batch.last is not None
    assert moment_text(batch.last.moment, ZoneInfo("Asia/Tokyo"))
    assert duration_text(batch.last_duration)
