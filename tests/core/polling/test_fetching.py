"""Which requests a poll sends, and that each result arrives, whatever the platform is like."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from airflow_provider_mics.api import get_execution
from airflow_provider_mics.core.polling.fetching import gather_limited
from tests.core.polling.real_waits import (
    EVERYTHING,
    LIST,
    OF_INSTANCE,
    ONE,
    OUTAGE_LINE,
    end_quietly,
    results,
    started,
    until,
)
from tests.core.polling.simulated import ORGANISATION_LIST, end, running, simulate, wait_for
from tests.flow_driver import refusal
from tests.simulated_platform import always, refused

PLATFORMS = {
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


@pytest.mark.parametrize("quirks", PLATFORMS.values(), ids=PLATFORMS)
async def test_all_waits_end_whatever_the_platform_is_like(platform, quirks):
    instance_id, other_id = platform.instance(), platform.instance()
    ids = platform.executions(instance_id, 12) + platform.executions(other_id, 1)
    platform.server.quirks(**quirks)
    waits = [*platform.wait_for_all(instance_id, ids[:12]), platform.wait_for(other_id, ids[12])]
    await until(lambda: all(wait.lines for wait in waits))
    platform.end(ids[::2])
    await until(lambda: all(wait.task.done() for wait in waits[::2]))
    assert not any(wait.task.done() for wait in waits[1::2])
    platform.end(ids[1::2])
    assert [each.id for each in await results(waits)] == ids
    assert not any(wait.has_logged(OUTAGE_LINE) for wait in waits)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_with_faults_in_every_third_response_each_wait_ends_once_with_its_result(platform, seed):
    kinds = ["500", "502", "503", "504", "429", "html", "cut_json", "drop_before", "drop_after", "error_200"]
    good, bad = platform.instance(), platform.instance()
    ids = platform.executions(good, 30) + platform.executions(bad, 10)
    # Asked by id, so that there are enough requests.
    platform.server.quirks(organisation_executions="404")
    platform.server.faults([{**EVERYTHING, "kind": kind, "probability": 0.04} for kind in kinds], seed)
    waits = [*platform.wait_for_all(good, ids[:30], 0.05), *platform.wait_for_all(bad, ids[30:], 0.05)]
    await until(lambda: all(wait.lines for wait in waits))
    platform.end(ids[:30])
    platform.end(ids[30:], "FAILED")
    ended = await results(waits)
    assert [(each.id, str(each.status)) for each in ended] == [
        *((each, "SUCCEEDED") for each in ids[:30]),
        *((each, "FAILED") for each in ids[30:]),
    ]
    assert sum(platform.server.injected().values()) > 10
    assert platform.open_clients == []


async def test_a_request_without_response_does_not_delay_other_results(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 4)
    platform.server.quirks(organisation_executions="404")
    waits = platform.wait_for_all(instance_id, ids)
    await until(lambda: all(wait.lines for wait in waits))
    silent = {"kind": "timeout_before", "path": f"/{ids[0]}$", "parameters": {"seconds": 60}}
    platform.server.faults([silent])
    platform.end(ids)
    async with asyncio.timeout(4):  # before the client gives up on the silent one
        assert [each.id for each in await results(waits[1:])] == ids[1:]
    assert not waits[0].task.done()
    platform.server.faults()
    assert (await waits[0].task).id == ids[0]


async def test_with_instance_lists_only_one_list_serves_all_executions_of_an_instance(platform):
    platform.server.quirks(organisation_executions="404", execution_get="405")
    instance_id, other_id = platform.instance(), platform.instance()
    ids, other_ids = platform.executions(instance_id, 40), platform.executions(other_id, 2)
    platform.server.reset_counters()
    waits = platform.wait_for_all(instance_id, ids) + platform.wait_for_all(other_id, other_ids)
    await until(lambda: all(wait.lines for wait in waits))
    polls = await platform.asked(LIST)
    assert await platform.asked(OF_INSTANCE) <= 2 * polls
    assert await platform.asked(ONE) == 42
    platform.end(ids + other_ids)
    assert all(each.succeeded for each in await results(waits))
    assert await platform.asked(ONE) == 42


async def test_an_execution_missing_from_a_stale_list_is_requested_by_id(platform):
    platform.server.faults([{"kind": "stale_list", "parameters": {"seconds": 60}}])
    ids, waits = await started(platform, 3)
    platform.end(ids)
    assert all(each.succeeded for each in await results(waits))


async def test_an_execution_of_another_instance_is_not_taken_for_the_awaited_one(platform):
    mine, other = platform.instance(), platform.instance()
    [my_id], [other_id] = platform.executions(mine, 1), platform.executions(other, 1)
    waits = [platform.wait_for(mine, my_id), platform.wait_for(mine, other_id)]
    await until(lambda: waits[0].lines and waits[1].has_logged("not found"))
    platform.end([my_id, other_id])
    assert (await waits[0].task).id == my_id
    assert not waits[1].task.done()
    await end_quietly(waits)


def test_a_single_execution_is_requested_by_id():
    async def scenario():
        platform = running(300)
        waiter = wait_for(platform, "7")
        await asyncio.sleep(95)
        assert platform.paths() == {"integration_batch_instances/42/executions/7": 4}
        await end(platform, [waiter])

    simulate(scenario())


@pytest.mark.parametrize("status", [400, 403, 404, 405, 500])
def test_if_only_the_list_fails_each_execution_is_requested_by_id(status):
    async def scenario():
        platform = running(20)
        platform.faults = always(refused(status, path=ORGANISATION_LIST))
        waiters = [wait_for(platform, str(number)) for number in range(1, 21)]
        await asyncio.sleep(25)
        assert all("is RUNNING" in waiter.messages[0] for waiter in waiters)
        assert len(await end(platform, waiters)) == 20

    simulate(scenario())


def test_requests_by_id_are_spread_over_time_with_few_at_once():
    async def scenario():
        platform = running(400)
        platform.faults = always(refused(404, path=ORGANISATION_LIST))
        waiters = [wait_for(platform, str(number)) for number in range(1, 401)]
        await asyncio.sleep(20)
        moments = [each.at for each in platform.requests if each.path != ORGANISATION_LIST]
        assert len(moments) == 400
        assert 1 < max(moments) - min(moments) < 10
        assert max(sum(at <= other < at + 0.02 for other in moments) for at in moments) <= 8
        await end(platform, waiters)

    simulate(scenario())


def test_after_eight_outages_in_a_row_the_remaining_requests_are_not_sent():
    async def scenario():
        platform = running(400)
        platform.faults = always(lambda _, call: refusal(404 if call.path == ORGANISATION_LIST else 503))
        waiters = [wait_for(platform, str(number)) for number in range(1, 401)]
        await asyncio.sleep(20)
        assert len(platform.requests) <= 1 + 2 * 8
        assert all(OUTAGE_LINE in waiter.messages[0] for waiter in waiters)
        platform.faults = iter(())
        assert len(await end(platform, waiters)) == 400

    simulate(scenario())


def test_after_a_429_the_remaining_requests_are_not_sent():
    async def scenario():
        platform = running(400)
        platform.faults = always(lambda _, call: refusal(404 if call.path == ORGANISATION_LIST else 429))
        waiters = [wait_for(platform, str(number)) for number in range(1, 401)]
        await asyncio.sleep(20)
        assert len(platform.requests) <= 1 + 8
        assert all(OUTAGE_LINE in waiter.messages[0] for waiter in waiters)
        platform.faults = iter(())
        assert len(await end(platform, waiters)) == 400

    simulate(scenario())


def test_a_stream_of_results_that_is_closed_early_leaves_no_request_open():
    async def scenario():
        platform = running(100)
        before = asyncio.all_tasks()
        jobs = {each: get_execution(platform.instance_id, each) for each in platform.ids}
        async with aclosing(gather_limited(await platform.make_client(), jobs, 30.0)) as results:
            execution_id, execution = await anext(results)
            assert execution.id == execution_id
            assert len(asyncio.all_tasks()) > len(before)
        assert asyncio.all_tasks() == before
        assert len(platform.requests) <= 8

    simulate(scenario())


def test_a_bug_is_raised_unchanged_to_all_waits():
    def fail(_, call):
        if call.path == ORGANISATION_LIST:
            return refusal(404)
        raise ZeroDivisionError(call.path)

    async def scenario():
        platform = running(20)
        platform.faults = always(fail)
        waiters = [wait_for(platform, str(number)) for number in range(1, 21)]
        results = await asyncio.gather(*(waiter.task for waiter in waiters), return_exceptions=True)
        assert {type(each) for each in results} == {ZeroDivisionError}
        assert platform.clients_closed == 1

    simulate(scenario())
