"""Many waits, one poll, over HTTP; and what it leaves behind: nothing."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref

import pytest

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.core.polling import WatcherStoppedError, watch_execution
from airflow_provider_mics.core.polling.poller import _watchers
from tests.core.polling.real_waits import LIST, OF_INSTANCE, ONE, end_quietly, results, until


async def test_five_hundred_waits_are_one_look_per_interval(platform):
    instance_id = platform.instance()
    platform.server.bulk(instance_id=int(instance_id), executions=480)
    platform.server.quirks(succeeded_as="RUNNING")
    these_end = platform.executions(instance_id, 20)
    ids = [each["id"] for each in platform.server.executions(instance_id)]
    platform.server.reset_counters()
    began = asyncio.get_running_loop().time()
    waits = platform.watch_all(instance_id, ids, poll_interval=0.5)
    await until(lambda: all(wait.lines for wait in waits))
    await asyncio.sleep(2)
    looks = await platform.asked(LIST) / 5
    intervals = (asyncio.get_running_loop().time() - began) / 0.5
    assert looks <= intervals
    assert await platform.asked(ONE) == 0
    assert len(platform.clients) == 1
    platform.end(these_end, "FAILED")
    assert [each.id for each in await results(waits[-20:])] == these_end
    assert await platform.asked(ONE) == 20
    await end_quietly(waits)
    assert platform.open_clients == []


async def test_the_result_and_the_error_are_those_of_the_whole_execution(platform):
    succeeding, failing = platform.instance("succeed"), platform.instance("fail")
    [good], [bad] = platform.executions(succeeding, 1), platform.executions(failing, 1)
    waits = [platform.watch(succeeding, good), platform.watch(failing, bad)]
    success, failure = await results(waits)
    assert success.result == {"rows": 12}
    assert failure.error_message == "the script ended with exit code 1"
    assert waits[1].was_told("FAILED")


async def test_two_who_wait_for_the_same_execution_both_hear_of_it(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 2)
    waits = platform.watch_all(instance_id, [*ids, ids[0]])
    await until(lambda: all(wait.lines for wait in waits))
    platform.end(ids)
    assert [each.id for each in await results(waits)] == [*ids, ids[0]]
    assert waits[0].messages == waits[2].messages
    assert await platform.asked(ONE) == 2


async def test_a_wait_that_is_cancelled_leaves_the_others_alone(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 3)
    waits = platform.watch_all(instance_id, ids)
    await until(lambda: all(wait.lines for wait in waits))
    waits[1].task.cancel("a person did it")
    with pytest.raises(asyncio.CancelledError, match="a person did it"):
        await waits[1].task
    assert len(platform.open_clients) == 1
    platform.end(ids)
    assert [each.id for each in await results([waits[0], waits[2]])] == [ids[0], ids[2]]


async def test_when_all_are_cancelled_it_ends_at_once_and_leaves_no_task_and_no_connection(platform):
    before = asyncio.all_tasks()
    instance_id = platform.instance()
    waits = platform.watch_all(instance_id, platform.executions(instance_id, 20), poll_interval=30)
    await until(lambda: all(wait.lines for wait in waits))
    async with asyncio.timeout(1):
        await end_quietly(waits)
    assert asyncio.all_tasks() == before
    assert platform.open_clients == []


async def test_cancelled_before_the_first_look_nothing_is_asked(platform):
    before = asyncio.all_tasks()
    wait = platform.watch("1", "1")
    await asyncio.sleep(0)
    await end_quietly([wait])
    assert asyncio.all_tasks() == before
    assert await platform.asked(ONE) == 0
    assert platform.clients == []


async def test_cancelled_in_the_middle_of_a_question_nothing_hangs(platform):
    before = asyncio.all_tasks()
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 10)
    platform.server.faults([{"kind": "timeout_before", "parameters": {"seconds": 60}}])
    waits = platform.watch_all(instance_id, ids)
    await asyncio.to_thread(platform.server.wait_until, lambda: platform.server.counters().get(LIST))
    async with asyncio.timeout(2):
        await end_quietly(waits)
    assert asyncio.all_tasks() == before
    assert platform.open_clients == []


async def test_a_deadline_of_one_wait_is_no_concern_of_the_others(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 3)
    waits = platform.watch_all(instance_id, ids)
    await until(lambda: all(wait.lines for wait in waits))

    async def with_deadline(wait):
        async with asyncio.timeout(0.3):
            await wait.task

    with pytest.raises(TimeoutError):
        await with_deadline(waits[0])
    platform.end(ids)
    assert [each.id for each in await results(waits[1:])] == ids[1:]
    assert platform.open_clients == []


async def test_an_answer_that_does_not_come_keeps_no_other_waiting(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 4)
    waits = platform.watch_all(instance_id, ids)
    await until(lambda: all(wait.lines for wait in waits))
    silence = {"kind": "timeout_before", "path": f"/{ids[0]}$", "parameters": {"seconds": 60}}
    platform.server.faults([silence])
    platform.end(ids)
    async with asyncio.timeout(4):  # before the client gives up on the silent one
        assert [each.id for each in await results(waits[1:])] == ids[1:]
    assert not waits[0].task.done()
    platform.server.faults()
    assert (await waits[0].task).id == ids[0]


async def test_after_the_last_wait_the_next_one_begins_anew(platform):
    instance_id = platform.instance("succeed")
    ids = platform.executions(instance_id, 2)
    for execution_id in ids:
        [ended] = await results([platform.watch(instance_id, execution_id)])
        assert ended.succeeded
    assert len(platform.clients) == 2
    assert platform.open_clients == []


async def test_other_connections_have_a_watcher_of_their_own(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 2)
    waits = platform.watch_all(instance_id, ids)
    lines = []
    other = asyncio.create_task(
        watch_execution(
            key="another",
            make_client=platform.make_client,
            instance_id=instance_id,
            execution_id=ids[0],
            poll_interval=0.1,
            tell=lines.append,
        )
    )
    await until(lambda: lines and all(wait.lines for wait in waits))
    assert len(platform.open_clients) == 2
    platform.end(ids)
    assert (await other).id == ids[0]
    assert len(await results(waits)) == 2


async def test_a_connection_that_cannot_be_read_for_a_moment_ends_no_wait(platform):
    make_client, failures = platform.make_client, [MicsError("there is no connection"), OSError("gone")]

    async def broken_at_first():
        if failures:
            raise failures.pop(0)
        return await make_client()

    platform.make_client = broken_at_first
    instance_id = platform.instance("succeed")
    waits = platform.watch_all(instance_id, platform.executions(instance_id, 2))
    assert [each.succeeded for each in await results(waits)] == [True, True]
    assert [wait.messages[0] for wait in waits] == [
        "The connection cannot be read: there is no connection. Trying again."
    ] * 2


async def test_an_unexpected_error_reaches_all_who_wait(platform, monkeypatch):
    monkeypatch.setattr("airflow_provider_mics.core.polling.poller.CLIENT_PATIENCE", 0)

    async def broken():
        raise ZeroDivisionError("of the factory")

    platform.make_client = broken
    waits = platform.watch_all("1", ["1", "2", "3"])
    assert [type(each) for each in await results(waits)] == [ZeroDivisionError] * 3


async def test_even_an_error_that_is_no_exception_reaches_all_who_wait(platform):
    class Deadlock(BaseException):
        pass

    async def broken():
        raise Deadlock

    platform.make_client = broken
    waits = platform.watch_all("1", ["1", "2", "3"])
    assert [type(each) for each in await results(waits)] == [Deadlock] * 3


async def test_a_connection_that_cannot_be_used_is_each_waits_own_clear_error(platform, monkeypatch):
    monkeypatch.setattr("airflow_provider_mics.core.polling.poller.CLIENT_PATIENCE", 0)

    async def broken():
        raise MicsError("host 'x' has no scheme")

    platform.make_client = broken
    waits = platform.watch_all("1", ["1", "2"])
    assert [str(each) for each in await results(waits)] == ["host 'x' has no scheme"] * 2


async def test_if_somebody_else_stops_the_watcher_nobody_hangs(platform):
    instance_id = platform.instance()
    waits = platform.watch_all(instance_id, platform.executions(instance_id, 2))
    await until(lambda: all(wait.lines for wait in waits))
    [watcher] = [task for task in asyncio.all_tasks() if "watcher" in task.get_name()]
    watcher.cancel()
    assert [type(each) for each in await results(waits)] == [WatcherStoppedError] * 2
    assert platform.open_clients == []


async def test_what_is_told_is_told_in_the_context_of_the_one_who_waits(platform):
    whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose")
    instance_id = platform.instance("succeed")
    told = []

    async def wait_as(name, execution_id):
        whose.set(name)
        await watch_execution(
            key="contexts",
            make_client=platform.make_client,
            instance_id=instance_id,
            execution_id=execution_id,
            poll_interval=0.1,
            tell=lambda line: told.append((whose.get(), execution_id)),
        )

    ids = platform.executions(instance_id, 3)
    await asyncio.gather(*(wait_as(f"trigger of {each}", each) for each in ids))
    assert {name for name, _ in told} == {f"trigger of {each}" for each in ids}
    assert all(name == f"trigger of {execution_id}" for name, execution_id in told)


async def test_one_whose_log_is_broken_harms_no_other(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 2)

    def broken_log(line):
        raise OSError("disk full")

    waits = platform.watch_all(instance_id, ids)
    with pytest.raises(OSError, match="disk full"):
        await watch_execution(
            key=("mics_default", platform.organisation_id),
            make_client=platform.make_client,
            instance_id=instance_id,
            execution_id=ids[0],
            poll_interval=0.1,
            tell=broken_log,
        )
    platform.end(ids)
    assert [each.id for each in await results(waits)] == ids


@pytest.mark.parametrize(("instance_id", "execution_id"), [("4 2", "7"), ("42", ""), ("../x", "7")])
async def test_an_id_that_is_none_is_refused_before_anything_is_asked(platform, instance_id, execution_id):
    with pytest.raises(MicsError, match="is not an id"):
        await platform.watch(instance_id, execution_id).task
    assert platform.clients == []


def test_loops_in_other_threads_and_later_loops_share_nothing_and_leave_nothing(platform):
    instance_id = platform.instance("succeed")
    ids = platform.executions(instance_id, 3)
    ended, loops = [], []

    async def wait(execution_id):
        loops.append(weakref.ref(asyncio.get_running_loop()))
        ended.append((await platform.watch(instance_id, execution_id).task).id)

    threads = [threading.Thread(target=lambda each=each: asyncio.run(wait(each))) for each in ids[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    asyncio.run(wait(ids[2]))
    assert sorted(ended) == sorted(ids)
    assert len(platform.clients) == 3
    assert platform.open_clients == []
    platform.clients.clear()
    del threads
    gc.collect()
    assert len(_watchers) == 0
    assert [loop() for loop in loops] == [None] * 3


def test_a_loop_that_ends_in_the_middle_of_waits_closes_what_they_used(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 5)

    async def begin():
        waits = platform.watch_all(instance_id, ids)
        await until(lambda: all(wait.lines for wait in waits))

    asyncio.run(begin())
    assert len(platform.clients) == 1
    assert platform.open_clients == []
    gc.collect()
    assert len(_watchers) == 0


async def test_where_nothing_but_instance_lists_can_be_read_one_list_serves_all_of_an_instance(platform):
    platform.server.quirks(organisation_executions="404", execution_get="405")
    instance_id, other_id = platform.instance(), platform.instance()
    ids, other_ids = platform.executions(instance_id, 40), platform.executions(other_id, 2)
    platform.server.reset_counters()
    waits = platform.watch_all(instance_id, ids) + platform.watch_all(other_id, other_ids)
    await until(lambda: all(wait.lines for wait in waits))
    looks = await platform.asked(LIST)
    assert await platform.asked(OF_INSTANCE) <= 2 * looks
    assert await platform.asked(ONE) == 42
    platform.end(ids + other_ids)
    assert all(each.succeeded for each in await results(waits))
    assert await platform.asked(ONE) == 42
