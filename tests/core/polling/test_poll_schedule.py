"""When the poller sends requests: soon enough, never too often, and not while the platform needs a pause."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from airflow_provider_mics.api.errors import MicsAuthError
from tests.core.polling.simulated import (
    ORGANISATION_LIST,
    elapsed,
    end,
    running,
    simulate,
    wait_for,
)
from tests.simulated_platform import always, not_sent, refused


def test_the_first_poll_is_within_a_second_and_the_next_ones_an_interval_apart():
    async def scenario():
        platform = running(2)
        waiters = [wait_for(platform, "1"), wait_for(platform, "2")]
        await asyncio.sleep(100)
        assert platform.times_of(ORGANISATION_LIST) == [1, 31, 61, 91]
        assert [each.status for each in await end(platform, waiters)] == ["SUCCEEDED"] * 2

    simulate(scenario())


def test_five_hundred_waits_that_start_together_cost_one_poll():
    async def scenario():
        platform = running(500)
        waiters = [wait_for(platform, str(number)) for number in range(1, 501)]
        await asyncio.sleep(25)
        assert len(set(platform.times_of(ORGANISATION_LIST))) == 1
        assert len(platform.requests) == 1
        await end(platform, waiters)

    simulate(scenario())


def test_five_hundred_waits_that_start_within_ten_seconds_cost_three_polls():
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


def test_a_wait_that_joins_later_is_polled_within_seconds():
    async def scenario():
        platform = running(3)
        waiters = [wait_for(platform, "1"), wait_for(platform, "2")]
        await asyncio.sleep(10)
        waiters.append(wait_for(platform, "3"))
        await asyncio.sleep(2)
        assert waiters[2].messages == ["Execution 3 of instance 42 is RUNNING."]
        await end(platform, waiters)

    simulate(scenario())


def test_the_shortest_interval_counts_as_long_as_a_wait_has_it():
    async def scenario():
        platform = running(3)
        slow = [wait_for(platform, "1", 60), wait_for(platform, "2", 60)]
        fast = wait_for(platform, "3", 10)
        await asyncio.sleep(45)
        assert platform.times_of(ORGANISATION_LIST) == [1, 11, 21, 31, 41]
        fast.task.cancel()
        await asyncio.sleep(160)
        assert platform.times_of(ORGANISATION_LIST)[5:] == [101, 161]
        await end(platform, slow)

    simulate(scenario())


def test_polls_back_off_in_an_outage_to_at_most_six_minutes():
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
def test_no_request_is_sent_before_retry_after_not_even_for_a_new_wait(status):
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


def test_a_refused_token_fails_all_waits_after_one_retry_with_a_new_client():
    async def scenario():
        platform = running(50)
        waiters = [wait_for(platform, str(number)) for number in range(1, 51)]
        await asyncio.sleep(10)
        platform.faults = always(refused(401))
        results = await asyncio.gather(*(waiter.task for waiter in waiters), return_exceptions=True)
        assert {type(each) for each in results} == {MicsAuthError}
        assert len(platform.requests) == 5  # the first poll, and two routes that refuse each of two tokens
        assert platform.clients_made == platform.clients_closed == 2

    simulate(scenario())
