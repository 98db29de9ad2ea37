"""Waits for what is new of an instance share the organisation's list, and miss nothing that happens."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.core.polling import wait_until_created, watch_completions
from airflow_provider_mics.core.polling.completions import CompletionCursor
from tests.case_counts import cases
from tests.core.polling.simulated import (
    ORGANISATION_LIST,
    AsyncSimulatedPlatform,
    end,
    running,
    simulate,
    wait_for,
    wait_for_creation,
)
from tests.simulated_platform import always, refused, status

OF_INSTANCE = "integration_batch_instances/42/executions"


def showing(count, **fields):
    """A platform whose list shows of each execution when it was created, and of which instance it is."""
    platform = running(0)
    platform.fields = {"external_model_id": platform.instance_id, **fields}
    create(platform, *map(str, range(1, count + 1)))
    return platform


def create(platform, *ids, status="RUNNING"):
    created = milliseconds(platform.now)
    platform.executions += [{"id": each, "status": status, "creation_date": created} for each in ids]


def watch(platform, cursor=None, poll_interval=30.0, instance_id=None):
    """Begin to watch the ends of executions; return the task, and the ids that ended."""
    ended: list[str] = []

    async def collect():
        watching = watch_completions(
            key="simulated",
            make_client=platform.make_client,
            instance_id=instance_id or platform.instance_id,
            cursor=cursor,
            poll_interval=poll_interval,
            log=lambda line: None,
        )
        async with aclosing(watching) as completions:
            async for executions, _ in completions:
                ended.extend(each.id for each in executions)

    return asyncio.create_task(collect()), ended


async def stop(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_hundred_ticks_in_their_grace_cost_one_request_for_each_poll():
    async def scenario():
        platform = showing(300)
        waits = [wait_for_creation(platform, str(number)) for number in range(1001, 1101)]
        await asyncio.sleep(20)
        searches = len(platform.times_of(OF_INSTANCE))
        await asyncio.sleep(240)
        assert len(platform.times_of(OF_INSTANCE)) == searches, "each has searched once"
        assert 8 <= len(platform.times_of(ORGANISATION_LIST)) <= 10
        for number in range(1001, 1101):
            create(platform, str(number), status="PENDING")
        await asyncio.sleep(31)
        assert all(wait.task.done() for wait in waits)
        assert len(platform.times_of(OF_INSTANCE)) == searches

    simulate(scenario())


def test_the_list_of_the_instance_is_searched_again_now_and_then():
    async def scenario():
        platform = showing(300)
        waits = [wait_for_creation(platform, each) for each in ("1001", "1002")]
        await asyncio.sleep(1000)
        assert 6 <= len(platform.times_of(OF_INSTANCE)) <= 20, "once in ten polls"
        await stop(*(each.task for each in waits))

    simulate(scenario())


@pytest.mark.parametrize("code", [403, 404, 500])
def test_without_the_organisations_list_each_searches_by_itself(code):
    async def scenario():
        platform = running(50)
        platform.faults = always(refused(code, path=ORGANISATION_LIST))
        waits = [wait_for_creation(platform, each) for each in ("1001", "1002")]
        await asyncio.sleep(100)
        platform.add("1001", status="PENDING")
        platform.add("1002", status="PENDING")
        await asyncio.sleep(40)
        assert all(wait.task.done() for wait in waits)

    simulate(scenario())


def test_waits_of_all_kinds_share_one_reading():
    async def scenario():
        platform = showing(40)
        over = [wait_for(platform, str(number)) for number in range(1, 21)]
        created = [wait_for_creation(platform, str(number)) for number in range(1001, 1011)]
        task, ended = watch(platform)
        await asyncio.sleep(10)
        began = len(platform.requests)
        await asyncio.sleep(240)
        assert len(platform.requests) - began == 8, "one for each poll"
        for number in range(1001, 1011):
            create(platform, str(number))
        await asyncio.sleep(31)
        assert all(each.task.done() for each in created)
        await end(platform, over)
        await asyncio.sleep(31)
        assert sorted(ended, key=int) == [*map(str, range(1, 41)), *map(str, range(1001, 1011))]
        await stop(task)

    simulate(scenario())


def test_watching_goes_on_from_a_saved_cursor():
    async def scenario():
        platform = showing(3)
        cursor = CompletionCursor.start([], platform.now)
        platform.end_all("FAILED")
        task, ended = watch(platform, cursor)
        await asyncio.sleep(5)
        assert sorted(ended) == ["1", "2", "3"]
        await stop(task)

    simulate(scenario())


class PlatformOfSeveral(AsyncSimulatedPlatform):
    """The list of an instance shows its own executions only."""

    def respond(self, call):
        kept = self.executions
        if call.path != ORGANISATION_LIST:
            self.executions = [each for each in kept if each["external_model_id"] in call.path.split("/")]
        try:
            return super().respond(call)
        finally:
            self.executions = kept

    def run_before(self, instance_id, ended_ago_s):
        began = milliseconds(self.now) - 1000 * ended_ago_s
        done = {"status": "SUCCEEDED", "creation_date": began, "start_date": began, "duration": 1000}
        self.executions.append({"id": str(10**6 - ended_ago_s), "external_model_id": instance_id, **done})
        self.executions.sort(key=lambda each: each["creation_date"])


@pytest.mark.parametrize("others", [0, 1, 3])
@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("largest_page", [20, 100, 1000])
def test_a_saved_cursor_misses_no_end_beside_other_waits(others, newest_first, largest_page):
    async def scenario():
        platform = PlatformOfSeveral()
        platform.newest_first, platform.largest_page = newest_first, largest_page
        for hours in range(30, 6, -1):
            platform.run_before("42", 3600 * hours)
        before = [Execution.model_validate(each) for each in platform.executions]
        cursor = CompletionCursor.start(before, platform.now)
        for hours in range(6, 0, -1):
            platform.run_before("42", 3600 * hours)
        for number in range(190):
            platform.run_before("8", 7 + 20 * number)
        expected = {each["id"] for each in platform.executions if each["external_model_id"] == "42"}
        expected -= {each.id for each in before}
        task, ended = watch(platform, cursor)
        more = [watch(platform, instance_id="8")[0] for _ in range(others)]
        await asyncio.sleep(600)
        assert sorted(ended) == sorted(expected)
        await stop(task, *more)

    simulate(scenario())


def test_an_outage_is_told_if_the_platform_does_not_answer_but_not_if_one_list_fails():
    async def scenario():
        platform = showing(50)
        told = []
        creation = asyncio.create_task(
            wait_until_created(
                key="simulated",
                make_client=platform.make_client,
                instance_id=platform.instance_id,
                matches=lambda each: each.id == "1001",
                since=platform.now,
                log=lambda line: None,
                on_outage=told.append,
            )
        )
        other = wait_for(platform, "1")
        await asyncio.sleep(100)
        platform.faults = always(status(503))
        await asyncio.sleep(200)
        assert told == [True]
        platform.faults = always(refused(500, path=OF_INSTANCE))
        await asyncio.sleep(1000)
        assert told == [True, False]
        platform.faults = iter(())
        create(platform, "1001")
        await creation
        assert told == [True, False]
        await stop(other.task)

    simulate(scenario())


STEPS = some.lists(
    some.tuples(
        some.sampled_from(["add", "add", "end", "outage", "no list", "wait"]),
        some.integers(1, 12),
        some.integers(1, 90),
    ),
    max_size=14,
)


@settings(max_examples=cases(60), deadline=None)
@given(
    steps=STEPS,
    before=some.sampled_from([0, 1, 30, 130]),
    newest_first=some.booleans(),
    shows_dates=some.sampled_from([True, True, False]),
    largest_page=some.sampled_from([7, 50, 1000]),
)
def test_whatever_happens_each_end_is_told_once_and_each_creation_is_found(
    steps, before, newest_first, shows_dates, largest_page
):
    async def scenario():
        platform = showing(before)
        platform.newest_first, platform.largest_page = newest_first, largest_page
        if not shows_dates:
            platform.fields["creation_date"] = None
        platform.end_all()
        (first, one), (second, other) = watch(platform), watch(platform)
        await asyncio.sleep(3)
        created, number, expected = {}, before, []
        for what, count, seconds in steps:
            platform.faults = iter(())
            for _ in range(count if what == "add" else 0):
                number += 1
                created[number] = wait_for_creation(platform, str(number))
            await asyncio.sleep(seconds % 7)
            for each in list(created) if what == "add" else ():
                if str(each) not in platform.ids:
                    create(platform, str(each))
                    expected.append(str(each))
            if what == "end":
                platform.end_all()
            elif what == "outage":
                platform.faults = always(refused(503))
            elif what == "no list":
                platform.faults = always(refused(404, path=ORGANISATION_LIST))
            await asyncio.sleep(seconds)
        platform.faults = iter(())
        await asyncio.sleep(700)
        assert all(each.task.done() for each in created.values())
        platform.end_all()
        await asyncio.sleep(700)
        assert sorted(one) == sorted(other) == sorted(expected)
        await stop(first, second)

    simulate(scenario())


def test_a_day_of_waits_leaves_nothing_behind():
    def ours():
        gc.collect()
        return sum(
            str(type(each).__module__).startswith("airflow_provider_mics") for each in gc.get_objects()
        )

    async def scenario():
        platform, number, counts = showing(0), 0, []
        kept = wait_for(platform, "kept", 60)
        create(platform, "kept")
        task, ended = watch(platform, poll_interval=60)
        for _ in range(24):
            for _ in range(6):
                waits = []
                for _ in range(5):
                    number += 1
                    waits += [
                        wait_for(platform, str(number), 60),
                        wait_for_creation(platform, str(number), 60),
                    ]
                await asyncio.sleep(30)
                create(platform, *(str(number - back) for back in range(5)))
                await asyncio.sleep(270)
                for each in platform.executions[-5:]:
                    each["status"] = "SUCCEEDED"
                await asyncio.sleep(300)
                assert all(wait.task.done() for wait in waits)
                del platform.executions[1:-40]
            platform.requests.clear()
            waits.clear()
            kept.lines.clear()
            counts.append(ours())
        assert len(ended) == number
        assert max(counts[3:]) <= counts[2] + 50, counts
        await stop(kept.task, task)

    simulate(scenario())
