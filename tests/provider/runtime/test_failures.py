"""A failed task: the platform's message first and whole, a short exception, a short traceback."""

from __future__ import annotations

import logging
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mics.api.errors import MicsApiError, MicsError, MicsNotFoundError
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.progress import SHORT_REASON
from airflow_provider_mics.api.text import one_line
from airflow_provider_mics.runtime import failures, trigger_events
from airflow_provider_mics.runtime.compat import AirflowException, AirflowFailException
from airflow_provider_mics.runtime.failures import errors_as_task_failures, execution_failure

LONG = "the file s3://acme/in/clicks.csv has no column visitor_id; " * 20
DETAILS = {"status_code": 422, "request": "POST /v1/things", "error_code": "BAD", "error_id": "e-7"}


def failed(message: object, **fields: object) -> Execution:
    return Execution.model_validate(
        {"id": "48", "status": "FAILED", "duration": 5000, "error": {"message": message}, **fields}
    )


def failure_in(context_body) -> AirflowException:
    with pytest.raises(AirflowException) as caught, errors_as_task_failures():
        context_body()
    return caught.value


def raises(error: Exception):
    def body() -> None:
        raise error

    return body


def our_frames(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [frame.name for frame in frames if "airflow_provider_mics" in frame.filename]


def test_the_message_of_an_error_is_logged_whole_and_the_exception_keeps_its_error_id(caplog) -> None:
    failure = failure_in(raises(MicsApiError(LONG, **DETAILS)))
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, one_line(LONG))
    ]
    assert str(failure).startswith("POST /v1/things: the file s3://acme")
    assert str(failure).endswith("… (HTTP 422, error_code BAD, error_id e-7)")
    assert len(str(failure)) < 160


def test_a_short_message_stands_in_the_exception_too(caplog) -> None:
    failure = failure_in(raises(MicsApiError("busy", **DETAILS)))
    assert str(failure) == "POST /v1/things: busy (HTTP 422, error_code BAD, error_id e-7)"
    assert [record.getMessage() for record in caplog.records] == ["busy"]


def test_an_error_of_ours_has_no_message_of_the_platform(caplog) -> None:
    assert str(failure_in(raises(MicsError("instance_id is empty")))) == "instance_id is empty"
    assert caplog.records == []


def test_a_failed_execution(caplog) -> None:
    failure = execution_failure("Execution 48 of instance 4109", failed(LONG))
    assert [record.getMessage() for record in caplog.records] == [one_line(LONG)]
    assert str(failure).startswith("Execution 48 of instance 4109 FAILED after 5 s: the file s3://acme")
    assert len(str(failure)) <= len("Execution 48 of instance 4109 FAILED after 5 s: ") + SHORT_REASON


def test_a_failed_execution_without_a_message_logs_nothing(caplog) -> None:
    failure = execution_failure("Execution 48 of instance 4109", failed(None))
    assert str(failure) == "Execution 48 of instance 4109 FAILED after 5 s"
    assert caplog.records == []


@given(st.text(max_size=400))
def test_no_message_makes_a_line_of_its_own_more_than_one_line(message: str) -> None:
    shown: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: shown.append(record.getMessage())
    failures.logger.addHandler(handler)
    try:
        failure = execution_failure("Execution 48", failed(message))
        failure_in(raises(MicsApiError(message, **DETAILS)))
    finally:
        failures.logger.removeHandler(handler)
    assert all(line.splitlines() == [line] for line in shown)
    assert len(str(failure)) <= len("Execution 48 FAILED after 5 s: ") + SHORT_REASON


def test_the_event_of_a_trigger_carries_the_message_apart(caplog) -> None:
    error = MicsNotFoundError(LONG, **(DETAILS | {"status_code": 404}))
    event = trigger_events.failed("48", error, is_final=True)
    failure = trigger_events.outcome_of(event).failure()
    assert isinstance(failure, AirflowFailException)
    assert [record.getMessage() for record in caplog.records] == [one_line(LONG)]
    assert str(failure).endswith("(HTTP 404, error_code BAD, error_id e-7)")
    assert len(str(failure)) < 160


def test_an_event_of_an_older_version_has_no_reason_apart() -> None:
    event = {"status": "error", "execution_id": "48", "message": "gone", "final": False}
    assert str(trigger_events.outcome_of(event).failure()) == "gone"


def deep(levels: int, error: Exception) -> None:
    if levels == 0:
        failures.execution_failure("Execution 48", failed(None))
        raise error
    deep(levels - 1, error)


def test_the_traceback_of_an_error_of_the_api_ends_in_the_context() -> None:
    failure = failure_in(lambda: deep(9, MicsApiError("busy", **DETAILS)))
    assert our_frames(failure) == ["__exit__"]
    assert failure.__suppress_context__


def test_the_traceback_of_our_own_exception_ends_in_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "OWN_PACKAGE", __name__.partition(".")[0])
    failure = failure_in(lambda: deep(9, AirflowException("execution_timeout has passed")))
    assert our_frames(failure) == ["__exit__"]
    assert "deep" not in [frame.name for frame in traceback.extract_tb(failure.__traceback__)]


def test_the_traceback_of_what_code_of_others_raises_is_whole() -> None:
    failure = failure_in(lambda: deep(2, AirflowException("of an XCom backend")))
    assert [frame.name for frame in traceback.extract_tb(failure.__traceback__)].count("deep") == 3


@pytest.mark.parametrize("error", [KeyError("a bug"), SystemExit(1), KeyboardInterrupt()])
def test_what_is_no_failure_of_ours_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, errors_as_task_failures():
        raise error
    assert caught.value is error
