"""The organisation's list is read from its newest end, and shows without a gap what is new, or says that it may not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from airflow_provider_mics.api import AsyncMicsClient, Response
from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.errors import MicsApiError
from airflow_provider_mics.core.polling.listed_executions import ListDetail, ListedExecution
from airflow_provider_mics.core.polling.organisation_list import OrganisationList
from tests.case_counts import cases
from tests.core.polling.simulated import simulate

CREATED = 1_790_000_000_000
ORDERS = ("newest", "oldest", "random")
TOTALS = ("true", "none", "too small", "too large")


@dataclass
class ListPlatform:
    """A platform whose organisation has one list, in any order, and which counts the requests."""

    count: int
    order: str = "newest"
    total: str = "true"
    cap: int | None = None
    dates: bool = True
    instances: bool = True
    is_paginated: bool = True
    past_the_end: int = 200
    queries: list[tuple[int, int]] = field(default_factory=list)

    async def send(self, call: Call[Any]) -> Response:
        query = dict(call.query)
        first, size = int(query["first_result"]), int(query["max_results"])
        self.queries.append((first, size))
        numbers: Any = range(1, self.count + 1)
        if self.order == "newest":
            numbers = numbers[::-1]
        elif self.order == "random":
            numbers = sorted(numbers, key=lambda number: hash((number, "seed")) % 10_007)
        if self.is_paginated:
            if first and first >= self.count and self.past_the_end != 200:
                body = {"status": "error", "error": "no such page", "error_id": "e1"}
                return Response(self.past_the_end, {}, json.dumps(body).encode())
            numbers = numbers[first : first + min(size, self.cap or size)]
        totals = {"true": self.count, "too small": len(numbers), "too large": 10 * self.count + 1000}
        body = {"status": "ok", "data": [self.item(number) for number in numbers]}
        if self.total != "none":
            body["total"] = totals[self.total]
        return Response(200, {}, json.dumps(body).encode())

    async def aclose(self) -> None:
        pass

    def item(self, number: int) -> dict[str, Any]:
        item: dict[str, Any] = {"id": str(number), "status": "RUNNING"}
        if self.dates:
            item["creation_date"] = CREATED + number * 1000
        if self.instances:
            item["external_model_id"] = str(number % 3)
        return item

    @property
    def client(self) -> AsyncMicsClient:
        return AsyncMicsClient("http://platform.invalid", "token", "1185", transport=self, max_retries=0)


def read(platform, listing, wanted=(), instance_ids=()):
    before = len(platform.queries)
    reading = simulate(listing.read(platform.client, wanted, instance_ids))
    return reading, len(platform.queries) - before


def newest(platform, count):
    return {str(platform.count - number) for number in range(count)}


@pytest.mark.parametrize("total", ["true", "none", "too large"])
@pytest.mark.parametrize("cap", [None, 20, 100])
@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("count", [150, 3_000, 100_000])
def test_the_newest_executions_cost_one_or_two_requests_at_any_length(count, order, cap, total):
    platform, listing = ListPlatform(count, order, total, cap), OrganisationList()
    reading, first_cost = read(platform, listing, newest(platform, 15))
    assert set(reading.found) == newest(platform, 15)
    assert first_cost <= (1 if order == "newest" else 70)
    for grown in (0, 3, 12):
        platform.count += grown
        reading, cost = read(platform, listing, newest(platform, 15))
        assert set(reading.found) == newest(platform, 15)
        assert cost <= 3


def test_a_thousand_executions_are_read_in_large_pages_several_at_once():
    platform, listing = ListPlatform(20_000), OrganisationList()
    reading, cost = read(platform, listing, newest(platform, 1000))
    assert len(reading.found) == 1000
    assert cost == 2


@pytest.mark.parametrize("status", [400, 404, 416])
def test_a_platform_that_refuses_an_offset_past_the_end_is_read_from_its_far_end(status):
    platform = ListPlatform(3_000, "oldest", "none", past_the_end=status)
    reading, _ = read(platform, OrganisationList(), newest(platform, 5))
    assert set(reading.found) == newest(platform, 5)


def test_a_platform_without_the_list_says_so():
    class Missing(ListPlatform):
        async def send(self, call):
            body = {"status": "error", "error": "no route", "error_id": "e2"}
            return Response(404, {}, json.dumps(body).encode())

    with pytest.raises(MicsApiError):
        read(Missing(5), OrganisationList(), {"1"})


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("total", TOTALS)
def test_a_platform_that_ignores_paging_is_read_once(order, total):
    platform, listing = ListPlatform(700, order, total, is_paginated=False), OrganisationList()
    for _ in range(3):
        reading, cost = read(platform, listing, {"1", "350", "700"}, {"0", "1", "2"})
        assert set(reading.found) == {"1", "350", "700"}
        assert cost <= 2


def test_a_list_that_became_shorter_is_read_again_from_its_end():
    platform, listing = ListPlatform(3_000, "oldest", "none"), OrganisationList()
    read(platform, listing, newest(platform, 5))
    platform.count = 700
    reading, _ = read(platform, listing, newest(platform, 5))
    assert set(reading.found) == newest(platform, 5)


def test_an_order_that_changes_is_learned_again():
    platform, listing = ListPlatform(3_000, "oldest"), OrganisationList()
    for order in ("oldest", "newest", "oldest"):
        platform.order = order
        for _ in range(3):
            reading, cost = read(platform, listing, newest(platform, 5))
        assert set(reading.found) == newest(platform, 5)
        assert cost <= 2


CHANGES = some.lists(
    some.tuples(some.integers(0, 130), some.sampled_from([0, 0, 0, 1])), min_size=2, max_size=8
)


@settings(max_examples=cases(150), deadline=None)
@given(
    order=some.sampled_from(ORDERS),
    total=some.sampled_from(TOTALS),
    cap=some.sampled_from([None, 7, 20, 50, 100]),
    start=some.sampled_from([0, 1, 19, 20, 99, 100, 101, 450, 1_003]),
    dates=some.booleans(),
    instances=some.sampled_from([True, True, False]),
    past_the_end=some.sampled_from([200, 400, 416]),
    changes=CHANGES,
)
def test_what_is_new_is_shown_or_the_reading_says_that_it_may_be_missing(
    order, total, cap, start, dates, instances, past_the_end, changes
):
    platform = ListPlatform(start, order, total, cap, dates, instances, past_the_end=past_the_end)
    listing, shown, missed = OrganisationList(), set(), 0
    known = start
    reading, _ = read(platform, listing, (), {"0", "1", "2"})
    shown |= {each.id for group in reading.new.values() for each in group}
    for grown, polls in changes:
        platform.count += grown
        for _ in range(polls + 1):
            reading, cost = read(platform, listing, (), {"0", "1", "2"})
            assert cost < 70
            shown |= {each.id for group in reading.new.values() for each in group}
            if not reading.is_continuous:
                missed, known = missed + 1, platform.count
            assert {str(number) for number in range(known + 1, platform.count + 1)} <= shown
        known = platform.count
    assert not (order == "random" and total == "none" and start > 100 and not missed)


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_each_new_execution_is_shown_once_with_one_request_for_each_reading(order):
    platform, listing = ListPlatform(5_000, order), OrganisationList()
    reading, _ = read(platform, listing, (), {"1"})
    assert not reading.is_continuous, "nothing came before it"
    for _ in range(5):
        platform.count += 6
        reading, cost = read(platform, listing, (), {"1"})
        assert reading.is_continuous
        assert cost <= 2
        assert [each.instance_id for each in reading.new["1"]] == ["1", "1"]


def listed(status="SUCCEEDED", **fields):
    return ListedExecution("7", {"id": "7", "status": status, **fields})


def test_whether_a_list_is_in_full_is_learned_for_each_status():
    detail = ListDetail()
    short = listed(num_tasks=3)
    assert not detail.shows_all_of(short)
    detail.compare(short, {"id": "7", "status": "SUCCEEDED", "num_tasks": 3, "result": {"rows": 1}}, 0)
    assert not detail.shows_all_of(short)
    assert not detail.is_due(short, 60)
    failed = listed("FAILED", error={"message": "no"})
    detail.compare(failed, {"id": "7", "status": "FAILED", "error": {"message": "no"}}, 0)
    assert detail.shows_all_of(failed)
    assert not detail.shows_all_of(short)
    assert detail.is_due(failed, 3600)


@pytest.mark.parametrize("field", ["result", "error"])
def test_an_empty_detail_says_nothing_of_the_list(field):
    detail, empty = ListDetail(), listed(**{field: None})
    detail.compare(empty, {"id": "7", "status": "SUCCEEDED", field: None}, 0)
    assert not detail.shows_all_of(empty)
    assert detail.is_due(empty, 1)


def test_an_execution_that_changed_meanwhile_says_nothing_of_the_list():
    detail, shown = ListDetail(), listed("RUNNING")
    detail.compare(shown, {"id": "7", "status": "SUCCEEDED", "result": 1}, 0)
    assert detail.is_due(shown, 1)


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize(("before", "after"), [(100, 40), (1000, 7), (500, 499), (40, 100)])
def test_what_is_new_is_seen_when_the_platform_begins_to_give_other_pages(order, total, before, after):
    async def scenario():
        platform = ListPlatform(1000, order=order, total=total, cap=before)
        client = AsyncMicsClient("http://platform.invalid", "token", "1185", transport=platform)
        organisation_list = OrganisationList()
        for _ in range(2):
            await organisation_list.read(client, ["999"], ["0", "1", "2"])
        platform.cap = after
        seen = set()
        for number in range(1001, 1009):
            platform.count = number
            reading = await organisation_list.read(client, ["999"], ["0", "1", "2"])
            seen |= {each.id for listed in reading.new.values() for each in listed}
            assert str(number) in seen or not reading.is_continuous
        assert {"1006", "1007", "1008"} <= seen

    simulate(scenario())
