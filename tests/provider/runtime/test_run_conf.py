"""A run's configuration with a key that means nothing is refused, with the name that was meant."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.runtime.run_conf import check_run_conf


def context(conf: Any) -> Any:
    params = {"expected_start_date": None}
    return {"dag": SimpleNamespace(params=params), "dag_run": SimpleNamespace(conf=conf)}


@pytest.mark.parametrize(
    "conf", [None, {}, {"expected_start_date": None}, {"expected_start_date": "tomorrow"}]
)
def test_known_keys_are_taken(conf):
    check_run_conf(context(conf))


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        ({"expected_strat_date": "2030-01-01T00:00:00Z"}, "did you mean 'expected_start_date'?"),
        ({"start_date": "2030-01-01T00:00:00Z"}, "'start_date'"),
        ({"expected_start_date": None, "zzz": 1}, "it can have expected_start_date"),
        ({7: 1}, "'7'"),
        ({"a\nb\x00": 1}, "'a b'"),
        ({"x" * 500: 1}, "xxx…"),
    ],
)
def test_any_other_key_is_refused_in_one_line(conf, says):
    with pytest.raises(MicsError) as raised:
        check_run_conf(context(conf))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300
