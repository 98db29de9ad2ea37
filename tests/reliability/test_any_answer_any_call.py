"""Each shape of an answer, to each call: no batch starts twice, no wait ends early, no instance is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_mics import api
from airflow_provider_mics.api import Call, Response
from airflow_provider_mics.api.instances import INSTANCES
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.paging import read_list
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity, TaskTry, identity_of
from airflow_provider_mics.core.exactly_once.submission import submit_execution
from airflow_provider_mics.core.polling.execution_lists import find_in_instance
from airflow_provider_mics.core.polling.organisation_list import OrganisationList
from tests.api.both_clients import KINDS, client_of
from tests.core.polling.simulated import client_in_loop
from tests.flow_driver import FlowDriver, ok
from tests.raw_server import RawServer, Reply, answer_of
from tests.reliability.any_answers import SHAPES, Shape
from tests.reliability.conftest import asks_nothing_of_airflow
from tests.simulated_platform import START, SimulatedPlatform, lost_answer

pytestmark = asks_nothing_of_airflow

each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
TRUE_SHAPES = {name: shape for name, shape in SHAPES.items() if name != "another moment"}
"""A platform that shows another moment than it was sent cannot be told from one that has another execution."""
each_true_shape = pytest.mark.parametrize("shape", TRUE_SHAPES.values(), ids=TRUE_SHAPES)
MOMENT = timedelta(milliseconds=123)
OWN = identity_of(TaskTry("nightly", "run", "import", -1, "manual", START + MOMENT, START), "42")
TICK = ExecutionIdentity("42", api.ExecutionType.CRON, START)


def is_list(call: Call[Any]) -> bool:
    return call.method == "GET" and call.path.endswith("executions")


def is_by_id(call: Call[Any]) -> bool:
    return call.method == "GET" and "/executions/" in call.path


def is_creation(call: Call[Any]) -> bool:
    return call.method == "POST" and call.path.endswith("/executions")


PLACES: dict[str, Callable[[Call[Any]], bool]] = {
    "lists": is_list,
    "by id": is_by_id,
    "creation": is_creation,
    "lists and by id": lambda call: is_list(call) or is_by_id(call),
    "everywhere": lambda call: True,
}
each_place = pytest.mark.parametrize("is_shaped", PLACES.values(), ids=PLACES)


class ShapedPlatform(SimulatedPlatform):
    """A platform whose answers to some calls have another shape, until ``shape`` is None."""

    def __init__(self, shape: Shape, is_shaped: Callable[[Call[Any]], bool], **options: Any) -> None:
        super().__init__(**options)
        self.shape: Shape | None = shape
        self._is_shaped = is_shaped

    def send(self, call: Call[Any]) -> Response:
        answer = super().send(call)
        if self.shape is None or not self._is_shaped(call) or answer.status_code != 200:
            return answer
        return Response(200, answer.headers, self.shape(json.loads(answer.content)))


def submit(platform: ShapedPlatform, identity: ExecutionIdentity, *, is_retry: bool) -> None:
    with suppress(api.MicsError):
        platform.run(submit_execution(identity, is_retry=is_retry, submission_timeout=timedelta(minutes=1)))


def living(platform: ShapedPlatform, identity: ExecutionIdentity) -> list[str]:
    return [
        each["id"]
        for each in platform.executions
        if each["status"] != "CANCELED"
        and each["parameters"]["execution_type"] == identity.execution_type
        and each["parameters"]["expected_start_date"]
        == round(identity.expected_start_date.timestamp() * 1000)
    ]


@each_true_shape
@each_place
@pytest.mark.parametrize("identity", [OWN, TICK], ids=["own", "tick"])
@pytest.mark.parametrize("loses_answer", [False, True])
def test_no_batch_starts_twice(
    shape: Shape, is_shaped: Callable[[Call[Any]], bool], identity: ExecutionIdentity, loses_answer: bool
) -> None:
    platform = ShapedPlatform(shape, is_shaped, now=START - timedelta(days=2))
    for day in (2, 1):
        platform.fire(START - timedelta(days=day), "SUCCEEDED")
        platform.now += timedelta(days=1)
    lost = [loses_answer]
    platform.faults = iter(
        lambda: (
            lambda platform, call: (
                lost_answer(platform, call) if is_creation(call) and lost and lost.pop() else None
            )
        ),
        None,
    )
    for is_retry in (False, True, True):
        submit(platform, identity, is_retry=is_retry)
        assert len(living(platform, identity)) <= 1
    platform.shape = None
    submit(platform, identity, is_retry=True)
    assert len(living(platform, identity)) == 1


@each_true_shape
@each_place
def test_a_tick_is_not_created_beside_the_platforms(
    shape: Shape, is_shaped: Callable[[Call[Any]], bool]
) -> None:
    platform = ShapedPlatform(shape, is_shaped)
    platform.fire(START)
    for is_retry in (False, True):
        submit(platform, TICK, is_retry=is_retry)
        assert living(platform, TICK) == ["1"]


@each_shape
@each_place
def test_no_wait_ends_before_its_execution(shape: Shape, is_shaped: Callable[[Call[Any]], bool]) -> None:
    platform = ShapedPlatform(shape, is_shaped)
    platform.fire(START, "RUNNING")
    with pytest.raises(api.MicsTimeoutError):
        platform.run(api.wait_for_execution("42", "1", deadline=START + timedelta(minutes=10)))
    platform.end_all()
    platform.shape = None
    assert platform.run(api.wait_for_execution("42", "1")).succeeded


@each_shape
def test_no_list_shows_an_end_that_was_not(shape: Shape) -> None:
    platform = ShapedPlatform(shape, lambda call: True)
    for _ in range(3):
        platform.fire(START, "RUNNING")
    with suppress(api.MicsError):
        found = platform.run(find_in_instance("42", ["1", "2"]))
        assert not any(each.is_over for each in found.values())
    with suppress(api.MicsError):
        reading = asyncio.run(OrganisationList().read(client_in_loop(platform), ["1", "2"], ["42"]))
        shown = [*reading.found.values(), *(each for new in reading.new.values() for each in new)]
        assert not any(each.as_execution() is not None and each.as_execution().is_over for each in shown)


@each_shape
def test_a_list_of_instances_is_whole_or_says_that_it_is_not(shape: Shape) -> None:
    instances = [{"id": str(number), "name": f"batch {number}"} for number in range(1, 6)]
    driver = FlowDriver(lambda call: shape(ok(instances, total=len(instances))))
    try:
        found = driver.run(read_list(INSTANCES, Instance, lambda each: each.id, {"organisation_id": None}))
    except api.MicsError:
        return
    ids = [each.id for each in found.items]
    assert len(ids) == len(set(ids))
    if shape is not SHAPES["another id"]:
        assert not found.is_complete or ids == ["1", "2", "3", "4", "5"]


JOBS = {
    "get_instance": lambda: api.get_instance("7"),
    "get_execution": lambda: api.get_execution("42", "7"),
    "list_instances": lambda: api.list_instances("1185"),
    "create_execution": lambda: api.create_execution("42", expected_start_date=START),
    "update_instance": lambda: api.update_instance("7", name="new"),
}


@pytest.fixture(scope="module")
def server() -> Any:
    with RawServer([]) as server:
        yield server


@each_shape
def test_both_clients_read_an_answer_alike(shape: Shape, server: RawServer) -> None:
    one = {"id": "7", "status": "RUNNING", "parameters": {"execution_type": "CRON"}}
    for name, job in JOBS.items():
        body = ok([one, one | {"id": "8"}], total=2) if name.startswith("list") else ok(one)
        server.replies = [Reply(answer_of(shape(body)), then="close")]
        outcomes = []
        for kind in KINDS:
            with client_of(kind, server.url, max_retries=0) as client:
                try:
                    outcomes.append(repr(client.run(job())))
                except api.MicsError as error:
                    outcomes.append(repr(error))
        assert outcomes[0] == outcomes[1], name
        assert json.dumps(outcomes[0]).count("\\u0000") == 0
