"""What cannot be read is not taken for "no": no shape of a list leads to a second execution."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from airflow_provider_mics.api.errors import MicsError, MicsUncertainError
from airflow_provider_mics.api.field_types import ExecutionType, from_milliseconds
from airflow_provider_mics.core.exactly_once.execution_search import MAX_REQUESTS_BY_ID
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity, TaskTry, identity_of
from airflow_provider_mics.core.exactly_once.submission import submit_execution
from tests.simulated_platform import START, SimulatedPlatform, delivered_twice, lost_answer

TRY = TaskTry("nightly", "run", "import", -1, "manual", START + timedelta(milliseconds=123), START)
OWN = identity_of(TRY, "42")
TICK = ExecutionIdentity("42", ExecutionType.CRON, START)
DAY = timedelta(days=1)


def without_parameters(shown):
    return {name: value for name, value in shown.items() if name != "parameters"}


def without_dates(shown):
    return {name: value for name, value in without_parameters(shown).items() if name != "creation_date"}


def with_parameters(**changes):
    def show(shown):
        parameters = {
            name: value for name, value in (shown["parameters"] | changes).items() if value is not None
        }
        return shown | {"parameters": parameters}

    return show


def with_dates(write):
    def show(shown):
        parameters = shown["parameters"]
        moment = write(from_milliseconds(parameters["expected_start_date"]))
        created = write(from_milliseconds(shown["creation_date"]))
        return shown | {"creation_date": created, "parameters": parameters | {"expected_start_date": moment}}

    return show


READABLE = {
    "as documented": lambda shown: shown,
    "ISO text": with_dates(lambda moment: moment.isoformat()),
    "ISO text with Z": with_dates(lambda moment: moment.isoformat().replace("+00:00", "Z")),
    "microseconds": with_dates(lambda moment: int(moment.timestamp() * 1000) * 1000),
    "seconds with a fraction": with_dates(lambda moment: moment.timestamp()),
    "the type in lower case": lambda shown: with_parameters(
        execution_type=shown["parameters"]["execution_type"].lower()
    )(shown),
    "numbers as ids": lambda shown: shown | {"id": int(shown["id"])},
}
ROUNDED = {
    "seconds": with_dates(lambda moment: int(moment.timestamp())),
    "ISO text to the second": with_dates(lambda moment: moment.isoformat(timespec="seconds")),
}
UNREADABLE = {
    "no parameters": without_parameters,
    "no parameters and no dates": without_dates,
    "parameters null": lambda shown: shown | {"parameters": None},
    "parameters as text": lambda shown: shown | {"parameters": "CRON"},
    "no type": with_parameters(execution_type=None),
    "a type that is not known": with_parameters(execution_type="AUTOMATIC"),
    "no moment": with_parameters(expected_start_date=None),
    "no time zone": with_dates(lambda moment: moment.replace(tzinfo=None).isoformat()),
    "a moment that is no date": with_parameters(expected_start_date="soon"),
}


def submitted(platform, identity=OWN, **options):
    """What comes of a submission: its outcome, or the name of its error."""
    try:
        return platform.run(
            submit_execution(identity, submission_timeout=timedelta(minutes=1), **options)
        ).outcome
    except MicsError as error:
        return type(error).__name__


def once(fault):
    return iter([None, fault])


@pytest.mark.parametrize("shape", READABLE.values(), ids=READABLE)
@pytest.mark.parametrize("newest_first", [True, False])
def test_what_can_be_read_is_found(shape, newest_first):
    platform = SimulatedPlatform(
        in_list=shape, by_id=shape, newest_first=newest_first, faults=once(lost_answer)
    )
    for hour in range(30):
        platform.fire(START - hour * DAY, "SUCCEEDED")
    assert submitted(platform) == "created"
    assert submitted(platform, is_retry=True) == "found"
    assert len(platform.executions) == 31


@pytest.mark.parametrize("shape", {**READABLE, **ROUNDED}.values(), ids={**READABLE, **ROUNDED})
def test_a_tick_that_the_platform_fired_is_adopted(shape):
    platform = SimulatedPlatform(in_list=shape, by_id=shape)
    platform.fire(START - DAY, "SUCCEEDED")
    platform.fire(START)
    assert submitted(platform, TICK) == "found"
    assert len(platform.executions) == 2


@pytest.mark.parametrize("shape", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("identity", [OWN, TICK], ids=["own", "tick"])
def test_what_a_list_does_not_show_is_asked_for_by_its_id(shape, identity):
    platform = SimulatedPlatform(in_list=shape, faults=once(lost_answer))
    assert submitted(platform, identity) == "created"
    assert submitted(platform, identity, is_retry=True) == "found"
    assert len(platform.executions) == 1


@pytest.mark.parametrize("shape", {**UNREADABLE, **ROUNDED}.values(), ids={**UNREADABLE, **ROUNDED})
def test_where_nothing_shows_it_nothing_is_created_again(shape):
    platform = SimulatedPlatform(in_list=shape, by_id=shape, faults=once(lost_answer))
    assert submitted(platform) == "MicsUncertainError"
    assert submitted(platform, is_retry=True) == "MicsUncertainError"
    assert len(platform.executions) == 1


@pytest.mark.parametrize("shape", UNREADABLE.values(), ids=UNREADABLE)
def test_a_tick_is_not_created_beside_one_that_cannot_be_read(shape):
    platform = SimulatedPlatform(in_list=shape, by_id=shape)
    platform.fire(START)
    assert submitted(platform, TICK) == "MicsUncertainError"
    assert len(platform.executions) == 1


def test_the_error_says_what_is_not_shown():
    platform = SimulatedPlatform(in_list=without_parameters, by_id=without_parameters)
    platform.fire(START)
    with pytest.raises(
        MicsUncertainError, match="does not show whether execution 1 of instance 42 is the MANUAL"
    ):
        platform.run(submit_execution(OWN))


@pytest.mark.parametrize("identity", [OWN, TICK], ids=["own", "tick"])
def test_a_history_of_another_time_is_not_asked_for(identity):
    platform = SimulatedPlatform(in_list=without_parameters, by_id=without_parameters, now=START - 2 * DAY)
    for _ in range(100):
        platform.fire(platform.now, "SUCCEEDED")
    platform.now = START
    assert submitted(platform, identity) == "created"
    assert sum("/executions/" in request.path for request in platform.requests) == 0


def test_the_requests_by_id_are_bounded():
    platform = SimulatedPlatform(in_list=without_parameters)
    for _ in range(200):
        platform.fire(START - DAY, "SUCCEEDED")
    assert submitted(platform) == "MicsUncertainError"
    assert sum("/executions/" in request.path for request in platform.requests) == MAX_REQUESTS_BY_ID
    platform.create(
        {"execution_type": "MANUAL", "expected_start_date": int(OWN.expected_start_date.timestamp() * 1000)}
    )
    assert submitted(platform, is_retry=True) == "found"


BAD_ITEMS = [None, 3, "text", [], {}, {"id": None}, {"id": {}}, {"status": "RUNNING"}]


@pytest.mark.parametrize("item", BAD_ITEMS, ids=repr)
@pytest.mark.parametrize("newest_first", [True, False])
def test_an_old_item_without_sense_stops_nothing(item, newest_first):
    platform = SimulatedPlatform(
        newest_first=newest_first,
        now=START - 3 * DAY,
        in_list=lambda shown: item if shown["id"] == "2" else shown,
    )
    for number in range(5):
        platform.fire(START - 3 * DAY + timedelta(hours=number), "SUCCEEDED")
        platform.now += timedelta(hours=1)
    platform.now = START
    assert submitted(platform) == "created"
    assert submitted(platform, is_retry=True) == "found"
    assert len(platform.executions) == 6


@pytest.mark.parametrize("item", BAD_ITEMS, ids=repr)
def test_a_new_item_without_sense_may_be_ours(item):
    platform = SimulatedPlatform(
        now=START - DAY, in_list=lambda shown: item if shown["id"] == "2" else shown, faults=once(lost_answer)
    )
    platform.fire(START - DAY, "SUCCEEDED")
    platform.now = START
    assert submitted(platform) == "MicsUncertainError"
    assert len(platform.executions) == 2


@pytest.mark.parametrize("history", [0, 1, 18, 19, 20, 21, 38, 39, 40, 41, 59, 60, 61])
@pytest.mark.parametrize(
    "total", [lambda length: length, lambda _: None, lambda length: length - 1, lambda _: 0]
)
@pytest.mark.parametrize("order", ["newest first", "oldest first", "none"])
def test_the_twin_of_a_request_delivered_twice_is_seen(history, total, order):
    platform = SimulatedPlatform(
        newest_first=order == "newest first", largest_page=20, total=total, now=START - 3 * DAY
    )
    for _ in range(history):
        platform.fire(platform.now, "SUCCEEDED")
        platform.now += timedelta(minutes=10)
    platform.now = START
    if order == "none":
        platform.executions.sort(key=lambda each: hash((each["id"], "order")) % 97)
    platform.faults = delivering_the_first_post_twice()
    assert submitted(platform) == "created"
    ours = [each for each in platform.executions if each["parameters"]["execution_type"] == "MANUAL"]
    assert sorted(each["status"] for each in ours) == ["CANCELED", "PENDING"]


def delivering_the_first_post_twice():
    """Faults, for a platform that has no execution of its own but CRON."""

    def fault(platform, call):
        types = {each["parameters"]["execution_type"] for each in platform.executions}
        is_first = call.method == "POST" and call.path.endswith("/executions") and "MANUAL" not in types
        return delivered_twice(platform, call) if is_first else None

    return itertools.repeat(fault)


def test_a_list_with_the_newest_first_is_not_read_to_its_end():
    platform = SimulatedPlatform(largest_page=20, now=START - 100 * DAY)
    for _ in range(2000):
        platform.fire(platform.now, "SUCCEEDED")
        platform.now += timedelta(hours=1)
    platform.now = START
    assert submitted(platform) == "created"
    assert len(platform.requests) == 3, "the search, the creation, and the check for duplicates"
