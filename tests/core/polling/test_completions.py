"""Each end of an execution is new once, in any order of the list, and across restarts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_mics.api import Execution, MicsClient, get_execution
from airflow_provider_mics.core.polling.completions import (
    LATE_ARRIVAL,
    MAX_REQUESTS_BY_ID,
    MOST_OPEN,
    CompletionCursor,
    list_recent_executions,
)
from airflow_provider_mics.core.polling.execution_lists import CreationSearch, find_in_instance
from tests.flow_driver import refusal
from tests.sandbox_server import SandboxServer
from tests.simulated_platform import SimulatedPlatform, always

DAY = datetime(2026, 3, 2, tzinfo=UTC)
NOW = DAY + timedelta(days=2)


def execution(
    name: str, status: str = "SUCCEEDED", began: int | None = 0, took: int | None = 60
) -> Execution:
    """An execution created ``began`` minutes after midnight that took ``took`` seconds."""
    start = None if began is None else DAY + timedelta(minutes=began)
    return Execution(
        id=name,
        status=status,
        creation_date=start,
        start_date=start if took is not None else None,
        duration=None if took is None else timedelta(seconds=took),
    )


def completions(cursor: CompletionCursor, *executions: Execution) -> tuple[list[str], CompletionCursor]:
    found, cursor = cursor.new_completions(executions, NOW)
    return [each.id for each in found], cursor


def start(executions: list[Execution]) -> CompletionCursor:
    return CompletionCursor.start(executions, NOW)


def look(
    client: MicsClient | SimulatedPlatform, instance_id: str, cursor: CompletionCursor | None = None
) -> tuple[list[Execution], CompletionCursor]:
    """Look once, at the present of the platform."""
    now = client.now if isinstance(client, SimulatedPlatform) else datetime.now(UTC)
    read = client.run(list_recent_executions(instance_id, cursor))
    if cursor is None:
        return [], CompletionCursor.start(read.executions, now)
    return cursor.new_completions(read.executions, now, not_read=read.not_read)


def restored(cursor: CompletionCursor) -> CompletionCursor:
    """The same after a restart: the saved state is plain JSON."""
    return CompletionCursor.from_json(json.loads(json.dumps(cursor.to_json())))


def test_ends_before_the_start_are_not_new() -> None:
    cursor = start([execution("1"), execution("2", "FAILED", 5)])
    assert completions(cursor, execution("1"), execution("2", "FAILED", 5)) == ([], cursor)


def test_each_end_is_new_once() -> None:
    cursor = start([execution("1"), execution("2", "RUNNING", 5, None)])
    history = [execution("3", "FAILED", 7, 1), execution("2", "SUCCEEDED", 5, 600), execution("1")]
    found, cursor = completions(cursor, *history)
    assert found == ["3", "2"], "the earliest end first"
    for _ in range(3):
        cursor = restored(cursor)
        assert completions(cursor, *history)[0] == []


def test_the_first_execution_of_an_instance_is_new() -> None:
    assert completions(start([]), execution("1"))[0] == ["1"]


def test_a_long_execution_that_ends_after_many_short_ones_is_new() -> None:
    cursor = start([execution("long", "RUNNING", 0, None)])
    for number in range(1, 30):
        short = execution(str(number), began=10 * number)
        found, cursor = completions(cursor, execution("long", "RUNNING", 0, None), short)
        assert found == [str(number)]
    assert completions(restored(cursor), execution("long", began=0, took=20_000))[0] == ["long"]


def test_an_execution_canceled_before_its_start_is_new_although_it_has_no_end_date() -> None:
    planned = execution("1", "PENDING", -600, None)
    _, cursor = completions(start([execution("0")]), planned, execution("0"))
    assert completions(cursor, execution("1", "CANCELED", -600, None))[0] == ["1"]


def test_an_end_whose_duration_the_platform_adds_later_is_new_once() -> None:
    _, cursor = completions(start([execution("0", began=600)]), execution("1", "RUNNING", 0, None))
    found, cursor = completions(cursor, execution("1", "SUCCEEDED", 0, None))
    assert found == ["1"]
    assert completions(restored(cursor), execution("1", "SUCCEEDED", 0, 40_000))[0] == []


@pytest.mark.parametrize("at_once", [True, False])
def test_a_duration_that_comes_after_another_end_makes_no_second_event(at_once: bool) -> None:
    cursor = start([execution("0", began=590), execution("1", "RUNNING", 0, None)])
    late, other = execution("1", "SUCCEEDED", 0, None), execution("2", began=611)
    looks = [(late, other)] if at_once else [(late,), (late, other)]
    found = []
    for shown in [*looks, (execution("1", took=36_540), other)]:
        new, cursor = completions(restored(cursor), *shown)
        found += new
    assert found == ["1", "2"]


@pytest.mark.parametrize("took", [3 * 86_400, 41_873_000, 10**10])
def test_a_wrong_duration_silences_no_later_end(took: int) -> None:
    found, cursor = completions(start([]), execution("1", took=took))
    assert found == ["1"]
    for number in range(2, 40):
        shown = [execution(str(each), began=60 * each) for each in range(2, number + 1)]
        found, cursor = completions(restored(cursor), execution("1", took=took), *shown)
        assert found == [str(number)]


def test_a_saved_state_that_is_ahead_of_the_time_is_silent_for_a_day_at_most() -> None:
    ahead = CompletionCursor(NOW + timedelta(days=400), {}, frozenset())
    assert completions(ahead, execution("1", began=3000, took=0))[0] == ["1"]


def test_an_end_in_words_of_a_later_version_is_not_waited_for() -> None:
    cursor = start([])
    for number in range(30):
        shown = [execution(str(each), "EXPIRED", began=each) for each in range(number)]
        _, cursor = completions(cursor, *shown, execution("open", "PREPARING", 100, None))
    assert cursor.still_open == {"open"}


def test_executions_that_never_end_do_not_fill_the_saved_state() -> None:
    shown = [execution(str(each), "RUNNING", began=each, took=None) for each in range(MOST_OPEN + 50)]
    cursor = completions(start([]), *shown)[1]
    assert len(cursor.still_open) == MOST_OPEN
    assert {"50", str(MOST_OPEN + 49)} <= cursor.still_open


def test_an_end_that_a_list_shows_late_is_new_although_a_later_one_was_processed() -> None:
    cursor = start([execution("1")])
    found, cursor = completions(cursor, execution("3", began=50), execution("1"))
    assert found == ["3"]
    assert completions(restored(cursor), execution("3", began=50), execution("2", began=20), execution("1"))[
        0
    ] == ["2"]


def test_the_saved_state_stays_small_however_long_the_history() -> None:
    cursor = start([])
    minutes = int(LATE_ARRIVAL.total_seconds() // 60)
    for number in range(50):
        _, cursor = completions(cursor, *(execution(str(each), began=10 * each) for each in range(number)))
    assert len(cursor.ended) <= minutes // 10 + 1
    assert cursor.still_open == frozenset()


def test_an_invalid_saved_state_is_refused() -> None:
    for saved in (None, [], {}, {"since": 1}, {"since": "x", "ended": {}, "still_open": []}):
        with pytest.raises(Exception, match=r".*"):
            CompletionCursor.from_json(saved)


@pytest.fixture
def client(sandbox: SandboxServer) -> Iterator[MicsClient]:
    with MicsClient(sandbox.url, sandbox.token, sandbox.organisation_id) as client:
        yield client


def pages(sandbox: SandboxServer) -> int:
    return sum(count for route, count in sandbox.counters().items() if route.endswith("/executions"))


@pytest.mark.parametrize("order", ["newest", "oldest", "random"])
def test_only_one_page_of_a_long_history_is_read_if_it_is_sorted(
    sandbox: SandboxServer, client: MicsClient, order: str
) -> None:
    sandbox.quirks(list_order=order)
    instance_id = sandbox.create_instance(properties={"duration_s": 0})
    sandbox.bulk(executions=300, instance_id=int(instance_id))
    cursor = look(client, instance_id)[1]
    created = sandbox.create_execution(instance_id)
    sandbox.end_execution(created["id"], "SUCCEEDED")
    sandbox.reset_counters()
    found, cursor = look(client, instance_id, cursor)
    assert [each.id for each in found] == [created["id"]]
    assert (pages(sandbox) == 1) == (order != "random")
    assert look(client, instance_id, cursor)[0] == []


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("echo", ["given", "asked"])
def test_a_look_costs_the_same_at_any_length_of_history(
    sandbox: SandboxServer, client: MicsClient, order: str, echo: str
) -> None:
    sandbox.quirks(list_order=order, max_results_cap=20, max_results_echo=echo, lists_have_total=False)
    instance_id = sandbox.create_instance(properties={"duration_s": 0})
    sandbox.bulk(executions=1000, instance_id=int(instance_id))
    cursor = look(client, instance_id)[1]
    for _ in range(3):
        created = sandbox.create_execution(instance_id)
        sandbox.end_execution(created["id"], "SUCCEEDED")
        sandbox.reset_counters()
        found, cursor = look(client, instance_id, cursor)
        assert [each.id for each in found] == [created["id"]]
        assert pages(sandbox) <= 3


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("has_route", [True, False])
def test_one_that_runs_for_days_costs_one_request_a_look_and_its_end_is_seen(
    newest_first: bool, has_route: bool
) -> None:
    platform = SimulatedPlatform(newest_first=newest_first, largest_page=20, total=lambda _: None)
    if not has_route:
        platform.faults = always(
            lambda _, call: refusal(404) if call.method == "GET" and "/executions/" in call.path else None
        )
    old = platform.fire(platform.now, "RUNNING")
    for _ in range(1000):
        platform.now += timedelta(minutes=1)
        platform.fire(platform.now, "SUCCEEDED")
    cursor = look(platform, "42")[1]
    for _ in range(2):
        platform.requests.clear()
        found, cursor = look(platform, "42", cursor)
        assert found == []
        assert cursor.still_open == {old["id"]}
        assert not has_route or len(platform.requests) <= 4
    old["status"] = "SUCCEEDED"
    found, cursor = look(platform, "42", cursor)
    assert [each.id for each in found] == [old["id"]]


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("length", [1000, 4000])
def test_many_that_never_end_cost_the_same_at_any_length_and_an_end_among_them_is_seen(
    newest_first: bool, length: int
) -> None:
    platform = SimulatedPlatform(newest_first=newest_first, largest_page=100)
    stuck = [platform.fire(platform.now, "RUNNING") for _ in range(12)]
    for _ in range(length):
        platform.now += timedelta(minutes=1)
        platform.fire(platform.now, "SUCCEEDED")
    _, cursor = look(platform, "42")
    for _ in range(3):
        platform.requests.clear()
        found, cursor = look(platform, "42", cursor)
        assert found == []
        assert cursor.still_open == {each["id"] for each in stuck}
        assert len(platform.requests) <= MAX_REQUESTS_BY_ID + 3
    stuck[7]["status"] = "FAILED"
    seen = []
    for _ in range(60):
        found, cursor = look(platform, "42", cursor)
        seen += [each.id for each in found]
    assert seen == [stuck[7]["id"]]


def test_one_that_is_gone_is_given_up() -> None:
    platform = SimulatedPlatform(newest_first=True, largest_page=20)
    platform.fire(platform.now, "RUNNING")
    for _ in range(100):
        platform.now += timedelta(minutes=1)
        platform.fire(platform.now, "SUCCEEDED")
    _, cursor = look(platform, "42")
    del platform.executions[0]
    found, cursor = look(platform, "42", cursor)
    assert (found, cursor.still_open) == ([], frozenset())


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_search_for_a_created_execution_costs_the_same_at_any_length(newest_first: bool) -> None:
    platform = SimulatedPlatform(newest_first=newest_first, largest_page=20, total=lambda _: None)
    for _ in range(1000):
        platform.now += timedelta(minutes=1)
        platform.fire(platform.now, "SUCCEEDED")
    wanted: set[str] = set()
    for since, first in [(None, 1000), (platform.now - timedelta(minutes=5), 25)]:
        wanted.clear()
        search = CreationSearch("42", lambda each: each.id in wanted, since)
        for number in range(25):
            platform.requests.clear()
            assert platform.run(search.search()) is None
            assert len(platform.requests) <= (3 if number > 1 else first)
            platform.now += timedelta(minutes=1)
            platform.fire(platform.now, "SUCCEEDED")
        created = platform.fire(platform.now)
        wanted.add(created["id"])
        found = platform.run(search.search())
        assert found is not None
        assert found.id == created["id"]


@pytest.mark.parametrize("newest_first", [True, False])
def test_executions_are_found_by_their_ids_from_the_newest_on(newest_first: bool) -> None:
    platform = SimulatedPlatform(newest_first=newest_first, largest_page=20, total=lambda _: None)
    for _ in range(1000):
        platform.now += timedelta(minutes=1)
        platform.fire(platform.now, "SUCCEEDED")
    for number in range(2):
        platform.requests.clear()
        found = platform.run(find_in_instance("42", ["1000", "995"]))
        assert set(found) == {"1000", "995"}
        assert len(platform.requests) <= (3 if number else 20)
    assert set(platform.run(find_in_instance("42", ["3", "500", "no such"]))) == {"3", "500"}


@pytest.mark.parametrize("total", [lambda _: 20, lambda _: 0, lambda length: length - 30])
@pytest.mark.parametrize("newest_first", [True, False])
def test_a_total_that_is_too_small_hides_nothing(total: Callable[[int], int], newest_first: bool) -> None:
    platform = SimulatedPlatform(newest_first=newest_first, largest_page=20, total=total)
    for _ in range(250):
        platform.now += timedelta(minutes=1)
        platform.fire(platform.now, "SUCCEEDED")
    assert set(platform.run(find_in_instance("42", ["3", "120", "249"]))) == {"3", "120", "249"}


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("length", [1000, 4000])
def test_without_a_route_by_id_the_list_is_read_from_its_newest_end(newest_first: bool, length: int) -> None:
    platform = SimulatedPlatform(newest_first=newest_first, largest_page=100)
    platform.faults = always(
        lambda _, call: refusal(404) if call.method == "GET" and "/executions/" in call.path else None
    )
    for _ in range(length):
        platform.now += timedelta(minutes=1)
        platform.fire(platform.now, "SUCCEEDED")
    for wanted in (length, length - 1, length):
        platform.requests.clear()
        assert platform.run(get_execution("42", str(wanted))).id == str(wanted)
        assert len(platform.requests) <= 5
    assert platform.run(get_execution("42", "7")).id == "7"
