"""The event with which a trigger resumes its task."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_mics.api.json_size import json_size
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.operators import MicsCreateExecutionOperator
from airflow_provider_mics.runtime.trigger_events import EVENT_LIMIT, completed, outcome_of
from airflow_provider_mics.runtime.xcom_values import XCOM_LIMIT
from airflow_provider_mics.sensors import MicsExecutionSensor
from tests.airflow_names import AirflowException
from tests.raw_server import RawServer, http


@pytest.mark.parametrize("event", [None, {}, {"status": "done"}, "completed", {"status": "success"}])
def test_an_event_that_is_not_ours_is_never_taken_for_a_success(event: Any) -> None:
    with pytest.raises(AirflowException, match="says nothing of the execution"):
        outcome_of(event)


LARGE = {"id": "7", "status": "SUCCEEDED", "result": {"log": "x" * 1_000_000}, "duration": 3}


def resumed(monkeypatch: pytest.MonkeyPatch, operator: Any, event: dict[str, Any], answer: bytes) -> Any:
    """What a resumed task returns, from a platform that gives this answer to each request."""
    with RawServer([answer]) as server:
        monkeypatch.setenv(
            "AIRFLOW_CONN_MICS_DEFAULT",
            json.dumps({"conn_type": "mediarithmics", "host": server.url, "password": "token"}),
        )
        return operator.execute_complete({}, json.loads(json.dumps(event))), len(server.requests)


def operators() -> list[Any]:
    return [
        MicsCreateExecutionOperator(task_id="run", instance_id="42"),
        MicsExecutionSensor(task_id="wait", instance_id="42", execution_id="7"),
    ]


def test_an_event_says_how_a_large_execution_ended_in_a_bounded_size() -> None:
    event = completed(Execution.model_validate(LARGE))
    assert json_size(event) < EVENT_LIMIT + 200
    outcome = outcome_of(event)
    assert outcome.is_cut
    assert outcome.execution is not None
    assert (outcome.execution.id, outcome.execution.succeeded) == ("7", True)
    assert not outcome_of(completed(Execution.model_validate(LARGE | {"result": "small"}))).is_cut


@pytest.mark.parametrize("operator", operators(), ids=lambda each: type(each).__name__)
def test_a_resumed_task_asks_for_what_did_not_fit(operator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    event = completed(Execution.model_validate(LARGE))
    value, requests = resumed(monkeypatch, operator, event, http(200, {"status": "ok", "data": LARGE}))
    assert requests == 1
    assert EVENT_LIMIT < json_size(value) <= XCOM_LIMIT
    assert value | {"result": None} == LARGE | {"result": None}
    assert value["result"]["log"].endswith("x… (cut: 1000000 characters)")


@pytest.mark.parametrize("operator", operators(), ids=lambda each: type(each).__name__)
def test_a_resumed_task_asks_for_nothing_if_all_fitted(
    operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = LARGE | {"result": {"rows": 3}}
    event = completed(Execution.model_validate(small))
    assert resumed(monkeypatch, operator, event, http(500)) == (small, 0)


@pytest.mark.parametrize("answer", [http(404), http(400), http(200, b"<html>")])
def test_a_success_stays_one_if_the_rest_cannot_be_read(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = completed(Execution.model_validate(LARGE))
    for operator in operators():
        value, _ = resumed(monkeypatch, operator, event, answer)
        assert value == event["execution"]
        assert "cut: " in value["result"]["log"]
