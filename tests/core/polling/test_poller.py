"""Many waits share one poller, which leaves no task, client or poller behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from airflow_provider_mics.api.errors import MicsAuthError, MicsConnectionError, MicsError
from airflow_provider_mics.api.token_history import TokenHistory
from airflow_provider_mics.core.polling import PollerStoppedError
from airflow_provider_mics.core.polling.poller import _pollers
from tests.core.polling.real_waits import (
    LIST,
    ONE,
    OUTAGE_LINE,
    TrackedClient,
    end_quietly,
    execution_of,
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
    wait_for_creation,
    with_history,
    with_token,
)
from tests.simulated_platform import always, not_sent, refused


async def test_five_hundred_waits_cost_one_poll_per_interval(platform):
    instance_id = platform.instance()
    platform.server.bulk(instance_id=int(instance_id), executions=480)
    platform.server.quirks(succeeded_as="RUNNING")
    these_end = platform.executions(instance_id, 20)
    ids = [each["id"] for each in platform.server.executions(instance_id)]
    platform.server.reset_counters()
    began = asyncio.get_running_loop().time()
    waits = platform.wait_for_all(instance_id, ids, poll_interval=0.5)
    await until(lambda: all(wait.lines for wait in waits))
    await asyncio.sleep(2)
    polls = await platform.asked(LIST)
    intervals = (asyncio.get_running_loop().time() - began) / 0.5
    assert polls <= intervals
    assert await platform.asked(ONE) == 0
    assert len(platform.clients) == 1
    platform.end(these_end, "FAILED")
    assert [each.id for each in await results(waits[-20:])] == these_end
    assert await platform.asked(ONE) <= 2, "whether the list shows all of them"
    await end_quietly(waits)
    assert platform.open_clients == []


async def test_a_cancelled_wait_does_not_affect_the_others(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 3)
    waits = platform.wait_for_all(instance_id, ids)
    await until(lambda: all(wait.lines for wait in waits))
    waits[1].task.cancel("a person did it")
    with pytest.raises(asyncio.CancelledError, match="a person did it"):
        await waits[1].task
    assert len(platform.open_clients) == 1
    platform.end(ids)
    assert [each.id for each in await results([waits[0], waits[2]])] == [ids[0], ids[2]]


async def test_after_the_last_cancellation_no_task_and_no_connection_is_left(platform):
    before = asyncio.all_tasks()
    instance_id = platform.instance()
    waits = platform.wait_for_all(instance_id, platform.executions(instance_id, 20), poll_interval=30)
    await until(lambda: all(wait.lines for wait in waits))
    async with asyncio.timeout(1):
        await end_quietly(waits)
    assert asyncio.all_tasks() == before
    assert platform.open_clients == []


async def test_a_wait_cancelled_before_the_first_poll_sends_no_request(platform):
    before = asyncio.all_tasks()
    wait = platform.wait_for("1", "1")
    await asyncio.sleep(0)
    await end_quietly([wait])
    assert asyncio.all_tasks() == before
    assert await platform.asked(ONE) == 0
    assert platform.clients == []


async def test_a_wait_cancelled_during_a_request_does_not_hang(platform):
    before = asyncio.all_tasks()
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 10)
    platform.server.faults([{"kind": "timeout_before", "parameters": {"seconds": 60}}])
    waits = platform.wait_for_all(instance_id, ids)
    await asyncio.to_thread(platform.server.wait_until, lambda: platform.server.counters().get(LIST))
    async with asyncio.timeout(2):
        await end_quietly(waits)
    assert asyncio.all_tasks() == before
    assert platform.open_clients == []


async def test_a_deadline_of_one_wait_does_not_affect_the_others(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 3)
    waits = platform.wait_for_all(instance_id, ids)
    await until(lambda: all(wait.lines for wait in waits))

    async def with_deadline(wait):
        async with asyncio.timeout(0.3):
            await wait.task

    with pytest.raises(TimeoutError):
        await with_deadline(waits[0])
    platform.end(ids)
    assert [each.id for each in await results(waits[1:])] == ids[1:]
    assert platform.open_clients == []


async def test_after_the_last_wait_the_next_one_starts_a_new_poller(platform):
    instance_id = platform.instance("succeed")
    ids = platform.executions(instance_id, 2)
    for execution_id in ids:
        [ended] = await results([platform.wait_for(instance_id, execution_id)])
        assert ended.succeeded
    assert len(platform.clients) == 2
    assert platform.open_clients == []


def wait_by(key, platform, execution_id, make_client=None):
    lines = []
    waiting = execution_of(
        key=key,
        make_client=make_client or platform.make_client,
        instance_id=platform.instance_id,
        execution_id=execution_id,
        poll_interval=30.0,
        log=lines.append,
    )
    return asyncio.create_task(waiting)


def test_connections_with_the_same_settings_share_one_poller():
    async def scenario():
        platform = running(6)
        make_client = with_token(platform, "token")
        waits = [wait_by(f"connection {n % 3}", platform, str(n), make_client) for n in range(1, 7)]
        await asyncio.sleep(130)
        assert platform.times_of(ORGANISATION_LIST) == [1, 6, 36, 66, 96, 126], "the second for who joined"
        assert len({id(each) for each in _pollers.values() if each.is_open}) == 1
        platform.end_all()
        assert all(each.succeeded for each in await asyncio.gather(*waits))
        assert platform.clients_closed == platform.clients_made

    simulate(scenario())


def test_a_connection_that_changes_leaves_the_poller_it_shared():
    async def scenario():
        old, new = running(4), running(4)
        current = {"mine": with_token(old, "token"), "yours": with_token(old, "token")}

        async def read_yours():
            return await current["yours"]()

        waits = [wait_by("mine", old, each, current["mine"]) for each in "12"]
        waits += [wait_by("yours", old, each, read_yours) for each in "34"]
        await asyncio.sleep(40)
        assert new.requests == []
        current["yours"] = with_token(new, "the-new-token")
        await asyncio.sleep(340)
        assert new.requests
        new.end_all()
        assert [each.id for each in await asyncio.gather(*waits[2:])] == ["3", "4"]
        assert not any(each.done() for each in waits[:2])
        old.end_all()
        assert [each.id for each in await asyncio.gather(*waits[:2])] == ["1", "2"]
        for each in (old, new):
            assert each.clients_closed == each.clients_made

    simulate(scenario())


def test_connections_of_other_tokens_have_pollers_of_their_own():
    async def scenario():
        mine, yours = running(2), running(2)
        waits = [wait_by("mine", mine, each, with_token(mine, "a")) for each in "12"]
        waits += [wait_by("yours", yours, each, with_token(yours, "b")) for each in "12"]
        await asyncio.sleep(65)
        assert len(mine.times_of(ORGANISATION_LIST)) == len(yours.times_of(ORGANISATION_LIST)) == 3
        for each in (mine, yours):
            each.end_all()
        await asyncio.gather(*waits)

    simulate(scenario())


async def test_a_connection_that_cannot_be_read_for_a_moment_ends_no_wait(platform):
    make_client, failures = platform.make_client, [MicsError("there is no connection"), OSError("gone")]

    async def broken_at_first():
        if failures:
            raise failures.pop(0)
        return await make_client()

    platform.make_client = broken_at_first
    instance_id = platform.instance("succeed")
    waits = platform.wait_for_all(instance_id, platform.executions(instance_id, 2))
    assert [each.succeeded for each in await results(waits)] == [True, True]
    assert [wait.messages[0] for wait in waits] == [
        "Could not read the connection: there is no connection. Retrying."
    ] * 2


async def test_an_unexpected_error_reaches_all_waits(platform):
    class Broken(TrackedClient):
        async def run(self, job):
            raise ZeroDivisionError("of the client")

    async def broken():
        return Broken(platform.server.url, platform.token, platform.organisation_id)

    platform.make_client = broken
    waits = platform.wait_for_all("1", ["1", "2", "3"])
    assert [type(each) for each in await results(waits)] == [ZeroDivisionError] * 3


UNREADABLE = [
    ConnectionError("no API server"),
    MicsConnectionError("the connection cannot be read"),
    RuntimeError(),
]


@pytest.mark.parametrize("error", UNREADABLE, ids=repr)
def test_a_connection_that_cannot_be_read_for_hours_ends_no_wait(error):
    async def scenario():
        platform = running(3)
        make_client = platform.make_client

        async def unreadable():
            if elapsed() < 4 * 3600:
                raise error
            return await make_client()

        platform.make_client = unreadable
        waiters = [wait_for(platform, each) for each in "123"]
        await asyncio.sleep(5 * 3600)
        assert [each.succeeded for each in await end(platform, waiters)] == [True] * 3
        for waiter in waiters:
            warnings = [each for each in waiter.messages if "Could not read the connection" in each]
            assert 12 <= len(warnings) <= 4 * 12, "told again, but not at every poll"

    simulate(scenario())


def test_settings_that_cannot_be_used_end_the_waits_after_five_minutes():
    async def scenario():
        platform = running(1)

        async def unusable():
            raise MicsError("host 'x' has no scheme")

        platform.make_client = unusable
        waiter = wait_for(platform, "1")
        with pytest.raises(MicsError, match="has no scheme"):
            await waiter.task
        assert 300 <= elapsed() < 1200

    simulate(scenario())


def test_a_changed_connection_is_used_at_once_by_later_waits_and_soon_by_earlier_ones():
    async def scenario():
        old, new = running(2), running(3)
        old_wait = wait_for(old, "1")
        await asyncio.sleep(60)
        old.make_client = with_token(new, "the-new-token")
        await asyncio.sleep(10)
        assert new.requests == []
        later = wait_for(old, "3")
        await asyncio.sleep(2)
        assert {each.path for each in new.requests}, "the later wait asks the new host at once"
        count = len(old.requests)
        assert [each.succeeded for each in await end(new, [old_wait, later])] == [True, True]
        assert len(old.requests) == count
        assert old.clients_closed == old.clients_made

    simulate(scenario())


def test_a_changed_connection_is_read_again_every_few_minutes():
    async def scenario():
        old, new = running(1), running(1)
        waiter = wait_for(old, "1")
        await asyncio.sleep(60)
        wait = waiter.task
        for each in list(_pollers.values()):
            for subscription in each._subscriptions:
                subscription.make_client = with_token(new, "the-new-token")
        await asyncio.sleep(300 + 30)
        assert new.requests
        new.end_all()
        assert (await wait).succeeded

    simulate(scenario())


def test_two_seconds_of_401_end_no_wait_of_a_token_that_has_worked():
    async def scenario():
        platform, history = running(20), TokenHistory()
        platform.make_client = with_history(platform, history)
        waiters = [wait_for(platform, str(each), 2.0) for each in range(1, 21)]
        await asyncio.sleep(10)
        platform.faults = always(refused(401))
        await asyncio.sleep(2.5)
        platform.faults = iter(())
        await asyncio.sleep(10)
        assert all(each.succeeded for each in await end(platform, waiters))
        assert len([each for each in waiters[0].messages if "unreachable" in each]) == 1

    simulate(scenario())


def test_a_token_that_worked_is_believed_to_be_revoked_after_five_minutes():
    async def scenario():
        platform, history = running(20), TokenHistory()
        platform.make_client = with_history(platform, history)
        waiters = [wait_for(platform, str(each)) for each in range(1, 21)]
        await asyncio.sleep(10)
        platform.faults = always(refused(401))
        made = platform.clients_made
        errors = await asyncio.gather(*(each.task for each in waiters), return_exceptions=True)
        assert [type(each) for each in errors] == [MicsAuthError] * 20
        assert 300 <= elapsed() < 900
        assert platform.clients_made - made >= 3, "the connection is read at each refusal"

    simulate(scenario())


@pytest.mark.parametrize("count", [1, 5, 20])
@pytest.mark.parametrize("code", [401, 403])
def test_a_refusal_of_the_organisations_list_alone_ends_no_wait(code, count):
    async def scenario():
        platform = running(count)
        platform.faults = always(refused(code, path=ORGANISATION_LIST))
        waiters = [wait_for(platform, str(each)) for each in range(1, count + 1)]
        await asyncio.sleep(3600)
        assert all(each.succeeded for each in await end(platform, waiters))

    simulate(scenario())


async def test_a_base_exception_reaches_all_waits(platform):
    class Deadlock(BaseException):
        pass

    async def broken():
        raise Deadlock

    platform.make_client = broken
    waits = platform.wait_for_all("1", ["1", "2", "3"])
    assert [type(each) for each in await results(waits)] == [Deadlock] * 3


async def test_an_unusable_connection_fails_each_wait_with_its_error(platform, monkeypatch):
    monkeypatch.setattr("airflow_provider_mics.core.polling.shared_connection.BAD_SETTINGS_SECONDS", 0)

    async def broken():
        raise MicsError("host 'x' has no scheme")

    platform.make_client = broken
    waits = platform.wait_for_all("1", ["1", "2"])
    assert [str(each) for each in await results(waits)] == ["host 'x' has no scheme"] * 2


async def test_no_wait_hangs_when_the_poller_is_cancelled_from_outside(platform):
    instance_id = platform.instance()
    waits = platform.wait_for_all(instance_id, platform.executions(instance_id, 2))
    await until(lambda: all(wait.lines for wait in waits))
    [poller] = [task for task in asyncio.all_tasks() if "poller" in task.get_name()]
    poller.cancel()
    assert [type(each) for each in await results(waits)] == [PollerStoppedError] * 2
    assert platform.open_clients == []


def test_loops_in_other_threads_and_later_loops_share_nothing_and_leave_nothing(platform):
    instance_id = platform.instance("succeed")
    ids = platform.executions(instance_id, 3)
    ended, loops = [], []

    async def wait(execution_id):
        loops.append(weakref.ref(asyncio.get_running_loop()))
        ended.append((await platform.wait_for(instance_id, execution_id).task).id)

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
    assert len(_pollers) == 0
    assert [loop() for loop in loops] == [None] * 3


def test_a_loop_that_ends_during_waits_closes_their_client(platform):
    instance_id = platform.instance()
    ids = platform.executions(instance_id, 5)

    async def begin():
        waits = platform.wait_for_all(instance_id, ids)
        await until(lambda: all(wait.lines for wait in waits))

    asyncio.run(begin())
    assert len(platform.clients) == 1
    assert platform.open_clients == []
    gc.collect()
    assert len(_pollers) == 0


async def test_a_platform_that_is_killed_and_started_again_loses_no_wait(restartable_platform):
    platform = restartable_platform
    ids, waits = await started(platform)
    await asyncio.to_thread(platform.server.kill)
    await until(lambda: all(wait.has_logged(OUTAGE_LINE) for wait in waits))
    await asyncio.to_thread(platform.server.start)
    platform.end(ids[:2])
    await until(lambda: waits[0].task.done() and waits[1].task.done())
    assert not any(wait.task.done() for wait in waits[2:])
    platform.end(ids[2:])
    assert all(each.succeeded for each in await results(waits))


async def test_waits_that_begin_while_the_platform_is_down_get_their_executions_when_it_is_back(
    restartable_platform,
):
    platform = restartable_platform
    instance_id = platform.instance("succeed")
    ids = platform.executions(instance_id, 3)
    await asyncio.to_thread(platform.server.kill)
    waits = platform.wait_for_all(instance_id, ids)
    await until(lambda: all(wait.has_logged(OUTAGE_LINE) for wait in waits))
    await asyncio.to_thread(platform.server.start)
    assert all(each.succeeded for each in await results(waits))


async def test_a_replaced_token_is_picked_up_from_the_connection(platform):
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


async def test_a_token_that_is_replaced_again_is_picked_up_again(platform):
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


async def test_a_revoked_token_fails_all_waits_clearly_with_few_requests(platform):
    _, waits = await started(platform, 20)
    platform.server.set_tokens({"somebody-else": ["1"]})
    before = await platform.asked(LIST)
    errors = await results(waits)
    assert [type(each) for each in errors] == [MicsAuthError] * 20
    assert "unknown, expired or revoked" in str(errors[0])
    assert platform.server.token not in str(errors[0])
    assert await platform.asked(LIST) <= before + 3
    assert await platform.asked(ONE) <= 2
    assert platform.open_clients == []


async def test_a_token_without_rights_to_the_organisation_fails_all_waits_clearly(platform):
    _, waits = await started(platform, 3)
    platform.server.set_tokens({platform.token: ["1"]})
    errors = await results(waits)
    assert [type(each) for each in errors] == [MicsAuthError] * 3
    assert platform.organisation_id in str(errors[0])


def test_many_waits_for_creation_share_the_client_and_the_outage():
    async def scenario():
        platform = running(1)
        waiters = [wait_for_creation(platform, str(number)) for number in range(10, 14)]
        await asyncio.sleep(10)
        platform.faults = always(not_sent)
        await asyncio.sleep(3600)
        platform.faults = iter(())
        platform.add(*map(str, range(10, 14)), status="PENDING")
        results = await asyncio.gather(*(waiter.task for waiter in waiters))
        assert [each.id for each in results] == ["10", "11", "12", "13"]
        assert platform.clients_made == platform.clients_closed
        assert [len(waiter.messages) for waiter in waiters] == [2] * 4

    simulate(scenario())


def test_no_poller_is_left_after_a_simulation():
    gc.collect()
    assert len(_pollers) == 0
