"""Every try of the same piece of work is about the same execution, and no two pieces of work share one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from airflow_provider_mics.api.field_types import EPOCH, ExecutionType, milliseconds
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity, TaskTry, identity_of
from airflow_provider_mics.core.exactly_once.moments import CLOCK_TOLERANCE, EARLIEST, RANGE_MS, TaskName
from tests.case_counts import cases

TICK = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
STARTED = TICK + timedelta(seconds=7)
SCHEDULED = TaskTry("nightly", "run", "import", -1, "scheduled", TICK, STARTED, logical_date=TICK)
MANUAL = replace(SCHEDULED, run_type="manual")
CLEARED = replace(MANUAL, generation=1)
CHOSEN = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
on_any_machine = settings(max_examples=cases(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def moment_of(task_try: TaskTry, chosen: datetime | None = None) -> datetime:
    return identity_of(task_try, "42", expected_start_date=chosen).expected_start_date


def moments_of(tries: list[TaskTry], chosen: datetime | None = None) -> set[datetime]:
    return {moment_of(each, chosen) for each in tries}


def second_of(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def test_a_scheduled_run_on_the_instances_own_cron_is_the_tick_itself():
    identity = identity_of(SCHEDULED, "42", runs_on_cron=True)
    assert (identity.execution_type, identity.expected_start_date) == (ExecutionType.CRON, TICK)
    assert identity.moments is None


def test_a_scheduled_run_of_a_hand_written_dag_is_manual_to_the_platform():
    assert identity_of(SCHEDULED, "42").execution_type == ExecutionType.MANUAL


def test_an_operator_that_asks_for_cron_gets_the_tick():
    identity = identity_of(MANUAL, "42", execution_type=ExecutionType.CRON)
    assert (identity.execution_type, identity.expected_start_date) == (ExecutionType.CRON, TICK)


@pytest.mark.parametrize("runs_on_cron", [True, False])
def test_a_cleared_task_gets_a_new_identity_with_each_generation(runs_on_cron):
    generations = [
        identity_of(replace(SCHEDULED, generation=number), "42", runs_on_cron=runs_on_cron)
        for number in range(4)
    ]
    assert len({(each.execution_type, each.expected_start_date) for each in generations}) == 4
    assert all(each.execution_type == ExecutionType.MANUAL for each in generations[1:])


def test_a_backfilled_run_is_not_taken_for_the_tick_the_platform_fired():
    identity = identity_of(replace(SCHEDULED, run_type="backfill"), "42", runs_on_cron=True)
    assert identity.execution_type == ExecutionType.MANUAL


def a_name(alphabet: str = "abcdefghijklmnopqrstuvwxyz_0.-") -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=1, max_size=20)


DATES = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(lambda each: each.replace(tzinfo=UTC))  # noqa: DTZ001
NOW = datetime(2020, 1, 1, tzinfo=UTC)
PLACES = st.sampled_from(
    [ZoneInfo("Europe/Paris"), ZoneInfo("America/Sao_Paulo"), ZoneInfo("Asia/Kathmandu")]
)


@st.composite
def tries(draw: st.DrawFn) -> TaskTry:
    """Any try that Airflow may run: old dates, the faked starts of its test commands, runs without a date."""
    now = draw(
        st.integers(0, 60 * 365 * 24).map(lambda hours: NOW + timedelta(hours=hours, milliseconds=hours))
    )
    date = draw(DATES)
    return TaskTry(
        dag_id=draw(a_name()),
        run_id=draw(st.text(min_size=1, max_size=20)),
        task_id=draw(a_name()),
        map_index=draw(st.integers(-1, 1023)),
        run_type=draw(st.sampled_from(["manual", "scheduled", "backfill", "asset_triggered"])),
        run_moment=date,
        run_started=draw(st.one_of(st.just(date), st.just(now))),
        generation=draw(st.integers(0, 20)),
        logical_date=draw(st.one_of(st.none(), st.just(date), DATES)),
        try_started=now,
    )


@on_any_machine
@given(tries())
@example(replace(MANUAL, logical_date=datetime(1969, 7, 20, 20, 17, tzinfo=UTC)))
@example(replace(MANUAL, run_moment=CHOSEN + timedelta(days=3650), logical_date=None))
def test_what_starts_at_once_is_never_in_the_future_and_never_before_1970(task_try):
    started = task_try.try_started or task_try.run_started
    moments = identity_of(task_try, "42").moments
    assert moments is not None
    for attempt in range(3):
        assert EPOCH <= moments.at(attempt) <= started


@on_any_machine
@given(tries(), DATES, st.integers(0, 999), PLACES)
@example(MANUAL, CHOSEN, 0, UTC)
@example(MANUAL, datetime(2026, 10, 25, 0, 30, tzinfo=UTC), 0, ZoneInfo("Europe/Paris"))
@example(MANUAL, datetime(2026, 10, 25, 1, 30, tzinfo=UTC), 0, ZoneInfo("Europe/Paris"))
@example(MANUAL, CHOSEN + timedelta(microseconds=500), 0, UTC)
@example(MANUAL, CHOSEN + timedelta(microseconds=999_500), 0, UTC)
def test_a_moment_given_is_kept_to_the_second_and_never_earlier(task_try, chosen, attempt, place):
    assume(chosen.microsecond <= 999_000)
    moments = identity_of(
        replace(task_try, map_index=-1), "42", expected_start_date=chosen.astimezone(place)
    ).moments
    assert moments is not None
    if attempt < moments.count:
        assert chosen <= moments.at(attempt)
        assert second_of(moments.at(attempt)) == second_of(chosen)


def test_the_last_part_of_a_millisecond_is_not_started_early():
    late = CHOSEN + timedelta(microseconds=999_500)
    assert late <= moment_of(MANUAL, late) < late + timedelta(seconds=1)


@on_any_machine
@given(tries(), st.one_of(st.none(), DATES), st.booleans())
def test_a_plain_retry_never_moves_the_identity(task_try, chosen, runs_on_cron):
    later = (task_try.try_started or task_try.run_started) + timedelta(hours=1)
    if task_try.started == task_try.run_started:
        retry = replace(task_try, is_retry=True, try_started=later)
        first, second = (
            identity_of(each, "42", expected_start_date=chosen, runs_on_cron=runs_on_cron)
            for each in (task_try, retry)
        )
        assert first == second


WORK = st.tuples(
    st.sampled_from(["batches", "weekly"]),
    st.text(min_size=1, max_size=12),
    a_name(),
    st.integers(-1, 1023),
    st.integers(0, 20),
)


@on_any_machine
@given(st.sets(WORK, min_size=2, max_size=40))
def test_no_two_pieces_of_work_share_a_moment_at_once(works):
    """All of them at the same moment: no date helps."""
    run_type = "asset_triggered"
    moments = {
        moment_of(TaskTry(dag, run, task, index, run_type, TICK, STARTED, generation))
        for dag, run, task, index, generation in works
    }
    assert len(moments) == len(works)


def named(*task_ids: str, mapped: tuple[str, ...] = ()) -> tuple[TaskName, ...]:
    return tuple(TaskName(each, each in mapped) for each in task_ids)


@on_any_machine
@given(st.sets(a_name(), min_size=2, max_size=60), st.one_of(st.none(), st.just(CHOSEN)))
def test_no_two_tasks_of_a_dag_meet(task_ids, chosen):
    siblings = named(*task_ids)
    tasks = [replace(MANUAL, task_id=each, siblings=siblings) for each in task_ids]
    assert len(moments_of(tasks, chosen)) == len(task_ids)


@on_any_machine
@given(
    st.dictionaries(a_name(), st.integers(0, 20), min_size=1, max_size=5),
    st.one_of(st.none(), st.just(CHOSEN)),
)
def test_no_two_mapped_tasks_of_a_run_meet(lengths, chosen):
    """A length of 0 is a task that is not mapped."""
    siblings = named(*lengths, mapped=tuple(each for each, length in lengths.items() if length))
    tasks = [
        replace(MANUAL, task_id=task_id, map_index=index, siblings=siblings)
        for task_id, length in lengths.items()
        for index in (range(length) if length else [-1])
    ]
    assert len(moments_of(tasks, chosen)) == len(tasks)


def test_more_mapped_tasks_than_a_second_has_moments_go_on_in_the_next_seconds():
    siblings = named("import", mapped=("import",))
    mapped = [replace(MANUAL, map_index=index, siblings=siblings) for index in range(0, 2_500, 50)]
    moments = moments_of(mapped, CHOSEN)
    assert len(moments) == len(mapped)
    assert {second_of(each) for each in moments} == {
        CHOSEN + timedelta(seconds=number) for number in range(3)
    }


def test_two_tasks_whose_names_draw_one_moment_are_kept_apart():
    names = [f"task_{number}" for number in range(2_000)]
    drawn: dict[datetime, str] = {}
    pair = next(
        (drawn[moment], name)
        for name in names
        if (moment := moment_of(replace(MANUAL, task_id=name), CHOSEN)) in drawn
        or drawn.update({moment: name})
    )
    assert (
        len(moments_of([replace(MANUAL, task_id=each, siblings=named(*pair)) for each in pair], CHOSEN)) == 2
    )


@pytest.mark.parametrize("chosen", [None, CHOSEN])
def test_an_edited_dag_moves_no_task_but_one_whose_draw_is_taken(chosen):
    before = named(*(f"task_{number}" for number in range(20)))
    added = named(*(f"new_{number}" for number in range(5)))
    tasks = [replace(MANUAL, task_id=each.task_id) for each in before]
    old = [moment_of(replace(each, siblings=before), chosen) for each in tasks]
    new = [moment_of(replace(each, siblings=before[1:] + added), chosen) for each in tasks]
    assert old == new


@pytest.mark.parametrize("step", [timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)])
@pytest.mark.parametrize("run_type", ["scheduled", "backfill"])
@pytest.mark.parametrize("generation", [0, 1])
def test_runs_that_are_cleared_or_backfilled_together_differ_by_their_dates(step, run_type, generation):
    """Whatever their run ids are: no chance is involved."""
    dates = [TICK - number * step for number in range(1_000)]
    runs = [
        replace(
            SCHEDULED,
            run_type=run_type,
            run_moment=date,
            logical_date=date,
            generation=generation,
            map_index=index,
        )
        for date in dates
        for index in (-1, 0, 1)
    ]
    assert len(moments_of(runs)) == 3_000


@on_any_machine
@given(
    st.sets(st.integers(0, 10_000_000), min_size=2, max_size=100), st.integers(-1, 900), st.integers(0, 30)
)
def test_dated_runs_of_one_task_meet_only_if_their_dates_do(minutes, map_index, generation):
    dates = [TICK - timedelta(minutes=each) for each in minutes]
    runs = [
        replace(SCHEDULED, logical_date=date, run_moment=date, map_index=map_index, generation=generation)
        for date in dates
        if date > EARLIEST
    ]
    assert len(moments_of(runs)) == len(runs)


@on_any_machine
@given(st.integers(1, 10_000_000), st.text(), st.text(), st.sampled_from(["scheduled", "backfill"]))
def test_the_moments_of_dated_runs_are_as_far_apart_as_their_dates(minutes, run_id, other_id, run_type):
    apart = timedelta(minutes=minutes)
    later = replace(SCHEDULED, run_type=run_type, run_id=run_id)
    earlier = replace(later, run_id=other_id, logical_date=TICK - apart)
    assert moment_of(later) - moment_of(earlier) == apart


@pytest.mark.parametrize("generation", [0, 1])
@pytest.mark.parametrize("run_type", ["manual", "asset_triggered", "operator_triggered"])
def test_a_thousand_runs_of_one_moment_are_kept_apart_by_their_ids(run_type, generation):
    runs = [
        replace(MANUAL, run_type=run_type, run_id=f"r{number}", logical_date=None, generation=generation)
        for number in range(1_000)
    ]
    assert len(moments_of(runs)) == 1_000


def test_no_two_of_many_mapped_tasks_of_one_run_share_a_moment_however_often_each_was_cleared():
    cleared = [
        replace(CLEARED, map_index=index, generation=tries)
        for index in range(0, 2_000, 50)
        for tries in range(64)
    ]
    assert len(moments_of(cleared)) == len(cleared)


@on_any_machine
@given(st.integers(0, 999), st.text(min_size=1))
def test_a_task_that_is_cleared_again_and_again_keeps_the_second_and_takes_another_moment(fraction, run_id):
    chosen = CHOSEN + timedelta(milliseconds=fraction)
    times = min(50, 1000 - fraction)
    moments = moments_of([replace(MANUAL, run_id=run_id, generation=each) for each in range(times)], chosen)
    assert len(moments) == times
    assert {second_of(each) for each in moments} == {CHOSEN}


@on_any_machine
@given(tries(), st.one_of(st.none(), DATES))
def test_the_moments_of_a_piece_of_work_are_all_different(task_try, chosen):
    moments = identity_of(task_try, "42", expected_start_date=chosen).moments
    assert moments is not None
    assert len({moments.at(attempt) for attempt in range(1_200)}) == 1_200


def test_the_start_that_airflow_gives_its_test_runs_is_not_taken_for_their_start():
    """``airflow dags test`` of a future date: the batch starts now, not then."""
    future = STARTED + timedelta(days=1_000)
    test = replace(MANUAL, run_moment=future, logical_date=future, run_started=future, try_started=STARTED)
    assert moment_of(test) < STARTED
    assert test.started == STARTED


def test_clocks_that_differ_move_nothing():
    late_worker = replace(SCHEDULED, try_started=TICK - CLOCK_TOLERANCE + timedelta(seconds=10))
    assert moment_of(late_worker) == moment_of(replace(SCHEDULED, try_started=STARTED + timedelta(hours=3)))


def test_the_range_lies_before_the_date():
    assert (
        TICK - timedelta(milliseconds=RANGE_MS) - CLOCK_TOLERANCE
        < moment_of(SCHEDULED)
        <= TICK - CLOCK_TOLERANCE
    )


def test_an_identity_that_is_shared_has_no_next_moment():
    with pytest.raises(ValueError, match="has one moment"):
        ExecutionIdentity("42", ExecutionType.CRON, TICK).next()


def test_an_execution_from_long_before_the_run_is_a_strangers():
    assert milliseconds(STARTED) - milliseconds(identity_of(MANUAL, "42").not_before) == 3_600_000
