"""A diff shows what a person needs to see, and no secret."""

from __future__ import annotations

import pytest

from airflow_provider_mics.core.provisioning.comparison import (
    Difference,
    differences,
    format_differences,
    is_equivalent,
)


def test_a_diff_reads_like_a_sentence():
    found = differences(
        {"cron": None, "name": "a"}, {"cron": "30 5 * * 1,6", "cron_status": "ACTIVE", "name": "a"}
    )
    assert format_differences(found) == "cron: None -> '30 5 * * 1,6'; cron_status: None -> 'ACTIVE'"


@pytest.mark.parametrize("name", ["password", "API_KEY", "sftp_passphrase", "auth-token", "client_secret"])
def test_a_value_that_sounds_like_a_secret_is_not_shown(name):
    line = str(Difference(name, "old-value", "new-value"))
    assert "value" not in line
    assert name in line


@pytest.mark.parametrize(
    ("current", "wanted"),
    [
        (5, 5),
        (5, 5.0),
        ("5", 5),
        (5, "5"),
        (None, None),
        ({"value": 1, "more": 2}, {"value": 1}),
        ({"a": {"b": "1"}}, {"a": {"b": 1}}),
    ],
)
def test_the_same_in_another_spelling_is_no_difference(current, wanted):
    assert is_equivalent(current, wanted)


@pytest.mark.parametrize(
    ("current", "wanted"),
    [
        (1, True),
        (True, 1),
        (False, None),
        (None, False),
        ("None", None),
        (None, "None"),
        ("a", "b"),
        ({}, {"a": 1}),
        (1, {"a": 1}),
    ],
)
def test_another_value_is_a_difference(current, wanted):
    assert not is_equivalent(current, wanted)
