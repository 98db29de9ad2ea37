"""Whatever the platform answers, the questions end in a complete report, after a bounded number of requests."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.api import Call, MicsConnectionError
from airflow_provider_mics.doctor.checks.access import access_rows, ask_access
from airflow_provider_mics.doctor.checks.platform_readings import CHECKS, PlatformReadings
from airflow_provider_mics.doctor.checks.rows import Result
from airflow_provider_mics.doctor.checks.writes import write_checks
from airflow_provider_mics.doctor.examination import DEFAULT_TIME_LIMIT
from airflow_provider_mics.doctor.report import Report
from tests.api.any_json import any_json, bodies, likely_json
from tests.case_counts import cases
from tests.flow_driver import FlowDriver, refusal

MOST_REQUESTS = 200
ids = st.integers(1, 12).map(str) | st.integers(1, 12)
FIELDS_OF_CHECKS = (
    "status", "parameters", "external_model_id", "creation_date", "start_date", "cron", "cron_status", "name",
    "group_id", "cpu_size", "creation_ts", "last_modified_ts", "archived",
)  # fmt: skip
items = st.builds(
    lambda number, some, others: {
        "id": number,
        "status": "SUCCEEDED",
        "cron": "0 5 * * *",
        "cron_status": "ACTIVE",
        **some,
        **others,
    },
    ids,
    likely_json,
    st.dictionaries(st.sampled_from(FIELDS_OF_CHECKS), any_json, max_size=4),
)
lists = st.builds(
    lambda data, more: {"status": "ok", "data": data} | more,
    st.lists(items, max_size=8),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("total", "max_results", "first_result"), any_json)),
)
resources = st.builds(lambda data: {"status": "ok", "data": data}, items)
answers = (
    lists
    | resources
    | bodies
    | st.sampled_from([refusal(status) for status in (400, 401, 403, 404, 405, 409, 429, 500, 503)])
    | st.just(MicsConnectionError("no response"))
)


def server(data: st.DataObject) -> Any:
    """A server whose answer to each call is drawn."""

    def answer(call: Call[Any]) -> Any:
        is_list = call.path.endswith(("executions", "integration_batch_instances"))
        drawn = data.draw((lists | answers) if is_list else answers)
        if isinstance(drawn, Exception):
            raise drawn
        return drawn if not isinstance(drawn, bytes | dict | list) else _content(drawn)

    return answer


def _content(drawn: Any) -> bytes:
    return drawn if isinstance(drawn, bytes) else json.dumps(drawn).encode()


@settings(max_examples=cases(60), deadline=None)
@given(st.data())
def test_any_answers_end_in_a_complete_report(data: st.DataObject) -> None:
    driver = FlowDriver(server(data))
    readings = PlatformReadings("Europe/Paris", "documented")
    driver.run(readings.steps(DEFAULT_TIME_LIMIT))
    assert [row.check for row in readings.rows[: len(CHECKS)]] == list(CHECKS)
    assert len(driver.calls) <= MOST_REQUESTS
    report = Report("http://h", "1", "UTC", tuple(readings.rows), 0).without("x")
    assert json.loads(report.to_json())["rows"]
    assert report.to_table(120)


@settings(max_examples=cases(60), deadline=None)
@given(st.data())
def test_any_answers_end_in_rows_of_access_and_of_writes(data: st.DataObject) -> None:
    driver = FlowDriver(server(data))
    access = driver.run(ask_access("1185"))
    rows = access_rows("1185", access, access)
    assert rows[0].check == "token"
    assert all(row.found for row in rows)
    assert [row.check for row in driver.run(write_checks("7", "1185"))] == ["echo", "find", "cancel"]


@settings(max_examples=cases(50), deadline=None)
@given(st.lists(items, min_size=1, max_size=8), st.lists(items, min_size=1, max_size=8))
def test_items_with_any_fields_are_asked_about(instances: list[Any], executions: list[Any]) -> None:
    """The lists are well-formed, so that every question is reached."""

    def answer(call: Call[Any]) -> Any:
        is_of_executions = "executions" in call.path
        data = executions if is_of_executions else instances
        if call.path.endswith(("executions", "instances")):
            page = data[call.query["first_result"] : call.query["first_result"] + call.query["max_results"]]
            return {"status": "ok", "data": page, "total": len(data)}
        return {"status": "ok", "data": executions[0]}

    readings = PlatformReadings("UTC", "console")
    FlowDriver(answer).run(readings.steps(DEFAULT_TIME_LIMIT))
    not_asked = {row.check: row.found for row in readings.rows if row.result is Result.NOT_ASKED}
    # The answer to a request by id may be of another execution.
    assert set(not_asked) <= {"get by id"}, not_asked
