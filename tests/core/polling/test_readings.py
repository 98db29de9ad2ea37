"""The platform's uncertain ways: whichever it has, the same waits end the same way."""

from __future__ import annotations

import json

import pytest

from tests.core.polling.real_waits import LIST, OF_INSTANCE, ONE, end_quietly, results, until

WAYS = {
    "as expected": {},
    "ids as numbers": {"ids_as_numbers": True},
    "sparse fields": {"sparse_executions": "optional"},
    "sparsest fields": {"sparse_executions": "all"},
    "null fields": {"null_executions": "all"},
    "unknown fields": {"extra_fields": True},
    "other words": {"running_as": "RUNNING_NOW", "succeeded_as": "SUCCESS", "pending_as": "SCHEDULED"},
    "counts as text": {"task_counts": "string"},
    "oldest first": {"list_order": "oldest"},
    "random order": {"list_order": "random"},
    "unstable order": {"list_order": "unstable"},
    "no total": {"lists_have_total": False},
    "no paging": {"lists_paginated": False},
    "no paging, no total": {"lists_paginated": False, "lists_have_total": False},
    "small pages": {"max_results_cap": 7},
    "small pages said to be large": {"max_results_cap": 7, "max_results_echo": "asked"},
    "no list of the organisation": {"organisation_executions": "404"},
    "no list of the organisation, 405": {"organisation_executions": "405"},
    "no single execution": {"execution_get": "404"},
    "no single execution, 405": {"execution_get": "405"},
    "lists of instances only": {"organisation_executions": "404", "execution_get": "404"},
    "errors as html": {"organisation_executions": "404", "execution_get": "404", "errors_as": "html"},
    "errors with status 200": {"organisation_executions": "404", "errors_with_status_200": True},
    "the worst": {
        "ids_as_numbers": True,
        "sparse_executions": "all",
        "list_order": "random",
        "lists_have_total": False,
        "max_results_cap": 7,
        "max_results_echo": "asked",
        "execution_get": "405",
        "errors_as": "text",
    },
}


@pytest.mark.parametrize("quirks", WAYS.values(), ids=WAYS)
async def test_all_waits_end_whatever_the_platform_is_like(platform, quirks):
    instance_id, other_id = platform.instance(), platform.instance()
    ids = platform.executions(instance_id, 12) + platform.executions(other_id, 1)
    platform.server.quirks(**quirks)
    waits = [*platform.watch_all(instance_id, ids[:12]), platform.watch(other_id, ids[12])]
    await until(lambda: all(wait.lines for wait in waits))
    platform.end(ids[::2])
    await until(lambda: all(wait.task.done() for wait in waits[::2]))
    assert not any(wait.task.done() for wait in waits[1::2])
    platform.end(ids[1::2])
    assert [each.id for each in await results(waits)] == ids
    assert not any(wait.was_told("Platform unreachable") for wait in waits)


async def test_an_unknown_status_is_not_an_end_and_is_named_once(platform):
    platform.server.quirks(running_as="PROVISIONING")
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 2)
    waits = platform.watch_all(instance_id, ids)
    await until(lambda: all(wait.was_told("PROVISIONING") for wait in waits))
    await platform.until_asked(LIST, 5)
    assert len(waits[0].lines) == 1
    platform.end(ids)
    assert all(each.succeeded for each in await results(waits))


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_executions_beside_a_long_history_are_found_in_few_pages_from_either_end(platform, order):
    platform.server.quirks(list_order=order)
    instance_id = platform.instance()
    platform.server.bulk(instance_id=int(instance_id), executions=3000)
    ids = platform.executions(instance_id, 50)
    waits = platform.watch_all(instance_id, ids, poll_interval=0.3)
    await until(lambda: all(wait.lines for wait in waits))
    # The order has been learned by now: two pages a look at most, and nobody is asked for alone.
    await platform.until_asked(LIST, 8)
    await end_quietly(waits)
    assert await platform.asked(ONE) <= 50
    queries = [
        request["query"]["first_result"][0]
        for request in platform.server.seen_requests()
        if request["path"].endswith(".executions")
    ]
    assert set(queries[-4:]) <= {"0", "2950"}


async def test_an_execution_deep_in_the_history_is_asked_for_by_its_id(platform):
    instance_id, recent_id = platform.instance(), platform.instance()
    [old] = platform.executions(instance_id, 1)
    platform.server.bulk(instance_id=int(recent_id), executions=2000)
    ids = platform.executions(recent_id, 10)
    platform.server.reset_counters()
    waits = [platform.watch(instance_id, old, 0.3), *platform.watch_all(recent_id, ids, 0.3)]
    await until(lambda: all(wait.lines for wait in waits))
    assert await platform.asked(LIST) <= 2 * await platform.asked(ONE)
    platform.end([old])
    assert (await waits[0].task).id == old
    await end_quietly(waits)


async def test_an_item_of_the_list_that_cannot_be_read_harms_no_other(platform):
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
    waits = platform.watch_all(instance_id, ids)
    await until(lambda: all(wait.lines for wait in waits))
    assert all("RUNNING" in wait.messages[0] for wait in waits)
    platform.server.faults()
    platform.end(ids)
    assert all(each.succeeded for each in await results(waits))


@pytest.mark.parametrize("quirks", [WAYS["as expected"], WAYS["the worst"], WAYS["oldest first"]])
async def test_an_execution_that_appears_is_found(platform, quirks):
    instance_id = platform.instance("succeed")
    platform.server.bulk(instance_id=int(instance_id), executions=250)
    platform.server.quirks(**quirks)
    known = {each["id"] for each in platform.server.executions(instance_id)}
    wait = platform.watch_appearance(instance_id, lambda each: each.id not in known)
    await platform.until_asked(OF_INSTANCE, 6)
    assert not wait.task.done()
    [new] = platform.executions(instance_id, 1)
    assert (await wait.task).id == new
    assert wait.messages == []


async def test_an_execution_that_is_there_already_has_appeared(platform):
    instance_id = platform.instance("succeed")
    ids = platform.executions(instance_id, 3)
    assert (await platform.watch_appearance(instance_id, lambda each: True).task).id == ids[-1]
