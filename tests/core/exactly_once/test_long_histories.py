"""Submissions and ticks cost the same at any length of history, and never run a batch twice for it."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from airflow_provider_mics.api.field_types import ExecutionType, milliseconds
from airflow_provider_mics.core.exactly_once.earlier_tries import unfinished_executions
from airflow_provider_mics.core.exactly_once.handover import (
    CreateNow,
    TickContext,
    WaitForPlatform,
    decide_tick,
)
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity, TaskTry, identity_of
from airflow_provider_mics.core.exactly_once.submission import submit_execution
from airflow_provider_mics.core.exactly_once.twins import check_for_twins
from tests.simulated_platform import START, SimulatedPlatform, delivered_twice, lost_answer

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
TRY = TaskTry("nightly", "run", "import", -1, "manual", START, START)
OWN = identity_of(TRY, "42")
INSTANCE = {"id": "42", "name": "Nightly import", "cron": "* * * * *", "cron_status": "ACTIVE"}
CONTEXT = TickContext("* * * * *", "UTC", None)
TICK = ExecutionIdentity("42", ExecutionType.CRON, START)
ORDERS = [True, False]


@cache
def history(length, every=MINUTE, kind="CRON"):
    """Executions in the order of their creation, the last one a period before START."""
    moments = [milliseconds(START - (length - number) * every) for number in range(length)]
    return [
        {
            "id": str(number + 1),
            "status": "SUCCEEDED",
            "creation_date": moment,
            "start_date": moment,
            "duration": 1000,
            "parameters": {"execution_type": kind, "expected_start_date": moment},
        }
        for number, moment in enumerate(moments)
    ]


def platform_with(
    length, *, newest_first=False, largest_page=20, total=None, every=MINUTE, kind="CRON", **more
):
    shown = (lambda length: length) if total == "true" else (lambda _: total)
    platform = SimulatedPlatform(
        newest_first=newest_first, largest_page=largest_page, total=shown, instance=INSTANCE, **more
    )
    platform.executions = list(history(length, every, kind))
    return platform


def requests_of(platform, job):
    before = len(platform.requests)
    result = platform.run(job)
    return result, len(platform.requests) - before


LENGTHS = pytest.mark.parametrize("length", [100, 50_000])
SHAPES = pytest.mark.parametrize(
    ("newest_first", "largest_page", "total"),
    [
        (True, 20, None),
        (True, 1000, "true"),
        (False, 20, None),
        (False, 20, "true"),
        (False, 20, 20),
        (False, 100, None),
        (False, 1000, "true"),
    ],
)


@LENGTHS
@SHAPES
@pytest.mark.parametrize("every", [17 * SECOND, MINUTE])
def test_a_manual_submission(length, newest_first, largest_page, total, every):
    platform = platform_with(
        length, newest_first=newest_first, largest_page=largest_page, total=total, every=every
    )
    submission, first = requests_of(platform, submit_execution(OWN))
    assert submission.outcome == "created"
    assert first <= (6 if newest_first else 40)
    later = identity_of(TaskTry("nightly", "later", "import", -1, "manual", START, START), "42")
    submission, after = requests_of(platform, submit_execution(later))
    assert submission.outcome == "created"
    assert after <= (6 if newest_first else 8)
    assert len(platform.executions) == length + 2


@LENGTHS
@SHAPES
def test_a_tick_that_the_platform_has_fired(length, newest_first, largest_page, total):
    platform = platform_with(length, newest_first=newest_first, largest_page=largest_page, total=total)
    fired = platform.fire(START)
    counts = []
    for _ in range(2):
        decision, count = requests_of(platform, decide_tick(TICK, CONTEXT, give_up_at=START + MINUTE))
        assert isinstance(decision, CreateNow)
        assert [each.id for each in decision.existing] == [fired["id"]]
        counts.append(count)
    assert counts[0] <= 40
    assert counts[1] <= 8


@LENGTHS
@SHAPES
def test_a_tick_that_the_platform_has_not_fired(length, newest_first, largest_page, total):
    platform = platform_with(length, newest_first=newest_first, largest_page=largest_page, total=total)
    counts = []
    for number in range(2):
        tick = ExecutionIdentity("42", ExecutionType.CRON, START + 3 * number * MINUTE)
        platform.now = tick.expected_start_date + SECOND
        counts.append(decided_and_created(platform, tick))
    assert len(platform.executions) == length + 2
    assert counts[0] <= 60
    assert counts[1] <= 10


def decided_and_created(platform, tick):
    """The requests to decide, to decide again after the grace, and to create; not those to wait in between."""
    before = len(platform.requests)
    decision = platform.run(decide_tick(tick, CONTEXT, give_up_at=platform.now + MINUTE))
    assert isinstance(decision, WaitForPlatform)
    platform.now = decision.until
    decision = platform.run(decide_tick(tick, CONTEXT, give_up_at=platform.now + MINUTE, grace_is_over=True))
    assert isinstance(decision, CreateNow)
    submission = platform.run(submit_execution(decision.identity, existing=decision.existing))
    assert submission.outcome == "created"
    return len(platform.requests) - before


@pytest.mark.parametrize("newest_first", ORDERS)
def test_a_look_for_a_second_execution_of_a_tick(newest_first):
    platform = platform_with(10_000, newest_first=newest_first)
    own = platform.fire(START, "RUNNING")
    noticed = set()
    platform.run(check_for_twins(TICK, own["id"], noticed, None))
    twin = platform.fire(START)
    _, count = requests_of(platform, check_for_twins(TICK, own["id"], noticed, None))
    assert platform.execution(twin["id"])["status"] == "CANCELED"
    assert count <= 2 + 3, "the list, and the cancellation"


@pytest.mark.parametrize("newest_first", ORDERS)
@pytest.mark.parametrize("kind", ["CRON", "MANUAL"])
@pytest.mark.parametrize("age", [timedelta(0), 20 * MINUTE, 50 * MINUTE])
def test_a_retry_finds_its_own_execution_also_with_a_clock_that_was_wrong(newest_first, kind, age):
    """The platform's clock was behind when it created the execution, and is right now."""
    platform = platform_with(
        3000, newest_first=newest_first, kind=kind, every=17 * SECOND, faults=[None, lost_answer]
    )
    platform.clock_offset = -age
    own = platform.create(
        {"execution_type": "MANUAL", "expected_start_date": milliseconds(OWN.expected_start_date)}
    )
    platform.executions.sort(key=lambda each: each["creation_date"])
    platform.clock_offset = timedelta(0)
    again = platform.run(submit_execution(OWN, is_retry=True))
    assert (again.outcome, again.execution.id) == ("found", own["id"])


