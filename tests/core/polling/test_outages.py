"""Whatever becomes of the platform, a wait goes on until its execution is over."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from airflow_provider_mics.api.errors import MicsAuthError, MicsNotFoundError
from tests.core.polling.real_waits import LIST, ONE, end_quietly, results, until

EVERYTHING = {"path": "^/v1/"}


async def started(platform, count=5, poll_interval=0.1):
    """Waits on so many running executions, each looked at once."""
    instance_id = platform.instance()
    ids = platform.executions(instance_id, count)
    waits = platform.watch_all(instance_id, ids, poll_interval)
    await until(lambda: all(wait.lines for wait in waits))
    return ids, waits


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "500"},
        {"kind": "502"},
        {"kind": "503", "parameters": {"retry_after": "0"}},
        {"kind": "504"},
        {"kind": "429"},
        {"kind": "html"},
        {"kind": "html", "parameters": {"status": 200}},
        {"kind": "cut_json"},
        {"kind": "cut_json", "parameters": {"variant": "complete"}},
        {"kind": "drop_before"},
        {"kind": "drop_after"},
        {"kind": "error_200"},
        {"kind": "body", "parameters": {"status": 200, "body": "[]"}},
        {"kind": "body", "parameters": {"status": 200, "body": '{"status": "ok", "data": null}'}},
    ],
    ids=lambda fault: "-".join([fault["kind"], *map(str, fault.get("parameters", {}).values())]),
)
async def test_an_outage_of_any_kind_is_borne_and_told_in_two_lines(platform, fault):
    ids, waits = await started(platform)
    platform.server.faults([{**EVERYTHING, **fault}])
    await until(lambda: all(wait.was_told("Platform unreachable") for wait in waits))
    platform.end(ids)
    platform.server.faults()
    assert [each.id for each in await results(waits)] == ids
    assert [len(wait.lines) for wait in waits] == [4] * 5
    assert all("Platform reachable again" in wait.messages[2] for wait in waits)
    assert len(platform.clients) == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_with_every_third_answer_a_fault_every_wait_ends_once_and_as_it_should(platform, seed):
    kinds = ["500", "502", "503", "504", "429", "html", "cut_json", "drop_before", "drop_after", "error_200"]
    good, bad = platform.instance(), platform.instance()
    ids = platform.executions(good, 30) + platform.executions(bad, 10)
    platform.server.faults([{**EVERYTHING, "kind": kind, "probability": 0.04} for kind in kinds], seed)
    waits = [*platform.watch_all(good, ids[:30], 0.05), *platform.watch_all(bad, ids[30:], 0.05)]
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


async def test_a_platform_that_is_killed_and_started_again_loses_no_wait(mortal_platform):
    platform = mortal_platform
    ids, waits = await started(platform)
    await asyncio.to_thread(platform.server.kill)
    await until(lambda: all(wait.was_told("Platform unreachable") for wait in waits))
    await asyncio.to_thread(platform.server.start)
    platform.end(ids[:2])
    await until(lambda: waits[0].task.done() and waits[1].task.done())
    assert not any(wait.task.done() for wait in waits[2:])
    platform.end(ids[2:])
    assert all(each.succeeded for each in await results(waits))


async def test_waits_that_begin_while_the_platform_is_down_get_their_executions_when_it_is_back(
    mortal_platform,
):
    platform = mortal_platform
    instance_id = platform.instance("succeed")
    ids = platform.executions(instance_id, 3)
    await asyncio.to_thread(platform.server.kill)
    waits = platform.watch_all(instance_id, ids)
    await until(lambda: all(wait.was_told("Platform unreachable") for wait in waits))
    await asyncio.to_thread(platform.server.start)
    assert all(each.succeeded for each in await results(waits))


async def test_a_token_that_is_replaced_in_the_connection_goes_unnoticed(platform):
    ids, waits = await started(platform)
    platform.token = "the-new-token"
    platform.server.set_tokens({"the-new-token": [platform.organisation_id]})
    await until(lambda: len(platform.clients) == 2)
    platform.server.set_tokens(
        {"the-new-token": [platform.organisation_id], platform.server.token: [platform.organisation_id]}
    )
    platform.end(ids)
    assert all(each.succeeded for each in await results(waits))
    assert [len(wait.lines) for wait in waits] == [2] * 5
    assert len(platform.clients) == 2
    assert platform.open_clients == []


async def test_a_token_that_is_replaced_again_later_goes_unnoticed_again(platform):
    ids, waits = await started(platform)
    for number in (2, 3):
        platform.token = f"token-{number}"
        platform.server.set_tokens({platform.token: [platform.organisation_id]})
        await until(lambda number=number: len(platform.clients) == number)
        await platform.until_asked(LIST, 2)
    platform.server.set_tokens(
        {platform.token: [platform.organisation_id], platform.server.token: [platform.organisation_id]}
    )
    platform.end(ids)
    assert all(each.succeeded for each in await results(waits))
    assert len(platform.clients) == 3


async def test_a_revoked_token_fails_all_waits_clearly_and_without_a_storm(platform):
    _, waits = await started(platform, 20)
    platform.server.set_tokens({"somebody-else": ["1"]})
    before = await platform.asked(LIST)
    errors = await results(waits)
    assert [type(each) for each in errors] == [MicsAuthError] * 20
    assert "unknown, expired or revoked" in str(errors[0])
    assert platform.server.token not in str(errors[0])
    assert await platform.asked(LIST) <= before + 3
    assert await platform.asked(ONE) == 0
    assert platform.open_clients == []


async def test_a_token_without_rights_to_the_organisation_fails_all_waits_clearly(platform):
    _, waits = await started(platform, 3)
    platform.server.set_tokens({platform.token: ["1"]})
    errors = await results(waits)
    assert [type(each) for each in errors] == [MicsAuthError] * 3
    assert platform.organisation_id in str(errors[0])


async def test_each_error_begins_its_traceback_anew(platform):
    _, waits = await started(platform, 20)
    platform.server.set_tokens({"somebody-else": ["1"]})
    errors = await results(waits)
    depth, trace = 0, errors[-1].__traceback__
    while trace is not None:
        depth, trace = depth + 1, trace.tb_next
    assert depth < 10


async def test_an_execution_that_a_stale_list_does_not_show_yet_is_asked_for_by_its_id(platform):
    platform.server.faults([{"kind": "stale_list", "parameters": {"seconds": 60}}])
    ids, waits = await started(platform, 3)
    platform.end(ids)
    assert all(each.succeeded for each in await results(waits))


async def test_an_execution_of_another_instance_is_not_taken_for_the_awaited_one(platform):
    mine, other = platform.instance(), platform.instance()
    [my_id], [other_id] = platform.executions(mine, 1), platform.executions(other, 1)
    waits = [platform.watch(mine, my_id), platform.watch(mine, other_id)]
    await until(lambda: waits[0].lines and waits[1].was_told("is not found"))
    platform.end([my_id, other_id])
    assert (await waits[0].task).id == my_id
    assert not waits[1].task.done()
    await end_quietly(waits)


async def test_an_execution_that_is_deleted_fails_its_own_wait_only(platform, monkeypatch):
    monkeypatch.setattr(
        "airflow_provider_mics.core.polling.subscriptions.APPEARS_WITHIN", timedelta(seconds=0.5)
    )
    ids, waits = await started(platform, 3)
    instance_id = platform.server.executions()[-1]["instance_id"]
    platform.server.call("DELETE", f"integration_batch_instances/{instance_id}/executions/{ids[1]}")
    with pytest.raises(MicsNotFoundError, match=ids[1]):
        await waits[1].task
    platform.end([ids[0], ids[2]])
    assert [each.id for each in await results([waits[0], waits[2]])] == [ids[0], ids[2]]
