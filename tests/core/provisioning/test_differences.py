"""A diff shows what a person needs to see, and no secret."""

from __future__ import annotations

import pytest

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.core.provisioning.comparison import Difference, alike, differences, told
from airflow_provider_mics.core.provisioning.instances import checked_fields, cron_warning


def test_a_diff_reads_like_a_sentence():
    found = differences(
        {"cron": None, "name": "a"}, {"cron": "30 5 * * 1,6", "cron_status": "ACTIVE", "name": "a"}
    )
    assert told(found) == "cron: None -> '30 5 * * 1,6'; cron_status: None -> 'ACTIVE'"


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
    assert alike(current, wanted)


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
    assert not alike(current, wanted)


def test_fields_are_checked_before_anything_is_sent():
    assert checked_fields({"cpu_size": "xl", "cron_status": "paused"}, creating=False) == {
        "cpu_size": "EXTRA_LARGE",
        "cron_status": "PAUSED",
    }
    assert checked_fields({"cron": None, "cron_status": None}, creating=False) == {
        "cron": None,
        "cron_status": None,
    }
    assert checked_fields({}, creating=True) == {}
    for fields, creating, hint in (
        ({"cron": "0 5 * * *"}, True, "without cron_status"),
        ({"cron_status": "ACTIVE"}, True, "without cron"),
        ({"cron": "0 5 * *", "cron_status": "ACTIVE"}, True, "4 field"),
        ({"cron": "0 25 * * *"}, False, "cannot be read"),
        ({"cron": "@daily"}, False, "1 field"),
        ({"cron": None}, False, "give cron=None and cron_status=None"),
        ({"cron_status": None}, False, "give cron=None and cron_status=None"),
        ({"cron_status": "SLEEPING"}, False, "not one of ACTIVE, PAUSED"),
        ({"ram_size": "HUGE"}, False, "not one of LOW, MEDIUM, LARGE, EXTRA_LARGE"),
    ):
        with pytest.raises(MicsError, match=hint):
            checked_fields(fields, creating=creating)


def test_a_cron_of_every_minute_is_warned_of():
    assert "no schedule" in (cron_warning(" *  * * * *") or "")
    assert cron_warning("*/1 * * * *") is None
    assert cron_warning(None) is None
