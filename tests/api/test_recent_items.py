"""The newest items of a list are read completely, whatever the list is like, and at a cost that does not grow."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from airflow_provider_mics.api import Call, Execution, MicsApiError
from airflow_provider_mics.api.executions import list_executions, read_recent_executions
from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.api.list_history import MOST_LISTS, KnownList, ListHistory
from tests.case_counts import cases
from tests.flow_driver import NOON, FlowDriver, ok, refusal

MINUTE = timedelta(minutes=1)
PATH = "integration_batch_instances/42/executions"
TOTALS: dict[str, Callable[[int, int], Any]] = {
    "true": lambda length, size: length,
    "none": lambda length, size: None,
    "too small": lambda length, size: length // 2,
    "too small by one": lambda length, size: length - 1,
    "too large": lambda length, size: length * 3 + 100,
    "far too large": lambda length, size: 10**12,
    "of the page": lambda length, size: size,
    "text": lambda length, size: str(length),
    "no number": lambda length, size: "many",
    "zero": lambda length, size: 0,
    "negative": lambda length, size: -1,
}
PAST_THE_END = ["empty", "400", "404", "416", "last page"]
ORDERS = ["newest first", "newest last", "none", "pending first", "newer half first"]


@dataclass
class ListPlatform:
    """A list of executions, with the newest last in ``items``; ``change`` happens before each request but the first."""

    items: list[dict[str, Any]] = field(default_factory=list)
    order: str = "newest last"
    total: str = "true"
    past_the_end: str = "empty"
    largest_page: int = 20
    echo: str = "none"
    pages: bool = True
    change: Callable[[ListPlatform, int], None] = lambda platform, number: None
    requests: list[int] = field(default_factory=list)
    made: int = 0

    def __post_init__(self) -> None:
        self.driver = FlowDriver(self.send)

    def add(self, count: int = 1, every: timedelta = MINUTE) -> None:
        for _ in range(count):
            self.made += 1
            created = milliseconds(NOON + self.made * every)
            self.items.append({"id": str(self.made), "status": "SUCCEEDED", "creation_date": created})

    def shown(self) -> list[dict[str, Any]]:
        if self.order == "newest first":
            return self.items[::-1]
        if self.order == "none":
            return sorted(self.items, key=lambda each: random.Random(each["id"]).random())
        if self.order == "newer half first":
            middle = len(self.items) // 2
            return self.items[middle:] + self.items[:middle]
        if self.order == "pending first":
            return sorted(self.items, key=lambda each: each["status"] != "PENDING")
        return self.items

    def send(self, call: Call[Any]) -> Any:
        if self.requests:
            self.change(self, len(self.requests))
        first, asked = call.query["first_result"], call.query["max_results"]
        self.requests.append(first)
        assert len(self.requests) < 3000
        shown = self.shown()
        size = min(asked, self.largest_page)
        if not self.pages:
            page = shown
        elif first >= len(shown) > 0 and self.past_the_end != "empty":
            if self.past_the_end != "last page":
                return refusal(int(self.past_the_end))
            page = shown[-size:]
        else:
            page = shown[first : first + size]
        total = TOTALS[self.total](len(shown), len(page))
        largest = {"given": size, "asked": asked}.get(self.echo)
        more = {"total": total, "max_results": largest, "first_result": first}
        return ok(page, **{name: value for name, value in more.items() if value is not None})

    def newest(self, count: int, **options: Any) -> list[str]:
        """The ids that a reading of the newest ``count`` of the present items gives, and all that it gives beside."""
        since = self.items[-count:][0]["creation_date"] if self.items else 0
        job = read_recent_executions("42", lambda: lambda each: _created(each) < since, **options)
        return [each.id for each in self.driver.run(job).items]


def _created(execution: Execution) -> int:
    return milliseconds(execution.creation_date) if execution.creation_date else 0


def platform_of(length: int, **options: Any) -> ListPlatform:
    platform = ListPlatform(**options)
    platform.items, platform.made = list(history(length)), length
    return platform


@cache
def history(length: int) -> tuple[dict[str, Any], ...]:
    platform = ListPlatform()
    platform.add(length)
    return tuple(platform.items)


@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("length", [0, 1, 3, 20, 21, 40, 77])
def test_the_newest_are_given_now_and_after_the_list_has_changed(length, order, total):
    for past_the_end, echo in zip(PAST_THE_END, ["none", "given", "asked", "none", "none"], strict=True):
        platform = platform_of(length, order=order, total=total, past_the_end=past_the_end, echo=echo)
        for added in (0, 1, 30):
            platform.add(added)
            given = platform.newest(15, page_size=100)
            assert len(set(given)) == len(given)
            missing = {each["id"] for each in platform.items[-15:]} - set(given)
            assert not missing or lacks(platform, missing), (past_the_end, echo, added)


def whole_list(platform: ListPlatform) -> set[str]:
    return {each.id for each in platform.driver.run(list_executions("42"))}


def lacks(platform: ListPlatform, ids: set[str]) -> bool:
    """Whether the whole reading misses these too: a total that is too small may end it after a full page."""
    return not ids & whole_list(platform)


@pytest.mark.parametrize("total", ["true", "none", "too small", "too large", "of the page", "text", "zero"])
@pytest.mark.parametrize("largest_page", [10, 20, 1000])
@pytest.mark.parametrize("length", [100, 100_000])
def test_the_cost_does_not_grow_with_the_length(length, largest_page, total):
    for past_the_end, echo in [("empty", "none"), ("416", "asked"), ("400", "given")]:
        platform = platform_of(
            length, largest_page=largest_page, total=total, past_the_end=past_the_end, echo=echo
        )
        platform.newest(15, page_size=100)
        assert len(platform.requests) <= 32
        for added in (0, 1, 5):
            platform.add(added)
            platform.requests.clear()
            assert {each["id"] for each in platform.items[-15:]} <= set(platform.newest(15, page_size=100))
            assert len(platform.requests) <= (5 if largest_page == 10 else 3)


@pytest.mark.parametrize("length", [100, 1000, 10_000])
def test_the_newest_first_are_read_from_the_beginning(length):
    platform = platform_of(length, order="newest first", total="none")
    platform.newest(15)
    assert platform.requests == [0]


def test_a_list_that_shrinks_grows_or_turns_round_is_noticed():
    platform = platform_of(2000, total="none")
    for length, order in [
        (1000, "newest last"),
        (5000, "newest last"),
        (5000, "newest first"),
        (300, "none"),
    ]:
        while len(platform.items) < length:
            platform.add()
        del platform.items[: len(platform.items) - length]
        platform.order = order
        assert {each["id"] for each in platform.items[-15:]} <= set(platform.newest(15))


def test_what_is_in_progress_first_is_found_if_the_first_page_is_checked():
    platform = platform_of(200, order="pending first", total="none")
    platform.newest(15)
    platform.add()
    platform.items[-1] = platform.items[-1] | {"status": "PENDING"}
    assert platform.items[-1]["id"] in platform.newest(15, checks_first_page=True)


def test_a_list_that_ignores_paging_is_given_whole():
    platform = platform_of(300, pages=False, total="none")
    assert len(platform.newest(15)) == 300


@pytest.mark.parametrize("shape", [{"creation_date": None}, {"creation_date": "soon"}, {"id": None}])
def test_an_item_without_a_date_or_an_id_leads_to_the_whole_list(shape):
    platform = platform_of(300, total="none")
    platform.newest(15)
    platform.items[-3] = platform.items[-3] | shape
    given = platform.newest(15)
    assert platform.items[-1]["id"] in given
    assert "1" in given


def test_an_error_is_raised_and_not_taken_for_the_end():
    platform = platform_of(1000, total="none")
    platform.newest(15)
    healthy = platform.send
    for answer in (refusal(503), refusal(403)):
        platform.driver = FlowDriver(
            lambda call, answer=answer: answer if call.query["first_result"] else healthy(call)
        )
        with pytest.raises(Exception, match="no"):
            platform.newest(15)


def test_an_offset_that_was_refused_by_mistake_is_not_taken_for_the_end():
    platform = platform_of(1000, total="none")
    healthy = platform.send
    refused = []

    def send(call):
        start = call.query["first_result"]
        if start > 300 and not refused:
            refused.append(start)
            return refusal(400)
        return healthy(call)

    platform.driver = FlowDriver(send)
    assert "1000" in platform.newest(15)


@pytest.mark.parametrize("total", ["true", "none"])
def test_a_list_in_two_parts_is_read_whole(total):
    platform = platform_of(1000, total=total, order="newer half first")
    assert "1000" in platform.newest(15)


def test_a_gap_between_two_pages_is_noticed():
    """Items that are added at the beginning move all others on."""
    platform = platform_of(1000, total="none")
    platform.newest(15)

    def change(platform, number):
        if number != 3:
            return
        old = {"status": "FAILED", "creation_date": platform.items[0]["creation_date"]}
        platform.items = [{"id": f"{number}-{extra}", **old} for extra in range(30)] + platform.items

    platform.requests.clear()
    platform.requests.append(0)
    platform.change = change
    assert {each["id"] for each in platform.items[-60:]} <= set(platform.newest(60))


CHANGES = some.lists(
    some.tuples(some.sampled_from(["add", "remove", "insert", "none", "none"]), some.floats(0, 0.999)),
    max_size=30,
)


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=cases(200))
@given(
    length=some.integers(0, 150),
    before=some.integers(0, 40),
    order=some.sampled_from(ORDERS),
    total=some.sampled_from(["true", "none"]),
    past_the_end=some.sampled_from(["empty", "400", "416"]),
    largest_page=some.integers(8, 25),
    echo=some.sampled_from(["none", "given", "asked"]),
    count=some.integers(1, 40),
    changes=CHANGES,
)
def test_no_item_that_stays_is_missed_while_the_list_changes(
    length, before, order, total, past_the_end, largest_page, echo, count, changes
):
    """Compared with reading the whole list, which no change makes miss an item that was there all the time."""
    removed: set[str] = set()
    script: Iterator[tuple[str, float]] = iter(())

    def change(platform: ListPlatform, number: int) -> None:
        action, place = next(script, ("none", 0.0))
        if action == "add":
            platform.add()
        elif action == "remove" and platform.items:
            removed.add(platform.items.pop(int(place * len(platform.items)))["id"])
        elif action == "insert" and platform.items:
            at = int(place * len(platform.items))
            date = platform.items[at]["creation_date"]
            platform.made += 1
            platform.items.insert(
                at, {"id": f"9{platform.made:06}", "status": "FAILED", "creation_date": date}
            )

    platform = platform_of(
        length, order=order, total=total, past_the_end=past_the_end, largest_page=largest_page, echo=echo
    )
    if before:
        platform.newest(min(before, 15), page_size=100)
    platform.add(before)
    wanted = {each["id"] for each in platform.items[-count:]}
    script = iter(changes)
    platform.change = change
    try:
        given = set(platform.newest(count, page_size=100))
    except MicsApiError:
        # The list ended before an offset that was in it a moment ago. The caller asks again.
        assert past_the_end != "empty"
        return
    assert wanted - removed <= given


def test_what_is_remembered_is_bounded():
    history = ListHistory()
    for number in range(MOST_LISTS + 10):
        history.learn(str(number), KnownList(1000, 20))
        history.note(str(number), number)
    assert history.get("0") is history.noted("0") is None
    assert history.get(str(MOST_LISTS)) == KnownList(1000, 20)
    assert history.noted(str(MOST_LISTS)) == MOST_LISTS
    history.forget(str(MOST_LISTS))
    assert history.get(str(MOST_LISTS)) is None
