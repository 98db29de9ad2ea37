"""What a wait logs, and how it ends: with its own result or error, in its own context."""

from __future__ import annotations

import asyncio
import contextvars
import json
import re
from datetime import timedelta

import pytest
from hypothesis import given

from airflow_provider_mics.api.calls import Log
from airflow_provider_mics.api.errors import MicsApiError, MicsAuthError, MicsError, MicsNotFoundError
from airflow_provider_mics.api.field_types import EPOCH
from airflow_provider_mics.core.polling import wait_until_over
from airflow_provider_mics.core.polling.execution_lists import Target
from airflow_provider_mics.core.polling.subscriptions import CompletionSubscription
from tests.core.polling.any_items import SOME_EXECUTION, listed, on_any_machine
from tests.core.polling.real_waits import (
    EVERYTHING,
    LIST,
    ONE,
    OUTAGE_LINE,
    RECOVERY_LINE,
    results,
    started,
    until,
)
from tests.core.polling.simulated import (
    ORGANISATION_LIST,
    elapsed,
    end,
    running,
    simulate,
    wait_for,
)
from tests.simulated_platform import always, not_sent, refused


async def test_the_result_and_the_error_come_from_the_full_execution(platform):
    succeeding, failing = platform.instance("succeed"), platform.instance("fail")
    [good], [bad] = platform.executions(succeeding, 1), platform.executions(failing, 1)
    waits = [platform.wait_for(succeeding, good), platform.wait_for(failing, bad)]
    success, failure = await results(waits)
    assert success.result == {"rows": 12}
    assert failure.error_message == "the script ended with exit code 1"
    assert waits[1].has_logged("FAILED")


async def test_two_waits_for_the_same_execution_both_get_it(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 2)
    waits = platform.wait_for_all(instance_id, [*ids, ids[0]])
    await until(lambda: all(wait.lines for wait in waits))
    platform.end(ids)
    assert [each.id for each in await results(waits)] == [*ids, ids[0]]
    assert waits[0].messages == waits[2].messages
    assert await platform.asked(ONE) <= 1


async def test_log_lines_are_written_in_the_context_of_the_waiting_task(platform):
    whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose")
    instance_id = platform.instance("succeed")
    logged = []

    async def wait_as(name, execution_id):
        whose.set(name)
        await wait_until_over(
            key="contexts",
            make_client=platform.make_client,
            instance_id=instance_id,
            execution_id=execution_id,
            poll_interval=0.1,
            log=lambda line: logged.append((whose.get(), execution_id)),
        )

    ids = platform.executions(instance_id, 3)
    await asyncio.gather(*(wait_as(f"trigger of {each}", each) for each in ids))
    assert {name for name, _ in logged} == {f"trigger of {each}" for each in ids}
    assert all(name == f"trigger of {execution_id}" for name, execution_id in logged)


async def test_a_broken_log_callback_fails_its_own_wait_only(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 2)

    def broken_log(line):
        raise OSError("disk full")

    waits = platform.wait_for_all(instance_id, ids)
    with pytest.raises(OSError, match="disk full"):
        await wait_until_over(
            key=("mics_default", platform.organisation_id),
            make_client=platform.make_client,
            instance_id=instance_id,
            execution_id=ids[0],
            poll_interval=0.1,
            log=broken_log,
        )
    platform.end(ids)
    assert [each.id for each in await results(waits)] == ids


@pytest.mark.parametrize(("instance_id", "execution_id"), [("4 2", "7"), ("42", ""), ("../x", "7")])
async def test_an_invalid_id_is_refused_before_any_request(platform, instance_id, execution_id):
    with pytest.raises(MicsError, match="is not an id"):
        await platform.wait_for(instance_id, execution_id).task
    assert platform.clients == []


@on_any_machine
@given(item=SOME_EXECUTION)
def test_any_list_item_can_be_handled(item):
    async def scenario():
        executions, _ = listed(json.dumps({"status": "ok", "data": [{**item, "id": "7"}]}).encode())
        subscription = CompletionSubscription(Target("42", "7"), "key", 1.0, make_client=None)
        for each in executions:
            assert subscription.on_list_item(each, EPOCH, is_in_full=False)
            assert isinstance(subscription._events[0], Log)

    simulate(scenario())


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
async def test_a_wait_survives_any_outage_and_logs_two_lines(platform, fault):
    ids, waits = await started(platform)
    platform.server.faults([{**EVERYTHING, **fault}])
    await until(lambda: all(wait.has_logged(OUTAGE_LINE) for wait in waits))
    platform.end(ids)
    platform.server.faults()
    assert [each.id for each in await results(waits)] == ids
    assert [len(wait.lines) for wait in waits] == [4] * 5
    assert all(RECOVERY_LINE in wait.messages[2] for wait in waits)
    assert len(platform.clients) == 1


