"""Reading pages of lists: anything may come, and only what makes sense is taken."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from pydantic import ValidationError

from airflow_provider_mics.api.calls import Log
from airflow_provider_mics.api.field_types import EPOCH
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.responses import ErrorInSuccess
from airflow_provider_mics.core.polling.execution_lists import Sighting, part_of_list
from airflow_provider_mics.core.polling.subscriptions import ExecutionWait

ANY_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=12,
)
on_any_machine = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FIELDS = [*Sighting.model_fields, "error", "result", "unknown"]
SOME_EXECUTION = some.dictionaries(some.sampled_from(FIELDS), ANY_JSON, max_size=len(FIELDS))


def read(content, model=Sighting):
    return part_of_list("integration_batch_instances.executions", model, {}).read(content)


@pytest.mark.parametrize("model", [Sighting, Execution])
@on_any_machine
@given(answer=ANY_JSON | some.fixed_dictionaries({"status": ANY_JSON, "data": ANY_JSON, "total": ANY_JSON}))
def test_any_json_is_a_page_or_a_refusal_and_never_another_error(model, answer):
    with suppress(ValidationError, ErrorInSuccess):
        read(json.dumps(answer).encode(), model)


@on_any_machine
@given(content=some.binary())
def test_any_bytes_are_a_refusal(content):
    with pytest.raises((ValidationError, ErrorInSuccess)):
        read(content)


@on_any_machine
@given(items=some.lists(SOME_EXECUTION | ANY_JSON, max_size=5))
def test_a_good_item_is_read_among_any_others(items):
    good = {"id": "7", "status": "RUNNING", "completed_tasks": 3}
    part = read(json.dumps({"data": [*items, good]}).encode())
    assert part.given == len(items) + 1
    assert part.items[-1].id == "7"
    assert part.items[-1].as_execution().completed_tasks == 3


@on_any_machine
@given(item=SOME_EXECUTION)
def test_whatever_a_list_shows_a_wait_can_be_told(item):
    part = read(json.dumps({"data": [{**item, "id": "7"}]}).encode())
    wait = ExecutionWait("42", "7", 1.0, make_client=None)
    for sighting in part.items:
        if not wait.sighted(sighting, EPOCH):
            assert isinstance(wait._news.get_nowait(), Log)


@on_any_machine
@given(number=some.integers(min_value=0))
def test_an_id_is_the_same_as_a_number_and_as_text(number):
    [as_number, as_text] = read(
        json.dumps(
            {"data": [{"id": number, "status": "PENDING"}, {"id": str(number), "status": "PENDING"}]}
        ).encode()
    ).items
    assert as_number.id == as_text.id


def test_a_very_deep_answer_is_a_refusal():
    with pytest.raises(ValidationError):
        read(b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
