"""When the platform is asked: often enough, never more often, and not while it needs a rest."""

from __future__ import annotations

import asyncio
import gc
import itertools
import re

import pytest

from airflow_provider_mics.api.errors import MicsApiError, MicsAuthError, MicsNotFoundError
from airflow_provider_mics.api.executions import ORGANISATION_EXECUTIONS as ORGANISATION_LIST
from tests.core.polling.simulated import (
    AsyncSimulatedPlatform,
    elapsed,
    simulate,
    wait_for,
    wait_for_appearance,
)
from tests.flow_driver import refusal
from tests.simulated_platform import always, not_sent, refused


def running(count):
    platform = AsyncSimulatedPlatform()
    platform.add(*map(str, range(1, count + 1)))
    return platform


async def end(platform, waiters, status="SUCCEEDED"):
    """End all executions, and give what each waiter got."""
    platform.end_all(status)
    return await asyncio.gather(*(waiter.task for waiter in waiters))


def test_the_first_look_is_within_a_second_and_the_next_ones_an_interval_apart():
    async def scenario():
        platform = running(2)
        waiters = [wait_for(platform, "1"), wait_for(platform, "2")]
        await asyncio.sleep(100)
        assert platform.times_of(ORGANISATION_LIST) == [1, 31, 61, 91]
        assert [each.status for each in await end(platform, waiters)] == ["SUCCEEDED"] * 2

    simulate(scenario())


def test_five_hundred_waits_that_start_together_cost_one_look():
    async def scenario():
        platform = running(500)
        waiters = [wait_for(platform, str(number)) for number in range(1, 501)]
        await asyncio.sleep(25)
        assert len(set(platform.times_of(ORGANISATION_LIST))) == 1
        assert len(platform.requests) == 5  # pages of a hundred
        await end(platform, waiters)

    simulate(scenario())


def test_five_hundred_waits_that_start_within_ten_seconds_cost_three_looks():
    async def scenario():
        platform = running(500)
        waiters = []
        for number in range(1, 501):
            waiters.append(wait_for(platform, str(number)))
            if number % 50 == 0:
                await asyncio.sleep(1)
        await asyncio.sleep(15)
        assert len(set(platform.times_of(ORGANISATION_LIST))) == 3
        await end(platform, waiters)

    simulate(scenario())


def test_a_wait_that_joins_later_is_looked_at_within_seconds():
    async def scenario():
        platform = running(3)
        waiters = [wait_for(platform, "1"), wait_for(platform, "2")]
        await asyncio.sleep(10)
        waiters.append(wait_for(platform, "3"))
        await asyncio.sleep(2)
        assert waiters[2].messages == ["Execution 3 of instance 42 is RUNNING."]
        await end(platform, waiters)

    simulate(scenario())


def test_the_shortest_interval_counts_as_long_as_somebody_has_it():
    async def scenario():
        platform = running(3)
        patient = [wait_for(platform, "1", 60), wait_for(platform, "2", 60)]
        hasty = wait_for(platform, "3", 10)
        await asyncio.sleep(45)
        assert platform.times_of(ORGANISATION_LIST) == [1, 11, 21, 31, 41]
        hasty.task.cancel()
        await asyncio.sleep(160)
        assert platform.times_of(ORGANISATION_LIST)[5:] == [101, 161]
        await end(platform, patient)

    simulate(scenario())


def test_a_single_wait_is_asked_for_by_its_id():
    async def scenario():
        platform = running(300)
        waiter = wait_for(platform, "7")
        await asyncio.sleep(95)
        assert platform.paths() == {"integration_batch_instances/42/executions/7": 4}
        await end(platform, [waiter])

    simulate(scenario())


def test_a_wait_is_told_each_change_once_and_a_sign_of_life_every_five_minutes():
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


def test_an_outage_of_a_week_fails_nobody_and_is_two_lines_in_each_log():
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
        assert "Platform unreachable" in waiters[0].messages[1]
        assert re.search(r"Platform reachable again, after 16[78] h", waiters[0].messages[2])

    simulate(scenario())


def test_questions_become_seldom_in_an_outage_and_never_rarer_than_every_six_minutes():
    async def scenario():
        platform = running(2)
        waiters = [wait_for(platform, "1"), wait_for(platform, "2")]
        platform.faults = always(not_sent)
        await asyncio.sleep(3600)
        times = platform.times_of(ORGANISATION_LIST)
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert pauses[0] in range(30, 38)
        assert pauses[1] in range(60, 74)
        assert all(pause in range(300, 362) for pause in pauses[5:])
        platform.faults = iter(())
        await end(platform, waiters)

    simulate(scenario())


@pytest.mark.parametrize("status", [429, 503])
def test_nobody_asks_before_the_platform_wants_to_be_asked_again_not_even_for_a_newcomer(status):
    async def scenario():
        platform = running(3)
        waiters = [wait_for(platform, "1", 5), wait_for(platform, "2", 5)]
        platform.faults = always(refused(status, **{"retry-after": "120"}))
        await asyncio.sleep(30)
        waiters.append(wait_for(platform, "3", 5))
        before = len(platform.requests)
        await asyncio.sleep(85)
        assert len(platform.requests) == before
        platform.faults = iter(())
        await end(platform, waiters)
        assert elapsed() < 200

    simulate(scenario())