class SortedByMoment(SimulatedPlatform):
    """A platform that sorts its list by ``expected_start_date``, and those that have not started first or last."""

    pending_first = False

    def respond(self, call):
        self.executions.sort(
            key=lambda each: (
                self.pending_first and each["status"] != "PENDING",
                each["parameters"]["expected_start_date"],
            )
        )
        return super().respond(call)

    def create(self, parameters, status="PENDING"):
        ids = {each["id"] for each in self.executions}
        created = super().create(parameters, status)
        if created["id"] in ids:
            created["id"] = str(max(map(int, ids)) + 1)
        return created


@pytest.mark.parametrize("pending_first", [False, True])
@pytest.mark.parametrize("fault", [lost_answer, delivered_twice])
def test_a_list_that_is_not_sorted_by_creation_leads_to_no_second_run(fault, pending_first):
    def once(platform, call):
        return fault(platform, call) if call.method == "POST" else None

    platform = SortedByMoment(newest_first=False, largest_page=20, total=lambda _: None)
    platform.pending_first = pending_first
    platform.executions = list(history(600))
    posts = []

    def before_each(platform, call):
        is_create = call.method == "POST" and call.path.endswith("/executions")
        posts.append(is_create)
        return once(platform, call) if is_create and sum(posts) == 1 else None

    platform.faults = iter([before_each] * 5000)
    first = platform.run(submit_execution(OWN))
    again = platform.run(submit_execution(OWN, is_retry=True))
    assert again.outcome == "found"
    own = [each for each in platform.executions if each["parameters"]["execution_type"] == "MANUAL"]
    assert [each["status"] for each in own].count("PENDING") == 1
    assert first.execution.id in {each["id"] for each in own}


@pytest.mark.parametrize("newest_first", ORDERS)
@pytest.mark.parametrize("ahead", [10 * MINUTE, timedelta(hours=3), timedelta(days=1), timedelta(days=7)])
@pytest.mark.parametrize("largest_page", [20, 1000])
@pytest.mark.parametrize("manual", [0, 30])
def test_a_tick_that_was_created_ahead_is_found(newest_first, ahead, largest_page, manual):
    """The platform creates all executions so long before their ticks; people start others in between."""
    platform = SimulatedPlatform(
        newest_first=newest_first, largest_page=largest_page, total=lambda _: None, instance=INSTANCE
    )
    period = timedelta(hours=6)
    events = [(START + number * period - ahead, START + number * period, "CRON") for number in range(-80, 1)]
    events += [
        (START - number * period / 10, START - number * period / 10, "MANUAL")
        for number in range(manual * 10)
    ]
    for created, due, kind in sorted(events):
        platform.now = created
        platform.create({"execution_type": kind, "expected_start_date": milliseconds(due)}, "SUCCEEDED")
    platform.now = START + SECOND
    instance_cron = INSTANCE | {"cron": "30 5,11,17,23 * * *"}
    platform.instance = instance_cron
    for _ in range(2):
        decision = platform.run(decide_tick(TICK, CONTEXT, give_up_at=platform.now + MINUTE))
        assert isinstance(decision, CreateNow)
        assert len(decision.existing) == 1
    over = decide_tick(TICK, CONTEXT, give_up_at=platform.now + MINUTE, grace_is_over=True)
    assert len(platform.run(over).existing) == 1


