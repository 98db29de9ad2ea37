"""The end of a list is where the platform gives no more, whatever its total says and however it refuses to go on."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.paging import SMALLEST_CAP
from airflow_provider_mics.doctor.checks.lists import paging_row, total_row
from airflow_provider_mics.doctor.checks.sampling import MOST_PAGES, sample_from_beginning, sample_newest
from tests.doctor.runs import TOKENS, Doctor
from tests.flow_driver import FlowDriver, ok, refusal
from tests.sandbox_server import SandboxServer

ENDS = ("empty", "400", "404", "416")
TOTALS: dict[str, dict[str, Any]] = {
    "none": {"lists_have_total": False},
    **{shown: {"total_shown": shown} for shown in ("true", "text", "of_page", "too_small", "too_large")},
}
CAPS = (None, 25, 4, 1)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize(("cap", "order"), [(None, "newest"), (None, "oldest"), (7, "oldest")])
def test_the_report_is_whole_on_each_platform(
    platform: SandboxServer, doctor: Doctor, end: str, total: str, cap: int | None, order: str
) -> None:
    platform.quirks(past_the_end=end, max_results_cap=cap, list_order=order, **TOTALS[total])
    run = doctor.run()
    assert "not asked" not in run.results().values()
    assert run.of("time zone")[0] == "ok"
    if total == "of_page" and cap is not None:
        # Fewer than ten items, of which the list says that they are all, are believed to be all.
        return
    assert run.rows["names"]["looked_at"] == "all 10 instances"
    is_right = total in ("true", "text", "of_page")
    assert run.of("total")[0] == ("ok" if is_right else "note")
    assert (run.of("largest page")[0] == "ok") == (cap is None)


class Listed:
    """A list with any total, largest page and end."""

    def __init__(self, length: int, total: str, cap: int | None, end: str, order: str) -> None:
        ids = range(length) if order == "oldest" else reversed(range(length))
        self._items = [{"id": str(each), "status": "FAILED", "creation_date": 10**12 + each} for each in ids]
        self._total, self._cap, self._end = total, cap, end

    def __call__(self, call: Any) -> Any:
        start, size = call.query["first_result"], call.query["max_results"]
        if start >= len(self._items) and start > 0 and self._end != "empty":
            return refusal(int(self._end))
        page = self._items[start : start + min(size, self._cap or size)]
        length = len(self._items)
        shown = {"true": length, "text": str(length), "of_page": len(page), "too_small": length // 2}
        total = None if self._total == "none" else shown.get(self._total, 3 * length)
        return ok(page, **({} if total is None else {"total": total}))


@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("length", [0, 1, 2, 9, 10, 11, 24, 25, 26, 30, 36])
def test_what_is_read_whole_is_said_to_be_whole(length: int, total: str) -> None:
    for cap, end, order in product(CAPS, ENDS, ("newest", "oldest")):
        server = Listed(length, total, cap, end, order)
        executions = FlowDriver(server).run(sample_newest("executions", {}))
        instances = FlowDriver(server).run(sample_from_beginning("instances", Instance, {}))
        samples = {"instances": instances, "executions": executions}
        case = (cap, end, order)
        for name, sample in samples.items():
            if cap is not None and cap < SMALLEST_CAP and total in ("of_page", "too_small"):
                continue
            assert len(sample.items) == length or len(sample.pages) == MOST_PAGES, (name, case)
            assert not sample.is_complete or len(sample.items) == length, (name, case)
        if total == "too_large" and cap is None and length:
            assert total_row(samples).means.endswith(
                "is larger than what the list gave: it is not relied on."
            )
        if cap is None:
            assert paging_row(samples).result == "ok", case
        if total == "of_page" and cap == 25 and length > 25:
            assert total_row(samples).result == "note"


def test_a_total_that_is_that_of_the_page_hides_no_name(doctor: Doctor) -> None:
    with SandboxServer(tokens=TOKENS) as server:
        doctor.set(HOST=server.url)
        *_, first, second = [server.create_instance(f"batch {min(each, 29)}") for each in range(1, 31)]
        server.quirks(total_shown="of_page", max_results_cap=25)
        run = doctor.run()
    assert run.of("names") == ("to do", f"'batch 29' is the name of {second}, {first}")
    assert run.rows["names"]["looked_at"] == "all 30 instances"
    assert "The total of instances is smaller than what the list gave" in run.rows["total"]["means"]


def test_a_list_that_is_empty_and_counts_items_is_no_answer(doctor: Doctor, platform: SandboxServer) -> None:
    body = '{"status": "ok", "data": [], "count": 0, "total": 10}'
    rule = {
        "kind": "body",
        "path": "integration_batch_instances$",
        "parameters": {"status": 200, "body": body},
    }
    platform.faults([rule])
    run = doctor.run()
    assert run.status == 2
    for check in ("crons", "names", "size names"):
        assert run.of(check) == ("not asked", "the list of instances is empty, but its total is 10")