def test_an_execution_that_cannot_be_read_is_asked_ever_more_seldom_and_harms_no_other():
    async def scenario():
        platform = running(150)
        bad = "integration_batch_instances/42/executions/999"
        platform.faults = always(refused(500, path=bad))
        sick, *healthy = [wait_for(platform, each) for each in ("999", "1", "2")]
        await asyncio.sleep(1800)
        assert not sick.task.done()
        assert len(platform.times_of(bad)) <= 10
        assert len(set(platform.times_of(ORGANISATION_LIST))) >= 58
        assert [each.status for each in await end(platform, healthy)] == ["SUCCEEDED"] * 2
        sick.task.cancel()

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
        assert "not found, looking for it for 1 min" in waiters[1].messages[1]
        assert len(await end(platform, [waiters[0], waiters[2]])) == 2

    simulate(scenario())


def test_an_execution_that_shows_only_after_half_a_minute_is_waited_for():
    async def scenario():
        platform = running(2)
        waiters = [wait_for(platform, each, 10) for each in ("1", "2", "3")]
        await asyncio.sleep(40)
        platform.add("3")
        await asyncio.sleep(200)
        assert len(await end(platform, waiters)) == 3

    simulate(scenario())


def test_a_refused_token_fails_all_waits_with_one_new_client_tried():
    async def scenario():
        platform = running(50)
        waiters = [wait_for(platform, str(number)) for number in range(1, 51)]
        await asyncio.sleep(10)
        platform.faults = always(refused(401))
        results = await asyncio.gather(*(waiter.task for waiter in waiters), return_exceptions=True)
        assert {type(each) for each in results} == {MicsAuthError}
        assert len(platform.requests) == 3  # the first look, and the refusal of two tokens
        assert platform.clients_made == platform.clients_closed == 2

    simulate(scenario())


def test_a_right_that_lacks_for_one_execution_fails_its_own_wait_only():
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


@pytest.mark.parametrize("status", [400, 403, 404, 405, 500])
def test_where_only_the_list_fails_each_is_asked_by_its_id(status):
    async def scenario():
        platform = running(20)
        platform.faults = always(refused(status, path=ORGANISATION_LIST))
        waiters = [wait_for(platform, str(number)) for number in range(1, 21)]
        await asyncio.sleep(25)
        assert all("is RUNNING" in waiter.messages[0] for waiter in waiters)
        assert len(await end(platform, waiters)) == 20

    simulate(scenario())


def test_questions_by_id_are_spread_over_time_and_few_at_once():
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


def test_a_platform_that_refuses_one_question_after_the_other_is_not_asked_the_rest():
    async def scenario():
        platform = running(400)
        platform.faults = always(lambda _, call: refusal(404 if call.path == ORGANISATION_LIST else 503))
        waiters = [wait_for(platform, str(number)) for number in range(1, 401)]
        await asyncio.sleep(20)
        assert len(platform.requests) <= 1 + 2 * 8
        assert all("Platform unreachable" in waiter.messages[0] for waiter in waiters)
        platform.faults = iter(())
        assert len(await end(platform, waiters)) == 400

    simulate(scenario())


def test_a_bug_is_raised_as_what_it_is_to_all_who_wait():
    def stumble(_, call):
        if call.path == ORGANISATION_LIST:
            return refusal(404)
        raise ZeroDivisionError(call.path)

    async def scenario():
        platform = running(20)
        platform.faults = always(stumble)
        waiters = [wait_for(platform, str(number)) for number in range(1, 21)]
        results = await asyncio.gather(*(waiter.task for waiter in waiters), return_exceptions=True)
        assert {type(each) for each in results} == {ZeroDivisionError}
        assert platform.clients_closed == 1

    simulate(scenario())


def test_a_list_is_read_no_further_than_asking_one_by_one_would_cost():
    async def scenario():
        platform = running(5000)
        waiters = [wait_for(platform, str(number)) for number in range(4950, 0, -500)]
        await asyncio.sleep(20)
        assert len(platform.times_of(ORGANISATION_LIST)) <= len(waiters)
        assert all("is RUNNING" in waiter.messages[0] for waiter in waiters)
        await end(platform, waiters)

    simulate(scenario())


def test_many_appearances_of_one_connection_share_the_client_and_the_outage():
    async def scenario():
        platform = running(1)
        waiters = [wait_for_appearance(platform, str(number)) for number in range(10, 14)]
        await asyncio.sleep(10)
        platform.faults = always(not_sent)
        await asyncio.sleep(3600)
        platform.faults = iter(())
        platform.add(*map(str, range(10, 14)), status="PENDING")
        results = await asyncio.gather(*(waiter.task for waiter in waiters))
        assert [each.id for each in results] == ["10", "11", "12", "13"]
        assert platform.clients_made == platform.clients_closed == 1
        assert [len(waiter.messages) for waiter in waiters] == [2] * 4

    simulate(scenario())


def test_a_history_of_years_is_read_once_and_then_only_when_it_changes():
    async def scenario():
        platform = running(3000)
        waiter = wait_for_appearance(platform, "4000")
        await asyncio.sleep(5)
        assert len(platform.requests) == 30
        await asyncio.sleep(120)
        assert len(platform.requests) == 34
        platform.add("4000", status="PENDING")
        assert (await waiter.task).id == "4000"
        assert len(platform.requests) == 35

    simulate(scenario())


def test_a_refusal_for_good_ends_the_wait_it_is_about():
    async def scenario():
        platform = running(2)
        odd = "integration_batch_instances/42/executions/9"
        platform.faults = always(refused(422, path=odd))
        waiters = [wait_for(platform, each) for each in ("1", "2", "9")]
        with pytest.raises(MicsApiError, match="422"):
            await waiters[2].task
        assert len(await end(platform, waiters[:2])) == 2

    simulate(scenario())


def test_nothing_is_left_of_a_simulation():
    gc.collect()
    from airflow_provider_mics.core.polling.poller import _watchers

    assert len(_watchers) == 0