@pytest.mark.parametrize("newest_first", ORDERS)
def test_how_late_the_platform_was_is_remembered_beyond_what_later_looks_read(newest_first):
    platform = platform_with(5000, newest_first=newest_first, total="true")
    late = platform.executions[4800]
    twin = late | {"id": "999999", "creation_date": late["creation_date"] + 400_000}
    platform.executions = sorted([*platform.executions, twin], key=lambda each: each["creation_date"])
    graces, counts = [], []
    for number in range(2):
        tick = ExecutionIdentity("42", ExecutionType.CRON, START + number * MINUTE)
        platform.now = tick.expected_start_date + SECOND
        decision, count = requests_of(platform, decide_tick(tick, CONTEXT, give_up_at=platform.now + MINUTE))
        graces.append(decision.grace)
        counts.append(count)
    assert graces == [timedelta(seconds=780)] * 2
    assert counts[1] <= 4


@pytest.mark.parametrize("newest_first", ORDERS)
def test_after_a_clear_the_executions_of_earlier_tries_are_found_in_any_history(newest_first):
    platform = platform_with(2000, newest_first=newest_first)
    own = platform.run(submit_execution(OWN)).execution
    for minute in range(200):
        platform.now = START + minute * MINUTE
        platform.fire(platform.now, "SUCCEEDED")
    found = platform.run(unfinished_executions([OWN], platform.now + MINUTE))
    assert [each.id for each in found] == [own.id]


@pytest.mark.parametrize("seed", range(20))
def test_two_tries_make_one_execution_in_any_list(seed):
    """Random orders, totals, pages and lengths; a lost answer; executions that come and go meanwhile."""
    draw = random.Random(seed)
    total = draw.choice([None, "true", 20, 0, 10**9])
    platform = platform_with(
        draw.choice([1, 5, 19, 20, 21, 60, 200]),
        newest_first=draw.random() < 0.3,
        largest_page=draw.choice([7, 20, 1000]),
        total=total,
        every=draw.choice([SECOND, MINUTE, 60 * MINUTE]),
        kind=draw.choice(["CRON", "MANUAL"]),
    )

    def before(_):
        if draw.random() < 0.2:
            platform.executions.append(
                {
                    "id": str(100_000 + len(platform.requests)),
                    "status": "SUCCEEDED",
                    "creation_date": milliseconds(platform.now),
                    "parameters": {
                        "execution_type": "CRON",
                        "expected_start_date": milliseconds(platform.now),
                    },
                }
            )
        if draw.random() < 0.1 and len(platform.executions) > 30:
            del platform.executions[draw.randrange(5)]

    platform.driver.before = before
    lost = draw.randrange(3)
    posts = []

    def fault(platform, call):
        if call.method == "POST" and call.path.endswith("/executions"):
            posts.append(call)
            if len(posts) <= lost:
                return lost_answer(platform, call)
        return None

    platform.faults = iter([fault] * 10_000)
    platform.run(submit_execution(OWN))
    platform.run(submit_execution(OWN, is_retry=True))
    own = milliseconds(OWN.expected_start_date)
    assert [each["parameters"]["expected_start_date"] for each in platform.executions].count(own) == 1


class PlatformSortedByMoment(SimulatedPlatform):
    """Its lists are sorted by when their executions were to start, not by when they were created."""

    def _page(self, call):
        kept = self.executions
        self.executions = sorted(kept, key=lambda each: each["parameters"]["expected_start_date"])
        try:
            return super()._page(call)
        finally:
            self.executions = kept


@pytest.mark.parametrize("newest_first", ORDERS)
@pytest.mark.parametrize("shown", [lambda length: length, lambda _: None])
@pytest.mark.parametrize("length", [15, 1500])
def test_a_retry_finds_its_execution_in_a_list_sorted_by_moment(newest_first, shown, length):
    platform = PlatformSortedByMoment(newest_first=newest_first, total=shown, instance=INSTANCE)
    platform.executions = [dict(each) for each in history(length)]
    first = platform.run(submit_execution(OWN))
    assert first.outcome == "created"
    platform.execution(first.execution.id)["status"] = "RUNNING"
    platform.now += 5 * MINUTE
    retry = identity_of(replace(TRY, is_retry=True), "42")
    again = platform.run(submit_execution(retry, is_retry=True))
    assert (again.outcome, again.execution.id) == ("found", first.execution.id)
    assert len(platform.executions) == length + 1
