"""JSON is shortened to a size: small parts stay whole, and a word says what was cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mics.api.json_size import json_size, shortened
from tests.api.any_json import any_json


@given(
    value=any_json | st.dictionaries(st.text(), any_json | st.text(min_size=200)), limit=st.integers(80, 2000)
)
def test_any_json_fits_into_any_limit(value, limit):
    short = shortened(value, limit)
    assert json_size(short) <= limit
    assert json.loads(json.dumps(short)) == short
    if json_size(value) <= limit:
        assert short == value
    else:
        assert "cut: " in json.dumps(short)


@pytest.mark.parametrize(
    "large",
    [
        "x" * 1_000_000,
        "\U0001f600" * 100_000,
        {"log": "x" * 1_000_000},
        {str(number): number for number in range(100_000)},
        {"k" * 1_000_000: 1},
        ["line"] * 100_000,
        [["line" * 10] * 100] * 100,
    ],
)
def test_a_large_field_is_cut_and_small_ones_stay_whole(large):
    execution = {"id": "7", "status": "SUCCEEDED", "result": large, "duration": 3}
    short = shortened(execution, 4096)
    assert json_size(short) <= 4096
    assert short | {"result": None} == execution | {"result": None}
    assert "cut: " in json.dumps(short["result"])
    assert type(short["result"]) is type(large)


def test_a_cut_text_keeps_as_much_as_fits():
    short = shortened("x" * 1_000_000, 4096)
    assert len(short) > 4000
    assert short.endswith("x… (cut: 1000000 characters)")
