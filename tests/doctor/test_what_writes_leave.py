"""Whatever becomes of the request to create and of that to cancel: nothing is left, or a row says what may start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from airflow_provider_mics.api import Call, MicsConnectionError, Response
from airflow_provider_mics.doctor.checks.rows import Result
from airflow_provider_mics.doctor.checks.writes import write_checks
from tests.doctor.runs import Doctor
from tests.foreign_answers import foreign
from tests.sandbox_server import SandboxServer
from tests.simulated_platform import (
    START,
    Fault,
    SimulatedPlatform,
    always,
    delivered_twice,
    lost_answer,
    lost_request,
)

INSTANCE = "4107"
WRITES = ("--allow-writes", "--instance", INSTANCE)


def page_after(platform: SimulatedPlatform, call: Call[Any]) -> Response:
    platform.respond(call)
    return foreign(502, "a web page")


def unreadable_after(platform: SimulatedPlatform, call: Call[Any]) -> Response:
    platform.respond(call)
    return foreign(200, "text")


WHATEVER: dict[str, Fault | None] = {
    "answered": None,
    "lost before": lost_request,
    "lost after": lost_answer,
    "twice": delivered_twice,
    "a page after": page_after,
    "text after": unreadable_after,
}


def to_the_second(shown: dict[str, Any]) -> dict[str, Any]:
    parameters = shown["parameters"]
    rounded = parameters["expected_start_date"] // 1000 * 1000
    return shown | {"parameters": parameters | {"expected_start_date": rounded}}


def without_moment(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name != "parameters"}


def as_it_is(shown: dict[str, Any]) -> dict[str, Any]:
    return shown


SHOWN: dict[str, tuple[Callable[[dict[str, Any]], Any], Callable[[dict[str, Any]], Any]]] = {
    "as sent": (as_it_is, as_it_is),
    "to the second": (to_the_second, to_the_second),
    "by id only": (without_moment, as_it_is),
    "nowhere": (without_moment, without_moment),
}


def faults(post: Fault | None, action: Fault | None) -> Iterator[Fault]:
    left = {"POST": 1, "action": 3}

    def fault(platform: SimulatedPlatform, call: Call[Any]) -> Response | None:
        which = "action" if call.path.endswith("/action") else call.method
        chosen = {"POST": post, "action": action}.get(which)
        if chosen is None or not left[which]:
            return None
        left[which] -= 1
        return chosen(platform, call)

    return always(fault)


def platform_with(shown: str, delay: float, newest_first: bool) -> SimulatedPlatform:
    in_list, by_id = SHOWN[shown]
    platform = SimulatedPlatform(
        in_list=in_list, by_id=by_id, newest_first=newest_first, stale_for=timedelta(seconds=delay)
    )
    for hours in range(25):
        platform.create({"execution_type": "CRON", "expected_start_date": 1000 * hours}, "SUCCEEDED")
        platform.executions[-1]["creation_date"] -= (1000 - hours) * 3_600_000
    return platform


@pytest.mark.parametrize("post", WHATEVER)
@pytest.mark.parametrize("shown", SHOWN)
@pytest.mark.parametrize("delay", [0, 5, 9, 20])
def test_nothing_is_left_unsaid(post: str, shown: str, delay: float) -> None:
    for (name, action), newest_first in product(WHATEVER.items(), (True, False)):
        platform = platform_with(shown, delay, newest_first)
        platform.faults = faults(WHATEVER[post], action)
        echo, find, cancel = platform.run(write_checks("42", None))
        left = [each for each in platform.executions if each["status"] == "PENDING"]
        case = (name, newest_first, echo, find, cancel)
        if left:
            assert Result.TO_DO in (find.result, cancel.result), case
            assert "start at 2026-03-03 05:30:" in f"{find.means} {cancel.means} {cancel.set}", case
            # Only what shows its moment too late, or nowhere, is left.
            assert shown == "nowhere" or delay > 10, case
        elif post != "lost before":
            assert cancel.result == Result.OK, case
        if post == "lost before":
            assert (len(platform.executions), cancel.result) == (25, Result.NOT_ASKED)


@pytest.mark.parametrize("seconds", [0, 3, 8])
def test_a_duplicate_that_comes_later_is_canceled_too(seconds: float) -> None:
    platform = SimulatedPlatform()
    sent: list[Any] = []

    def later(platform: SimulatedPlatform, call: Call[Any]) -> Response | None:
        if call.method == "POST" and call.path.endswith("/executions"):
            sent.append((platform.now + timedelta(seconds=seconds), dict((call.body or {})["parameters"])))
        elif sent and platform.now >= sent[0][0]:
            platform.create(sent.pop()[1])
        return None

    platform.faults = always(later)
    _, find, cancel = platform.run(write_checks("42", None))
    assert [each["status"] for each in platform.executions] == ["CANCELED", "CANCELED"]
    assert find.found == "the request created 2 executions: 1, 2"
    assert (find.result, cancel.result) == ("note", "ok")


def test_executions_of_others_are_left_alone() -> None:
    platform = SimulatedPlatform()

    def others(platform: SimulatedPlatform, call: Call[Any]) -> Response | None:
        if call.method == "POST" and call.path.endswith("/executions"):
            moment = (call.body or {})["parameters"]["expected_start_date"]
            platform.create({"execution_type": "CRON", "expected_start_date": moment // 1000 * 1000})
            platform.create({"execution_type": "MANUAL", "expected_start_date": moment - 86_400_000})
            platform.create({"execution_type": "MANUAL"})
        return None

    platform.faults = always(others)
    platform.run(write_checks("42", None))
    assert [each["status"] for each in platform.executions] == [*["PENDING"] * 3, "CANCELED"]


@pytest.mark.parametrize("newest_first", [True, False, None])
@pytest.mark.parametrize("position", [0, 2500])
def test_a_long_list_is_read_as_far_as_needed(newest_first: bool | None, position: int) -> None:
    platform = SimulatedPlatform(newest_first=bool(newest_first))
    platform.executions = [
        {
            "id": str(number + 100_000),
            "status": "SUCCEEDED",
            "creation_date": int(START.timestamp() - 86_400) * 1000
            + (number * 7919 % 3000 if newest_first is None else number),
            "parameters": {"execution_type": "CRON", "expected_start_date": 0},
        }
        for number in range(3000)
    ]

    def insert(platform: SimulatedPlatform, call: Call[Any]) -> Response | None:
        if newest_first is None and call.method == "POST" and call.path.endswith("/executions"):
            answer = platform.respond(call)
            platform.executions.insert(position, platform.executions.pop())
            return answer
        return None

    platform.faults = always(insert)
    rows = platform.run(write_checks("42", None))
    assert [row.result for row in rows] == ["ok", "ok", "ok"]
    assert rows[1].found == "listed within 0 s"
    if newest_first is not None:
        assert len(platform.requests) < 30


def test_nothing_is_created_that_could_not_be_found() -> None:
    def fail(platform: SimulatedPlatform, call: Call[Any]) -> Response | None:
        if call.method == "GET" and call.path.endswith("/executions"):
            raise MicsConnectionError("no response")
        return None

    platform = SimulatedPlatform(faults=always(fail))
    assert {row.result for row in platform.run(write_checks("42", None))} == {Result.NOT_ASKED}
    assert platform.executions == []


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "502", "timeout_after", "duplicate", "html"])
def test_a_cancellation_that_gets_no_answer_is_tried_again(
    platform: SandboxServer, doctor: Doctor, kind: str
) -> None:
    doctor.set(READ_TIMEOUT="0.5")
    before = len(platform.executions(created_by="api"))
    parameters = {"seconds": 1} if kind == "timeout_after" else {}
    platform.faults([{"kind": kind, "path": "/action$", "times": 1, "parameters": parameters}])
    run = doctor.run(*WRITES)
    assert run.of("cancel")[0] == "ok"
    assert [each["status"] for each in platform.executions(created_by="api")[before:]] == ["CANCELED"]


@pytest.mark.parametrize("quirks", [{}, {"dates_as": "seconds"}, {"list_order": "oldest"}], ids=str)
@pytest.mark.parametrize("stale", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["drop_after", "duplicate", "502"])
def test_what_a_request_created_is_canceled_over_http_too(
    platform: SandboxServer, doctor: Doctor, kind: str, stale: float, quirks: dict[str, Any]
) -> None:
    before = len(platform.executions(created_by="api"))
    platform.quirks(**quirks)
    rule = {"kind": kind, "method": "POST", "path": "executions$", "times": 1}
    rule |= {"parameters": {"work_done": True}} if kind == "502" else {}
    platform.faults([rule, {"kind": "stale_list", "parameters": {"seconds": stale, "spread": True}}])
    run = doctor.run(*WRITES)
    own = platform.executions(created_by="api")[before:]
    assert [each["status"] for each in own] == ["CANCELED"] * (2 if kind == "duplicate" else 1)
    assert run.of("cancel")[0] == "ok"
    assert run.status == (2 if kind != "duplicate" else 1 if quirks.get("dates_as") else 0)


def test_an_execution_that_is_listed_too_late_is_announced(platform: SandboxServer, doctor: Doctor) -> None:
    rule = {"kind": "drop_after", "method": "POST", "path": "executions$", "times": 1}
    platform.faults([rule, {"kind": "stale_list", "parameters": {"seconds": 1e9}}])
    run = doctor.run(*WRITES)
    left = platform.executions(created_by="api")[-1]
    assert (run.status, left["status"]) == (2, "PENDING")
    assert run.of("find")[0] == "to do"
    assert "An execution that was not recognised may exist, and would start at" in run.rows["find"]["means"]
    assert f"executions of instance {INSTANCE}" in run.rows["find"]["set"]
    platform.clear_faults()
    path = f"integration_batch_instances/{INSTANCE}/executions/{left['id']}/action"
    platform.call("POST", path, {"action": "CANCEL"})
