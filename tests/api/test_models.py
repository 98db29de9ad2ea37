"""Resources as values: lenient in reading, faithful in writing."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from airflow_provider_mics.api import (
    ConnectedUser,
    ContainerSize,
    CronStatus,
    Execution,
    ExecutionStatus,
    ExecutionType,
    Instance,
    Plugin,
    PluginProperty,
    PluginVersion,
)
from airflow_provider_mics.api.field_types import from_milliseconds, milliseconds
from airflow_provider_mics.api.models import spell_sizes
from airflow_provider_mics.api.validation import LAST_MOMENT

NOON_MS = 1_772_452_800_000
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def instance(**fields: Any) -> Instance:
    return Instance.model_validate({"id": "1", **fields})


def execution(**fields: Any) -> Execution:
    return Execution.model_validate({"id": "1", "status": "RUNNING", **fields})


class TestIds:
    @pytest.mark.parametrize("value", ["1185", 1185, 1185.0])
    def test_are_text_whether_the_platform_sends_strings_or_numbers(self, value):
        assert instance(id=value, organisation_id=value, version_id=value, created_by=value) == instance(
            id="1185", organisation_id="1185", version_id="1185", created_by="1185"
        )

    def test_of_any_length_are_kept_digit_by_digit(self):
        assert instance(id=12345678901234567890123).id == "12345678901234567890123"
        assert instance(id="0042").id == "0042"

    @pytest.mark.parametrize("model", [Plugin, PluginVersion, Instance, Execution])
    @pytest.mark.parametrize("value", [None, True, 1.5, [], {}])
    def test_that_are_none_are_the_one_thing_that_cannot_be_read(self, model, value):
        with pytest.raises(ValidationError, match="id"):
            model.model_validate({"id": value, "status": "PENDING"})


class TestTimes:
    def test_are_aware_utc_datetimes_from_epoch_milliseconds(self):
        read = instance(creation_ts=NOON_MS + 1).creation_ts
        assert read == NOON + timedelta(milliseconds=1)
        assert read is not None
        assert read.tzinfo is UTC

    @given(st.integers(0, 10**8 - 1) | st.integers(10**11, LAST_MOMENT))
    def test_are_exact_to_the_millisecond_both_ways(self, number):
        assert milliseconds(from_milliseconds(number)) == number
        assert instance(creation_ts=number).to_json()["creation_ts"] == number

    def test_of_another_zone_are_the_same_moment(self):
        paris = datetime(2026, 3, 2, 13, tzinfo=timezone(timedelta(hours=1)))
        assert milliseconds(paris) == NOON_MS

    @pytest.mark.parametrize("value", [str(NOON_MS), float(NOON_MS)])
    def test_may_come_as_text_or_with_a_decimal_point(self, value):
        assert execution(start_date=value).start_date == NOON

    @pytest.mark.parametrize(
        "value",
        [
            NOON_MS // 1000,
            str(NOON_MS // 1000),
            NOON_MS / 1000,
            NOON_MS * 1000,
            "2026-03-02T12:00:00Z",
            "2026-03-02T12:00:00.000000+00:00",
            "2026-03-02T13:00:00.000+0100",
            "2026-03-02 12:00:00+00:00",
            "20260302T120000Z",
        ],
    )
    def test_may_come_in_another_unit_or_as_iso_text(self, value):
        assert execution(start_date=value).start_date == NOON
        assert (
            execution(parameters={"expected_start_date": value}).to_json()
            == execution(parameters={"expected_start_date": NOON_MS}).to_json()
        )

    @pytest.mark.parametrize("value", ["2026-03-02T12:00:00", "2026-03-02", "0001-01-01T00:00:00+14:00"])
    def test_without_a_time_zone_are_not_guessed(self, value):
        assert execution(start_date=value).start_date is None

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "",
            "soon",
            True,
            [],
            {},
            10**30,
            -(10**30),
            9223372036854775807,
            "Mon, 02 Mar 2026 12:00:00 GMT",
        ],
    )
    def test_that_make_no_sense_read_as_none(self, value):
        assert execution(start_date=value, creation_date=value).start_date is None
        assert execution(parameters={"expected_start_date": value}).expected_start_date is None
        assert execution(duration=value).duration is None or isinstance(value, int)

    def test_the_end_is_the_start_and_the_duration(self):
        assert execution(start_date=NOON_MS, duration=90_500).end_date == NOON + timedelta(seconds=90.5)
        assert execution(start_date=NOON_MS).end_date is None
        assert execution(duration=5).end_date is None
        assert execution(start_date=NOON_MS, duration=86_400_000 * 999_999_999).end_date is None


DOCUMENTED = {"cpu_size": "LOW", "ram_size": "EXTRA_LARGE", "disk_size": "MEDIUM"}
CONSOLE = {
    "execution_container_cpu_size": "LOW",
    "execution_container_ram_size": "XL",
    "execution_container_disk_size": "MEDIUM",
}


class TestSizes:
    def test_read_alike_in_both_spellings(self):
        assert instance(**DOCUMENTED) == instance(**CONSOLE)
        assert instance(**CONSOLE).ram_size is ContainerSize.EXTRA_LARGE

    def test_the_documented_name_counts_where_both_come(self):
        both = instance(cpu_size="LARGE", execution_container_cpu_size="LOW")
        assert both.cpu_size is ContainerSize.LARGE

    def test_the_one_with_a_value_counts_where_the_other_is_null(self):
        for mixed in (
            {"cpu_size": None, "execution_container_cpu_size": "XL"},
            {"cpu_size": "EXTRA_LARGE", "execution_container_cpu_size": None},
        ):
            assert instance(**mixed).cpu_size is ContainerSize.EXTRA_LARGE
            assert spell_sizes(mixed, "documented") == {"cpu_size": "EXTRA_LARGE"}
            assert spell_sizes(mixed, "console") == {"execution_container_cpu_size": "XL"}
            assert instance(**mixed).to_json() == {"id": "1", "cpu_size": "EXTRA_LARGE"}

    @pytest.mark.parametrize("given", [DOCUMENTED, CONSOLE, {**CONSOLE, **DOCUMENTED}])
    def test_are_written_in_the_chosen_spelling_and_in_no_other(self, given):
        assert spell_sizes({"id": "1", **given}, "documented") == {"id": "1", **DOCUMENTED}
        assert spell_sizes({"id": "1", **given}, "console") == {"id": "1", **CONSOLE}

    def test_that_were_not_given_are_not_written(self):
        assert spell_sizes({"name": "x"}, "documented") == {"name": "x"}
        assert spell_sizes({"cpu_size": None}, "console") == {"execution_container_cpu_size": None}

    def test_that_are_new_stay_as_they_are(self):
        assert instance(cpu_size="GIGANTIC").cpu_size == "GIGANTIC"
        assert spell_sizes({"cpu_size": "GIGANTIC"}, "console") == {
            "execution_container_cpu_size": "GIGANTIC"
        }


class TestWords:
    @pytest.mark.parametrize(
        ("text", "status"),
        [
            ("PENDING", ExecutionStatus.PENDING),
            ("running", ExecutionStatus.RUNNING),
            ("SUCCESS", ExecutionStatus.SUCCEEDED),
            ("SUCCEEDED", ExecutionStatus.SUCCEEDED),
            ("CANCELLED", ExecutionStatus.CANCELED),
            ("CANCELED", ExecutionStatus.CANCELED),
            ("LOST", ExecutionStatus.LOST),
        ],
    )
    def test_are_read_in_each_spelling(self, text, status):
        assert execution(status=text).status is status

    def test_equal_their_text(self):
        assert CronStatus.ACTIVE == "ACTIVE"
        assert f"{ExecutionType.CRON}" == "CRON"
        assert json.dumps([ContainerSize.LOW]) == '["LOW"]'

    def test_that_the_platform_added_since_stay_text(self):
        read = execution(status="PROVISIONING", parameters={"execution_type": "API"})
        assert read.status == "PROVISIONING"
        assert read.execution_type == "API"
        assert not read.status_is_known

    @pytest.mark.parametrize("value", [None])
    def test_a_status_is_indispensable(self, value):
        with pytest.raises(ValidationError, match="status"):
            execution(status=value)


STATES = {
    # status: (is_pending, is_over, succeeded, failed, canceled)
    "PENDING": (True, False, False, False, False),
    "SCHEDULED": (True, False, False, False, False),
    "WAITING_DEPENDENT_JOB": (True, False, False, False, False),
    "RUNNING": (False, False, False, False, False),
    "SUCCEEDED": (False, True, True, False, False),
    "SUCCESS": (False, True, True, False, False),
    "FAILED": (False, True, False, True, False),
    "EXECUTOR_NOT_RESPONDING": (False, True, False, True, False),
    "LOST": (False, True, False, True, False),
    "CANCELED": (False, True, False, False, True),
    "CANCELLED": (False, True, False, False, True),
    "PROVISIONING": (False, False, False, False, False),
}


@pytest.mark.parametrize(("status", "answers"), STATES.items())
def test_where_an_execution_stands(status, answers):
    read = execution(status=status)
    assert (read.is_pending, read.is_over, read.succeeded, read.failed, read.canceled) == answers


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (None, None),
        ("", None),
        ({}, "{}"),
        ({"message": None}, None),
        ("exit code 1", "exit code 1"),
        ({"message": "out of\n  memory"}, "out of memory"),
        ({"code": 3}, '{"code": 3}'),
        ({"message": {"deep": 1}}, '{"deep": 1}'),
        (42, "42"),
    ],
)
def test_an_executions_error_is_one_line_in_any_form(error, message):
    assert execution(error=error).error_message == message


@pytest.mark.parametrize("value", [None, [], "x", 3, {"execution_type": None}])
def test_an_execution_needs_no_parameters(value):
    read = execution(parameters=value)
    assert (read.execution_type, read.expected_start_date) == (None, None)


@pytest.mark.parametrize(
    ("cron", "status", "archived", "active"),
    [
        ("0 5 * * *", "ACTIVE", False, True),
        ("0 5 * * *", "active", None, True),
        ("0 5 * * *", "PAUSED", False, False),
        ("0 5 * * *", None, False, False),
        ("0 5 * * *", "ACTIVE", True, False),
        ("0 5 * * *", "ACTIVE", "true", False),
        ("0 5 * * *", "ACTIVE", 1, False),
        (None, "ACTIVE", False, False),
        ("", "ACTIVE", False, False),
    ],
)
def test_whether_the_platform_fires_an_instance(cron, status, archived, active):
    assert instance(cron=cron, cron_status=status, archived=archived).is_active is active


RAW = {
    "id": "1",
    "name": "nightly",
    "cron": None,
    "archived": False,
    "creation_ts": NOON_MS,
    "new_in_this_release": {"labels": ["a"], "weight": 0.5},
    "legacy": None,
}


class TestWritingBack:
    def test_gives_what_was_read_unknown_fields_and_nulls_included(self):
        assert instance(**RAW).to_json() == RAW

    def test_gives_nothing_that_was_not_there(self):
        assert execution().to_json() == {"id": "1", "status": "RUNNING"}

    def test_keeps_unknown_fields_of_parameters(self):
        parameters = {"execution_type": "MANUAL", "expected_start_date": NOON_MS, "priority": 3}
        assert execution(parameters=parameters).to_json()["parameters"] == parameters

    def test_is_json(self):
        read = execution(start_date=NOON_MS, duration=1500, status="SUCCESS", result={"x": [1]})
        assert json.loads(json.dumps(read.to_json())) == read.to_json()
        assert read.to_json()["duration"] == 1500

    def test_is_read_again_as_the_same_value(self):
        read = instance(**RAW, cpu_size="XL")
        assert Instance.model_validate(read.to_json()) == read
        assert copy.deepcopy(read) == read

    def test_a_value_cannot_be_changed_in_place(self):
        with pytest.raises(ValidationError):
            instance().name = "other"  # type: ignore[misc]


class TestConnectedUser:
    @pytest.mark.parametrize(
        ("fields", "name"),
        [
            ({"id": 7, "email": "a@b.c", "first_name": "Ann"}, "a@b.c"),
            ({"id": 7, "first_name": "Ann", "last_name": "Bee"}, "Ann Bee"),
            ({"id": 7}, "user 7"),
            ({}, "user unknown"),
        ],
    )
    def test_is_named_so_that_a_person_recognises_it(self, fields, name):
        assert ConnectedUser.model_validate(fields).display_name == name


@pytest.mark.parametrize("value", [None, "", 3, True, [], {}, "x" * 10_000])
def test_no_field_but_the_id_and_the_status_can_make_a_resource_unreadable(value):
    for model, needed in (
        (Plugin, {}),
        (PluginVersion, {}),
        (Instance, {}),
        (Execution, {"status": "RUNNING"}),
    ):
        names = model.model_fields.keys() - {"id", "status"}
        assert model.model_validate({"id": "1", **dict.fromkeys(names, value), **needed}).id == "1"
    names = PluginProperty.model_fields.keys() - {"technical_name"}
    assert PluginProperty.model_validate({"technical_name": "x", **dict.fromkeys(names, value)})
