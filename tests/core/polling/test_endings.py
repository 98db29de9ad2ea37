"""Ends of executions are noticed once each, in whatever order a list shows them, and over a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_mics.api import Execution, MicsClient
from airflow_provider_mics.core.polling.completions import STRAGGLING, Noticed, where_news_can_be
from tests.sandbox_server import SandboxServer

DAY = datetime(2026, 3, 2, tzinfo=UTC)


def execution(
    name: str, status: str = "SUCCEEDED", began: int | None = 0, took: int | None = 60
) -> Execution:
    """One that was created ``began`` minutes after midnight and took so many seconds."""
    start = None if began is None else DAY + timedelta(minutes=began)
    return Execution(
        id=name,
        status=status,
        creation_date=start,
        start_date=start if took is not None else None,
        duration=None if took is None else timedelta(seconds=took),
    )


def news(noticed: Noticed, *executions: Execution) -> tuple[list[str], Noticed]:
    found, noticed = noticed.news_in(executions)
    return [each.id for each in found], noticed


def again(noticed: Noticed) -> Noticed:
    """The same after a restart: what is kept is plain JSON."""
    return Noticed.from_json(json.loads(json.dumps(noticed.to_json())))


def test_what_had_ended_before_is_no_news() -> None:
    noticed = Noticed.all_of([execution("1"), execution("2", "FAILED", 5)])
    assert news(noticed, execution("1"), execution("2", "FAILED", 5)) == ([], noticed)


def test_each_end_is_news_once() -> None:
    noticed = Noticed.all_of([execution("1"), execution("2", "RUNNING", 5, None)])
    history = [execution("3", "FAILED", 7, 1), execution("2", "SUCCEEDED", 5, 600), execution("1")]
    found, noticed = news(noticed, *history)
    assert found == ["3", "2"], "the earliest end first"
    for _ in range(3):
        noticed = again(noticed)
        assert news(noticed, *history)[0] == []


def test_the_first_execution_of_an_instance_is_news() -> None:
    assert news(Noticed.all_of([]), execution("1"))[0] == ["1"]


def test_a_long_execution_that_ends_after_many_short_ones_is_news() -> None:
    noticed = Noticed.all_of([execution("long", "RUNNING", 0, None)])
    for number in range(1, 30):
        short = execution(str(number), began=10 * number)
        found, noticed = news(noticed, execution("long", "RUNNING", 0, None), short)
        assert found == [str(number)]
    assert news(again(noticed), execution("long", began=0, took=20_000))[0] == ["long"]


def test_one_that_is_canceled_before_it_began_is_news_though_nothing_says_when() -> None:
    planned = execution("1", "PENDING", -600, None)
    _, noticed = news(Noticed.all_of([execution("0")]), planned, execution("0"))
    assert news(noticed, execution("1", "CANCELED", -600, None))[0] == ["1"]


def test_an_end_whose_duration_the_platform_adds_later_is_told_once() -> None:
    _, noticed = news(Noticed.all_of([execution("0", began=600)]), execution("1", "RUNNING", 0, None))
    found, noticed = news(noticed, execution("1", "SUCCEEDED", 0, None))
    assert found == ["1"]
    assert news(again(noticed), execution("1", "SUCCEEDED", 0, 40_000))[0] == []


def test_an_end_that_a_list_shows_late_is_news_though_a_later_one_was_told() -> None:
    noticed = Noticed.all_of([execution("1")])
    found, noticed = news(noticed, execution("3", began=50), execution("1"))
    assert found == ["3"]
    assert news(again(noticed), execution("3", began=50), execution("2", began=20), execution("1"))[0] == [
        "2"
    ]


def test_what_is_kept_stays_small_however_long_the_history() -> None:
    noticed = Noticed.all_of([])
    minutes = int(STRAGGLING.total_seconds() // 60)
    for number in range(50):
        _, noticed = news(noticed, *(execution(str(each), began=10 * each) for each in range(number)))
    assert len(noticed.ended) <= minutes // 10 + 1
    assert noticed.still_open == frozenset()


def test_what_was_kept_and_is_not_ours_is_refused() -> None:
    for kept in (None, [], {}, {"since": 1}, {"since": "x", "ended": {}, "still_open": []}):
        with pytest.raises(Exception, match=r".*"):
            Noticed.from_json(kept)


@pytest.fixture
def client(sandbox: SandboxServer) -> Iterator[MicsClient]:
    with MicsClient(sandbox.url, sandbox.token, sandbox.organisation_id) as client:
        yield client


def pages(sandbox: SandboxServer) -> int:
    return sum(count for route, count in sandbox.counters().items() if route.endswith("/executions"))


@pytest.mark.parametrize("order", ["newest", "oldest", "random"])
def test_of_a_long_history_only_the_beginning_is_read_where_the_newest_come_first(
    sandbox: SandboxServer, client: MicsClient, order: str
) -> None:
    sandbox.quirks(list_order=order)
    instance_id = sandbox.create_instance(properties={"duration_s": 0})
    sandbox.bulk(executions=300, instance_id=int(instance_id))
    noticed = Noticed.all_of(client.run(where_news_can_be(instance_id, None)))
    created = sandbox.create_execution(instance_id)
    sandbox.end_execution(created["id"], "SUCCEEDED")
    sandbox.reset_counters()
    found, noticed = noticed.news_in(client.run(where_news_can_be(instance_id, noticed)))
    assert [each.id for each in found] == [created["id"]]
    assert (pages(sandbox) == 1) == (order == "newest")
    assert noticed.news_in(client.run(where_news_can_be(instance_id, noticed)))[0] == []