async def test_an_error_shared_by_many_waits_has_a_short_traceback(platform):
    _, waits = await started(platform, 20)
    platform.server.set_tokens({"somebody-else": ["1"]})
    errors = await results(waits)
    depth, trace = 0, errors[-1].__traceback__
    while trace is not None:
        depth, trace = depth + 1, trace.tb_next
    assert depth < 10


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


async def test_an_unknown_status_is_not_an_end_and_is_logged_once(platform):
    platform.server.quirks(running_as="PROVISIONING")
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 2)
    waits = platform.wait_for_all(instance_id, ids)
    await until(lambda: all(wait.has_logged("PROVISIONING") for wait in waits))
    await platform.until_asked(LIST, 5)
    assert len(waits[0].lines) == 1
    platform.end(ids)
    assert all(each.succeeded for each in await results(waits))


def test_each_change_is_logged_once_and_a_heartbeat_every_five_minutes():
    async def scenario():
        platform = running(2)
        waiters = [wait_for(platform, "1"), wait_for(platform, "2")]
        platform.fields = {"num_tasks": 10, "completed_tasks": 3}
        await asyncio.sleep(60)
        platform.fields = {"num_tasks": 10, "completed_tasks": 4}
        await asyncio.sleep(900)
        await end(platform, waiters)
        assert waiters[0].messages == [
            "Execution 1 of instance 42 is RUNNING: 3 of 10 tasks done.",
            "Execution 1 of instance 42: 4 of 10 tasks done",
            *["Execution 1 of instance 42 is still RUNNING."] * 2,
            "Execution 1 of instance 42 SUCCEEDED.",
        ]

    simulate(scenario())


def test_an_outage_of_a_week_fails_no_wait_and_is_two_lines_in_each_log():
    async def scenario():
        platform = running(2)
        waiters = [wait_for(platform, "1"), wait_for(platform, "2")]
        await asyncio.sleep(10)
        platform.faults = always(not_sent)
        await asyncio.sleep(7 * 24 * 3600)
        platform.faults = iter(())
        results = await end(platform, waiters)
        assert [each.status for each in results] == ["SUCCEEDED"] * 2
        assert len(waiters[0].messages) == 4
        assert OUTAGE_LINE in waiters[0].messages[1]
        assert re.search(RECOVERY_LINE + r", after 16[78] h", waiters[0].messages[2])

    simulate(scenario())


def test_requests_for_an_unreadable_execution_back_off_and_do_not_affect_the_others():
    async def scenario():
        platform = running(150)
        bad = "integration_batch_instances/42/executions/999"
        platform.faults = always(refused(500, path=bad))
        bad_one, *others = [wait_for(platform, each) for each in ("999", "1", "2")]
        await asyncio.sleep(1800)
        assert not bad_one.task.done()
        assert len(platform.times_of(bad)) <= 10
        assert len(set(platform.times_of(ORGANISATION_LIST))) >= 58
        assert [each.status for each in await end(platform, others)] == ["SUCCEEDED"] * 2
        bad_one.task.cancel()

    simulate(scenario())


def test_an_execution_that_is_gone_for_a_minute_fails_its_own_wait_only():
    async def scenario():
        platform = running(3)
        waiters = [wait_for(platform, each, 10) for each in ("1", "2", "3")]
        await asyncio.sleep(100)
        platform.remove("2")
        with pytest.raises(MicsNotFoundError):
            await waiters[1].task
        assert 160 <= elapsed() <= 175
        assert "not found, retrying for 1 min" in waiters[1].messages[1]
        assert len(await end(platform, [waiters[0], waiters[2]])) == 2

    simulate(scenario())


def test_an_execution_that_shows_only_after_half_a_minute_fails_no_wait():
    async def scenario():
        platform = running(2)
        waiters = [wait_for(platform, each, 10) for each in ("1", "2", "3")]
        await asyncio.sleep(40)
        platform.add("3")
        await asyncio.sleep(200)
        assert len(await end(platform, waiters)) == 3

    simulate(scenario())


def test_a_403_for_one_execution_fails_its_own_wait_only():
    async def scenario():
        platform = running(2)
        forbidden = "integration_batch_instances/42/executions/9"
        platform.faults = always(refused(403, path=forbidden))
        waiters = [wait_for(platform, each) for each in ("1", "2", "9")]
        with pytest.raises(MicsAuthError):
            await waiters[2].task
        assert len(await end(platform, waiters[:2])) == 2
        assert platform.clients_made == 1

    simulate(scenario())


def test_a_permanent_refusal_fails_its_own_wait_only():
    async def scenario():
        platform = running(2)
        odd = "integration_batch_instances/42/executions/9"
        platform.faults = always(refused(422, path=odd))
        waiters = [wait_for(platform, each) for each in ("1", "2", "9")]
        with pytest.raises(MicsApiError, match="422"):
            await waiters[2].task
        assert len(await end(platform, waiters[:2])) == 2

    simulate(scenario())
