"""Lists are read whole, each item once, in as few requests as the platform's form of a list allows."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.api import Plugin, list_instances, list_plugins, paging
from airflow_provider_mics.api.errors import MicsResponseError
from airflow_provider_mics.api.paging import whole_list
from tests.api.list_server import ListServer, numbers_of
from tests.case_counts import cases
from tests.flow_driver import FlowDriver, ok

PAGE = 10


def read(server: ListServer, page_size: int = PAGE, **options: Any) -> list[int]:
    job = whole_list("plugins", Plugin, lambda each: each.id, {}, page_size=page_size, **options)
    return numbers_of(FlowDriver(server).run(job))


FORMS: dict[str, dict[str, Any]] = {
    "with a total": {},
    "without a total": {"says_total": False},
    "without a total, echoing what was asked for": {"says_total": False, "echoes": "asked"},
    "without a total or any echo": {"says_total": False, "echoes": None, "echoes_first_result": False},
    "not paginated, as on the vendor's page": {"paginates": False, "says_total": False, "echoes": "twenty"},
    "not paginated, no echo": {
        "paginates": False,
        "says_total": False,
        "echoes": None,
        "echoes_first_result": False,
    },
    "not paginated, with a total": {"paginates": False, "echoes": "twenty"},
    "capped, saying so": {"cap": 4},
    "capped, saying so, without a total": {"cap": 4, "says_total": False},
    "capped in silence": {"cap": 4, "echoes": "asked"},
    "capped in silence, without a total": {"cap": 4, "says_total": False, "echoes": "asked"},
    "capped without any echo": {"cap": 3, "says_total": False, "echoes": None, "echoes_first_result": False},
    "one at a time": {"cap": 1},
    "one at a time, without a total": {"cap": 1, "says_total": False},
    "one at a time in silence": {"cap": 1, "says_total": False, "echoes": "asked"},
    "two at a time in silence": {"cap": 2, "says_total": False, "echoes": None},
    "ids as numbers": {"numbers": True},
    "a total that is too high": {"lies_by": 7},
    "a total that is far too high": {"lies_by": 1000},
}


class TestEveryFormOfAList:
    @pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
    @pytest.mark.parametrize("length", [0, 1, 2, 3, 9, 10, 11, 19, 20, 21, 57])
    def test_is_read_whole_and_in_its_order(self, form, length):
        ids = list(range(length))
        random.Random(length).shuffle(ids)
        assert read(ListServer(ids.copy(), **form)) == ids

    @given(
        length=st.integers(0, 60),
        page_size=st.integers(1, 25),
        cap=st.none() | st.integers(1, 30),
        echoes=st.sampled_from(["given", "asked", None]),
        says_total=st.booleans(),
        echoes_first_result=st.booleans(),
        lies_by=st.integers(0, 30),
    )
    def test_is_read_whole_whatever_its_sizes(self, length, page_size, **form):
        ids = list(range(length))
        server = ListServer(ids.copy(), **form)
        assert read(server, page_size) == ids
        assert len(server.requests) <= 4 * length + 10

    @pytest.mark.parametrize(
        ("length", "form", "most"),
        [
            (7, {}, 1),
            (0, {"says_total": False}, 1),
            (7, {"says_total": False, "paginates": False, "echoes": "twenty"}, 2),
            (15, {"says_total": False, "paginates": False, "echoes": "twenty"}, 1),
            (30, {"says_total": False, "paginates": False, "echoes": "twenty"}, 1),
            (91, {}, 11),
            (91, {"says_total": False}, 12),
            (7, {"says_total": False, "echoes": "asked"}, 2),
            (7, {"lies_by": 3}, 4),
        ],
    )
    def test_costs_few_requests(self, length, form, most):
        server = ListServer(list(range(length)), **form)
        read(server)
        assert len(server.requests) <= most

    def test_each_page_is_asked_for_with_both_numbers(self):
        server = ListServer(list(range(25)))
        read(server)
        assert server.requests == [(0, 10), (9, 10), (18, 10)]


class TestAListWithoutOrder:
    @pytest.mark.parametrize("seed", range(20))
    def test_is_read_whole_where_its_pages_agree(self, seed):
        ids = list(range(200))
        random.Random(seed).shuffle(ids)
        assert sorted(read(ListServer(ids, says_total=seed % 2 == 0))) == list(range(200))

    @pytest.mark.parametrize("seed", range(20))
    def test_is_nearly_whole_where_each_page_has_another_order_and_ends_soon(self, seed):
        server = ListServer(list(range(100)), shuffles=random.Random(seed))
        found = read(server)
        assert len(found) == len(set(found)) >= 95
        assert len(server.requests) < 300

    @pytest.mark.parametrize("seed", range(5))
    def test_ends_also_without_a_total(self, seed):
        server = ListServer(list(range(100)), says_total=False, shuffles=random.Random(seed))
        found = read(server)
        assert len(found) == len(set(found))
        assert len(server.requests) < 300


def removing_in_front(chance: random.Random, most: int) -> Callable[[ListServer], None]:
    """Removes up to ``most`` items before the place that is read."""

    def change(server: ListServer) -> None:
        for _ in range(chance.randint(0, most)):
            reached = min(len(server.ids), max(start for start, _ in server.requests))
            if reached:
                del server.ids[chance.randrange(reached)]

    return change


def adding_in_front(chance: random.Random, most: int) -> Callable[[ListServer], None]:
    def change(server: ListServer) -> None:
        for _ in range(chance.randint(0, most)):
            server.ids.insert(0, 1000 + len(server.requests) * 100 + chance.randrange(100))

    return change


class TestAListThatChangesWhileItIsRead:
    @pytest.mark.parametrize("says_total", [True, False])
    @pytest.mark.parametrize("cap", [None, 2, 4])
    @settings(max_examples=cases(60))
    @given(seed=st.integers(0, 10**9), length=st.integers(0, 80), most=st.integers(1, 6))
    def test_no_item_is_skipped_where_others_before_it_go_away(self, cap, says_total, seed, length, most):
        chance = random.Random(seed)
        server = ListServer(
            list(range(length)), cap=cap, says_total=says_total, between=removing_in_front(chance, most)
        )
        found = read(server)
        assert len(found) == len(set(found))
        assert set(server.ids) <= set(found)

    @pytest.mark.parametrize("says_total", [True, False])
    @settings(max_examples=cases(60))
    @given(seed=st.integers(0, 10**9), length=st.integers(0, 80), most=st.integers(1, 8))
    def test_no_old_item_is_skipped_where_new_ones_come_in_front(self, says_total, seed, length, most):
        server = ListServer(
            list(range(length)), says_total=says_total, between=adding_in_front(random.Random(seed), most)
        )
        found = read(server)
        assert len(found) == len(set(found))
        assert set(range(length)) <= set(found)

    @pytest.mark.parametrize("says_total", [True, False])
    @settings(max_examples=cases(60))
    @given(seed=st.integers(0, 10**9), length=st.integers(0, 80))
    def test_no_old_item_is_skipped_where_both_happen(self, says_total, seed, length):
        chance = random.Random(seed)
        changes = [removing_in_front(chance, 3), adding_in_front(chance, 3)]

        def change(server: ListServer) -> None:
            chance.choice(changes)(server)

        server = ListServer(list(range(length)), says_total=says_total, between=change)
        found = read(server)
        assert len(found) == len(set(found))
        assert {each for each in server.ids if each < 1000} <= set(found)

    def test_a_new_item_in_front_is_found_too_where_a_total_tells_of_it(self):
        def add_once(server: ListServer) -> None:
            if len(server.requests) == 2:
                server.ids.insert(0, 1000)

        server = ListServer(list(range(35)), between=add_once)
        assert set(read(server)) == {1000, *range(35)}
        assert len(server.requests) <= 6

    def test_a_list_that_is_emptied_while_it_is_read_ends_soon(self):
        def empty(server: ListServer) -> None:
            if len(server.requests) == 50:
                server.ids.clear()

        server = ListServer(list(range(1000)), says_total=False, between=empty)
        assert read(server) == list(range(451))
        assert len(server.requests) < 70

    def test_a_list_from_which_something_goes_before_each_page_is_read_whole(self):
        def remove(server: ListServer) -> None:
            del server.ids[0]

        server = ListServer(list(range(2000)), between=remove)
        assert set(server.ids) <= set(read(server, 50))


class TestAListThatLies:
    def test_a_full_page_is_not_the_last_because_the_total_says_so(self):
        server = ListServer(list(range(45)), lies_by=-35)
        assert read(server) == list(range(45))

    def test_a_total_that_promises_more_is_warned_about(self):
        driver = FlowDriver(ListServer(list(range(5)), lies_by=3))
        found = driver.run(whole_list("plugins", Plugin, lambda each: each.id, {}, page_size=PAGE))
        assert numbers_of(found) == list(range(5))
        assert driver.warnings == ["GET /v1/plugins: the list gave 5 items, but its total is 8"]

    def test_a_server_that_gives_its_first_page_again_and_again_is_left(self):
        server = ListServer(list(range(45)), ignores_first_result=True)
        assert read(server) == list(range(10))
        assert len(server.requests) <= 8

    def test_the_same_without_a_total(self):
        server = ListServer(
            list(range(45)), ignores_first_result=True, says_total=False, echoes_first_result=False
        )
        assert read(server) == list(range(10))
        assert len(server.requests) <= 8

    @pytest.mark.parametrize("says_total", [True, False])
    def test_a_list_that_never_ends_is_an_error(self, says_total, monkeypatch):
        monkeypatch.setattr(paging, "MOST_PAGES", 200)

        def grow(server: ListServer) -> None:
            server.ids.extend(range(len(server.ids), len(server.ids) + 10))

        with pytest.raises(
            MicsResponseError, match=r"^GET /v1/plugins: the list does not end after 200 pages$"
        ):
            read(ListServer(list(range(10)), says_total=says_total, between=grow))

    @settings(max_examples=cases(300))
    @given(data=st.data())
    def test_a_server_that_answers_anything_is_left_after_a_bounded_number_of_requests(self, data):
        """Any pages, any wrapper: no endless loop, nothing twice."""
        sizes = st.none() | st.integers(-5, 50) | st.just("many")
        requests = 0

        def server(_call: Any) -> Any:
            nonlocal requests
            requests += 1
            if requests > 40:
                return ok([])
            ids = data.draw(st.lists(st.integers(0, 30), max_size=12))
            wrapper = {"total": data.draw(sizes), "max_results": data.draw(sizes)}
            return ok([{"id": each} for each in ids], first_result=data.draw(sizes), **wrapper)

        found = FlowDriver(server).run(
            whole_list("plugins", Plugin, lambda each: each.id, {}, page_size=PAGE)
        )
        assert len(found) == len({each.id for each in found})
        assert requests < 200


class TestReadingNoFurtherThanNeeded:
    def test_no_further_page_is_read_once_the_awaited_item_was_seen(self):
        server = ListServer(list(range(100)))
        found = read(server, until=lambda each: each.id == "12")
        assert 12 in found
        assert len(server.requests) == 2

    def test_a_list_without_the_awaited_item_is_read_to_its_end(self):
        server = ListServer(list(range(35)))
        assert read(server, until=lambda each: each.id == "nobody") == list(range(35))


def test_archived_instances_are_left_out_unless_asked_for():
    def server(_call: Any) -> Any:
        return ok([{"id": 1}, {"id": 2, "archived": True}, {"id": 3, "archived": False}], total=3)

    assert numbers_of(FlowDriver(server).run(list_instances())) == [1, 3]
    assert numbers_of(FlowDriver(server).run(list_instances(include_archived=True))) == [1, 2, 3]


def test_filters_are_asked_for_on_every_page():
    driver = FlowDriver(ListServer(list(range(25))))
    driver.run(list_plugins("1185", group_id="com.acme", page_size=PAGE))
    filters = {(call.query["organisation_id"], call.query["group_id"]) for call in driver.calls}
    assert len(driver.calls) == 3
    assert filters == {("1185", "com.acme")}


def test_a_flow_can_be_run_again_and_starts_anew():
    server = ListServer(list(range(25)))
    job = whole_list("plugins", Plugin, lambda each: each.id, {}, page_size=PAGE)
    assert FlowDriver(server).run(job) == FlowDriver(server).run(job)
