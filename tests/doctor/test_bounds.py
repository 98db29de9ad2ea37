"""A large account is read in part, and each row says how much of it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.doctor.checks.sampling import sample_from_beginning, sample_newest
from tests.doctor.runs import TOKENS, Doctor
from tests.flow_driver import FlowDriver, ok
from tests.sandbox_server import SandboxServer

MOST_REQUESTS = 90
INSTANCES, EXECUTIONS = 5_000, 10_000
"""In the sandbox; lists of 100,000 are read below, without one."""


@pytest.mark.parametrize(
    "quirks",
    [
        {},
        {"list_order": "oldest", "lists_have_total": False},
        {"max_results_cap": 50, "list_order": "random"},
        {"organisation_executions": "404"},
    ],
    ids=str,
)
def test_five_thousand_instances_are_not_all_read(
    large: SandboxServer, doctor_of_large: Doctor, quirks: dict[str, Any]
) -> None:
    large.quirks(reset=True, **quirks)
    large.reset_counters()
    run = doctor_of_large.run()
    assert run.document["requests"] <= MOST_REQUESTS
    assert sum(large.counters().values()) <= MOST_REQUESTS
    assert run.status in (0, 1)
    assert "not asked" not in run.results().values()
    looked_at = run.rows["names"]["looked_at"]
    if quirks.get("lists_have_total", True):
        assert "of 5,000 instances" in looked_at
    assert "all" not in looked_at


@pytest.fixture(scope="module")
def large() -> Any:
    with SandboxServer(tokens=TOKENS) as server:
        created = server.bulk(instances=INSTANCES, cron="0 3 * * *", cron_status="ACTIVE")
        # The history of one instance is long enough for all.
        server.bulk(instance_id=int(created["instance_ids"][0]), executions=EXECUTIONS, every_s=60)
        yield server


@pytest.fixture
def doctor_of_large(
    large: SandboxServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Doctor:
    doctor = Doctor(monkeypatch, capsys)
    doctor.set(HOST=large.url, TOKEN=large.token, ORGANISATION_ID="1185", TIMEZONE=None)
    return doctor


class Listed:
    """A list of executions, each a minute after the one before."""

    def __init__(self, length: int, *, newest_first: bool, has_total: bool, cap: int) -> None:
        self._ids = list(range(1, length + 1))
        if newest_first:
            self._ids.reverse()
        self._has_total, self._cap = has_total, cap

    def __call__(self, call: Any) -> Any:
        start, size = call.query["first_result"], min(call.query["max_results"], self._cap)
        items = [
            {"id": str(each), "status": "SUCCEEDED", "creation_date": 1_767_225_600_000 + each * 60_000}
            for each in self._ids[start : start + size]
        ]
        return ok(items, **({"total": len(self._ids)} if self._has_total else {}))


@pytest.mark.parametrize("has_total", [True, False])
@pytest.mark.parametrize("cap", [1, 7, 50, 500])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 49, 50, 51, 499, 500, 501, 1234, 100_000])
@pytest.mark.parametrize("newest_first", [True, False])
def test_a_sample_has_the_newest(length: int, cap: int, has_total: bool, newest_first: bool) -> None:
    driver = FlowDriver(Listed(length, newest_first=newest_first, has_total=has_total, cap=cap))
    sample = driver.run(sample_newest("executions", {}))
    assert len(driver.calls) <= 60
    read = {int(each) for each in sample.items}
    assert read <= set(range(1, length + 1))
    if cap >= 3:
        # An order shows in three items.
        assert not length or length in read
    if sample.is_complete:
        assert len(read) == length
    if length <= 10 * min(cap, 3) and cap >= 3:
        assert len(read) == length


@pytest.mark.parametrize("cap", [1, 7, 50, 500])
@pytest.mark.parametrize("length", [0, 1, 50, 500, 1234, 100_000])
@pytest.mark.parametrize("has_total", [True, False])
def test_a_sample_says_whether_it_is_whole(length: int, cap: int, has_total: bool) -> None:
    driver = FlowDriver(Listed(length, newest_first=True, has_total=has_total, cap=cap))
    sample = driver.run(sample_from_beginning("executions", Execution, {}))
    assert len(driver.calls) <= 10
    assert not sample.is_complete or len(sample.items) == length
    text = sample.looked_at("executions")
    assert text.startswith("all") == sample.is_complete
    if not sample.is_complete and has_total:
        assert f"of {length:,} executions" in text


def test_items_that_cannot_be_read_are_counted() -> None:
    driver = FlowDriver(lambda call: ok([{"id": "1"}, {"name": "no id"}, 17], total=3))
    sample = driver.run(sample_from_beginning("instances", Instance, {}))
    assert (list(sample.items), sample.unreadable, sample.is_complete) == (["1"], 2, True)


def test_a_list_that_ignores_paging_is_read_once() -> None:
    everything = [{"id": str(each), "status": "FAILED"} for each in range(600)]
    driver = FlowDriver(lambda call: ok(everything))
    sample = driver.run(sample_newest("executions", {}))
    assert len(driver.calls) == 1
    assert (len(sample.items), sample.ignores_paging, sample.is_complete) == (600, True, True)
