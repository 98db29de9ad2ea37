"""Reading lists: any content may come, valid items are kept, and no page is read in vain."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from airflow_provider_mics.api.responses import ErrorInSuccess, UnexpectedBody
from tests.core.polling.any_items import ANY_JSON, SOME_EXECUTION, listed, on_any_machine, read
from tests.core.polling.real_waits import LIST, OF_INSTANCE, ONE, end_quietly, results, until
from tests.core.polling.simulated import (
    ORGANISATION_LIST,
    end,
    running,
    simulate,
    wait_for,
    wait_for_creation,
)
from tests.core.polling.test_fetching import PLATFORMS


@pytest.mark.parametrize("read_page", [read, listed])
@on_any_machine
@given(answer=ANY_JSON | some.fixed_dictionaries({"status": ANY_JSON, "data": ANY_JSON, "total": ANY_JSON}))
def test_any_json_is_a_page_or_a_validation_error(read_page, answer):
    with suppress(ValidationError, ErrorInSuccess, UnexpectedBody):
        read_page(json.dumps(answer).encode())


@pytest.mark.parametrize("read_page", [read, listed])
@on_any_machine
@given(content=some.binary())
def test_random_bytes_are_no_page(read_page, content):
    with pytest.raises((ValidationError, ErrorInSuccess, UnexpectedBody)):
        read_page(content)


@on_any_machine
@given(items=some.lists(SOME_EXECUTION | ANY_JSON, max_size=5))
def test_a_good_item_is_read_among_any_others(items):
    good = {"id": "7", "status": "RUNNING", "completed_tasks": 3}
    executions, size = listed(json.dumps({"status": "ok", "data": [*items, good]}).encode())
    assert size == len(items) + 1
    assert executions[-1].id == "7"
    assert executions[-1].as_execution().completed_tasks == 3


@on_any_machine
@given(number=some.integers(min_value=0))
def test_an_id_is_the_same_as_a_number_and_as_text(number):
    items = [{"id": number, "status": "PENDING"}, {"id": str(number), "status": "PENDING"}]
    [as_number, as_text], _ = listed(json.dumps({"status": "ok", "data": items}).encode())
    assert as_number.id == as_text.id


def test_a_deeply_nested_item_harms_no_other():
    deep = b"[" * 100_000 + b"]" * 100_000
    executions, size = listed(b'{"status": "ok", "data": [' + deep + b', {"id": 7, "status": "RUNNING"}]}')
    assert (size, [each.id for each in executions]) == (2, ["7"])


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_executions_beside_a_long_history_are_found_in_few_pages_from_either_end(platform, order):
    platform.server.quirks(list_order=order)
    instance_id = platform.instance()
    platform.server.bulk(instance_id=int(instance_id), executions=3000)
    ids = platform.executions(instance_id, 50)
    waits = platform.wait_for_all(instance_id, ids, poll_interval=0.3)
    await until(lambda: all(wait.lines for wait in waits))
    # The order is known by now: one page for each poll, and no request by id.
    await platform.until_asked(LIST, 8)
    await end_quietly(waits)
    assert await platform.asked(ONE) <= 50
    queries = [
        request["query"]["first_result"][0]
        for request in platform.server.seen_requests()
        if request["path"].endswith(".executions")
    ]
    assert (
        set(queries[-4:]) == {"0"} if order == "newest" else all(int(each) >= 2950 for each in queries[-4:])
    )


async def test_an_execution_deep_in_the_history_is_requested_by_id(platform):
    instance_id, recent_id = platform.instance(), platform.instance()
    [old] = platform.executions(instance_id, 1)
    platform.server.bulk(instance_id=int(recent_id), executions=2000)
    ids = platform.executions(recent_id, 10)
    platform.server.reset_counters()
    waits = [platform.wait_for(instance_id, old, 0.3), *platform.wait_for_all(recent_id, ids, 0.3)]
    await until(lambda: all(wait.lines for wait in waits))
    assert await platform.asked(LIST) <= 2 * await platform.asked(ONE)
    platform.end([old])
    assert (await waits[0].task).id == old
    await end_quietly(waits)


async def test_an_unreadable_list_item_does_not_affect_the_others(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 3)
    page = {
        "status": "ok",
        "data": [
            None,
            7,
            {"id": None},
            {"id": ids[0], "status": None},
            {"status": "SUCCEEDED"},
            {"id": ids[1], "status": "RUNNING", "num_tasks": {"odd": 1}, "start_date": "yesterday"},
        ],
    }
    fault = {
        "kind": "body",
        "path": r"\.executions$",
        "parameters": {"status": 200, "body": json.dumps(page)},
    }
    platform.server.faults([fault])
    waits = platform.wait_for_all(instance_id, ids)
    await until(lambda: all(wait.lines for wait in waits))
    assert all("RUNNING" in wait.messages[0] for wait in waits)
    platform.server.faults()
    platform.end(ids)
    assert all(each.succeeded for each in await results(waits))


def test_a_list_is_read_no_further_than_requests_by_id_would_cost():
    async def scenario():
        platform = running(5000)
        waiters = [wait_for(platform, str(number)) for number in range(4950, 0, -500)]
        await asyncio.sleep(20)
        assert len(platform.times_of(ORGANISATION_LIST)) <= len(waiters)
        assert all("is RUNNING" in waiter.messages[0] for waiter in waiters)
        await end(platform, waiters)

    simulate(scenario())


@pytest.mark.parametrize(
    "quirks", [PLATFORMS["as expected"], PLATFORMS["the worst"], PLATFORMS["oldest first"]]
)
async def test_a_created_execution_is_found(platform, quirks):
    instance_id = platform.instance("succeed")
    platform.server.bulk(instance_id=int(instance_id), executions=250)
    platform.server.quirks(**quirks)
    known = {each["id"] for each in platform.server.executions(instance_id)}
    wait = platform.wait_for_creation(instance_id, lambda each: each.id not in known)
    await platform.until_asked(OF_INSTANCE, 6)
    assert not wait.task.done()
    [new] = platform.executions(instance_id, 1)
    assert (await wait.task).id == new
    assert wait.messages == []


async def test_an_existing_execution_counts_as_created(platform):
    instance_id = platform.instance("succeed")
    ids = platform.executions(instance_id, 3)
    assert (await platform.wait_for_creation(instance_id, lambda each: True).task).id == ids[-1]


def test_a_history_of_years_is_read_once_and_then_only_when_it_changes():
    async def scenario():
        platform = running(3000)
        waiter = wait_for_creation(platform, "4000")
        await asyncio.sleep(5)
        assert len(platform.requests) == 31
        await asyncio.sleep(120)
        assert len(platform.requests) == 35
        platform.add("4000", status="PENDING")
        assert (await waiter.task).id == "4000"
        assert len(platform.requests) == 36

    simulate(scenario())
