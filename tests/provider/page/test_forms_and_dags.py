"""What a form orders, which instance a DAG runs, and which values are hidden; without a server."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local_airflow.components import HAS_PAGES

if not HAS_PAGES:
    pytest.skip("Airflow 2.11 and 3.0 have no such pages", allow_module_level=True)

from airflow.sdk import DAG, BaseOperator

from airflow_provider_mics.api.models import PluginProperty
from airflow_provider_mics.operators import MicsCreateExecutionOperator
from airflow_provider_mics.page.airflow_state import _task_in, sources_of
from airflow_provider_mics.page.batches import Batch, Source
from airflow_provider_mics.page.forms import UnusableFormError, asked_at_value, order_of
from airflow_provider_mics.page.secrets_in_values import shown_properties
from tests.provider.dag_factory.factories import serialized

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FORM = {"request_id": "0123456789abcdef", "asked_at": asked_at_value(NOW)}
BATCH = Batch(Source("mics_default"), "1", "one", None, None, "by hand", "UTC", None, None, (), ())


def order(name: str = "run", **changes: str) -> Any:
    return order_of(name, FORM | changes, BATCH, None, NOW)  # type: ignore[arg-type]


def test_a_form_orders_what_it_says() -> None:
    assert order().asked_at == NOW
    assert order().start is None
    assert order("run_at", start="2026-07-01T10:30", zone="Europe/Paris").start == datetime(
        2026, 7, 1, 8, 30, tzinfo=UTC
    )
    assert order("cancel", execution_id="77").execution_id == "77"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("run", {"request_id": ""}),
        ("run", {"request_id": "0123456789ABCDEF"}),
        ("run", {"request_id": "../../../../../x"}),
        ("run", {"asked_at": ""}),
        ("run", {"asked_at": "١٢٣"}),
        ("run", {"asked_at": "9" * 400}),
        ("run", {"asked_at": asked_at_value(NOW - timedelta(days=1))}),
        ("run", {"asked_at": asked_at_value(NOW + timedelta(hours=1))}),
        ("run_at", {}),
        ("run_at", {"start": "tomorrow", "zone": "UTC"}),
        ("run_at", {"start": "2026-07-01T10:30+02:00", "zone": "UTC"}),
        ("run_at", {"start": "2026-07-01T10:30", "zone": "Nowhere/Else"}),
        ("run_at", {"start": "2026-03-29T02:30", "zone": "Europe/Paris"}),
        ("run_at", {"start": "0001-01-01T00:00", "zone": "Asia/Tokyo"}),
        ("run_at", {"start": "9999-12-31T23:59", "zone": "America/Los_Angeles"}),
        ("run_at", {"start": "9999-12-31T23:59", "zone": "UTC"}),
        ("run_at", {"start": "2036-03-04T12:00", "zone": "UTC"}),
        ("cancel", {}),
        ("cancel", {"execution_id": "1/../2"}),
    ],
)
def test_a_form_that_cannot_be_used_does_nothing(name: str, changes: dict[str, str]) -> None:
    with pytest.raises(UnusableFormError, match="Nothing was done"):
        order(name, **changes)


def dag_with(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    with DAG("d", schedule=fields.pop("schedule", None), start_date=NOW, **fields) as dag:
        for number, arguments in enumerate(tasks):
            MicsCreateExecutionOperator(task_id=f"t{number}", **arguments)
        BaseOperator(task_id="other")
    return serialized(dag)


def test_the_instance_and_the_organisation_of_a_dag_are_read_from_its_task() -> None:
    task = _task_in(dag_with({"instance_id": "41", "mics_conn_id": "other", "organisation_id": "9"}), None)
    assert task is not None
    assert (task.source, task.instance_id) == (Source("other", "9"), "41")
    packed = zlib.compress(json.dumps(dag_with({"instance_id": "41"})).encode())
    task = _task_in(None, packed)
    assert task is not None
    assert task.source == Source("mics_default")
    assert task.schedule.cron is None


@pytest.mark.parametrize(
    ("start", "params", "takes_start"),
    [
        ("{{ params.expected_start_date or '' }}", {"expected_start_date": ""}, True),
        ("{{ params['expected_start_date'] }}", {"expected_start_date": ""}, True),
        ("{{ params.get('expected_start_date') or '' }}", {"expected_start_date": ""}, True),
        ("{{ params.expected_start_date }}", {}, False),
        ("{{ params.other }}", {"expected_start_date": ""}, False),
        ("{{ params.expected_start_date_of_another }}", {"expected_start_date": ""}, False),
        ("2026-07-01T10:30:00Z", {"expected_start_date": ""}, False),
        (None, {"expected_start_date": ""}, False),
        (None, {}, False),
    ],
)
def test_whether_a_run_may_say_when_its_batch_starts(
    start: str | None, params: dict[str, Any], takes_start: bool
) -> None:
    task = _task_in(dag_with({"instance_id": "1", "expected_start_date": start}, params=params), None)
    assert task is not None
    assert task.takes_start == takes_start


def test_where_parameters_ignore_the_configuration_of_a_run_no_run_says_when_its_batch_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = "{{ params.expected_start_date or '' }}"
    dag = dag_with({"instance_id": "1", "expected_start_date": start}, params={"expected_start_date": ""})
    for overrides in ("True", "False"):
        monkeypatch.setenv("AIRFLOW__CORE__DAG_RUN_CONF_OVERRIDES_PARAMS", overrides)
        task = _task_in(dag, None)
        assert task is not None
        assert task.takes_start == (overrides == "True")


@pytest.mark.parametrize(
    "tasks", [[], [{"instance_id": "1"}, {"instance_id": "2"}], [{"instance_id": "{{ params.x }}"}]]
)
def test_a_dag_of_another_kind_runs_no_batch(tasks: list[dict[str, Any]]) -> None:
    assert _task_in(dag_with(*tasks), None) is None


@pytest.mark.parametrize(
    "data", [None, {}, {"dag": {}}, {"dag": {"tasks": [1]}}, {"dag": {"tasks": {"a": 1}}}, "x"]
)
def test_a_dag_that_cannot_be_read_runs_no_batch(data: Any) -> None:
    assert _task_in(data, None) is None


def test_the_schedule_of_a_generated_dag_is_read() -> None:
    from airflow_provider_mics.timetables import shared_timetable

    task = _task_in(
        dag_with({"instance_id": "1"}, schedule=shared_timetable("0 5 * * *", "Europe/Paris")), None
    )
    assert task is not None
    assert (task.schedule.cron, task.schedule.timezone) == ("0 5 * * *", "Europe/Paris")


def test_without_a_dag_the_default_connection_is_looked_at() -> None:
    assert sources_of([]) == [Source("mics_default")]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("source_path", {"value": "/in"}, "/in"),
        ("count", {"value": 0}, "0"),
        ("page", {"url": "https://example.com"}, "https://example.com"),
        ("file", {"original_name": "a.csv", "path": "mics://a.csv"}, "mics://a.csv"),
        ("nothing", None, ""),
        ("nothing", {"value": None}, ""),
        ("strange", {"some": [1]}, '{"some": [1]}'),
        ("partner_password", {"value": "hunter2"}, "***"),
        ("api_key", {"value": "hunter2"}, "***"),
        ("SFTP_SECRET", {"value": "hunter2"}, "***"),
        ("apiKey", {"value": "hunter2"}, "***"),
        ("accessToken", {"value": "hunter2"}, "***"),
        ("privateKey", {"value": "hunter2"}, "***"),
    ],
)
def test_values_of_properties_without_secrets(name: str, value: Any, shown: str) -> None:
    given = PluginProperty(technical_name=name, value=value)
    assert shown_properties([given]) == [(name, shown)]
