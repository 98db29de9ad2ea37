"""A mistake is one clear line before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mics.api import (
    MicsError,
    create_execution,
    create_instance,
    create_plugin_version,
    get_instance,
)
from airflow_provider_mics.api.console import instance_page
from airflow_provider_mics.api.cron_syntax import cron_problem
from airflow_provider_mics.api.field_types import from_milliseconds, milliseconds
from airflow_provider_mics.api.instances import set_instance_property
from airflow_provider_mics.api.validation import LAST_MOMENT, checked_id, checked_milliseconds, parse_datetime


class TestIds:
    @pytest.mark.parametrize("value", ["1185", 1185, "a-b_C9"])
    def test_that_the_platform_could_have_given_are_taken(self, value):
        assert checked_id("instance_id", value) == str(value)

    @pytest.mark.parametrize(
        "value", ["", " ", "1 2", "1/2", "../1", "1?x=1", "1#", "é", "1\n", None, True, 1.0, ["1"], "%31"]
    )
    def test_that_could_lead_elsewhere_are_refused(self, value):
        with pytest.raises(
            MicsError, match=r"^instance_id .* is not an id: give the platform's id, such as '1185'$"
        ):
            get_instance(value)


FIELDS = st.sampled_from(["*", "*/2", "1-5", "L", "0", "x", "mon", "1,"])


class TestCrons:
    @pytest.mark.parametrize(
        "cron",
        [
            "30 5 * * 1,6",
            "* * * 7 *",
            "*/5 0-6 1-7 * *",
            "0 5 * JUL MON-WED",
            "0 5 * jul thu",
            "0 5 * * sun-tue",
            "0 5 * jan-dec 5-7",
            "*/60 */24 */31 */12 *",
            "5-5 0 31-31 1 *",
            "0 0 29 2 *",
            "0 0 31 2,3 *",
            " 0\t5 * * 7 ",
        ],
    )
    def test_of_standard_unix_are_taken(self, cron):
        assert cron_problem(cron) is None

    @pytest.mark.parametrize(
        ("cron", "problem"),
        [
            ("", "has 0 field(s), not five"),
            ("* * * *", "has 4 field(s)"),
            ("0 * * * * *", "has 6 field(s)"),
            ("@daily", "has 1 field(s)"),
            ("61 * * * *", "cannot be read"),
            ("0 5 * * FOO", "cannot be read"),
            ("0 5 L * *", "has a character that standard Unix cron does not allow"),
            ("0 5 * * 1#2", "has a character that standard Unix cron does not allow"),
            ("0 5 ? * *", "has a character that standard Unix cron does not allow"),
            ("R * * * *", "has a character that standard Unix cron does not allow"),
            (5, "has 0 field(s)"),
            ("0 0 31 2 *", "never fires: none of its months has that day"),
            ("0 0 31-31 feb,apr *", "never fires: none of its months has that day"),
            ("5-1 * * * *", "has the range 5-1, which ends before it begins: write two ranges"),
            ("0 22-2 * * *", "has the range 22-2, which ends before it begins"),
            ("5-0 * * * *", "has the range 5-0, which ends before it begins"),
            ("0 0 * nov-feb *", "has the range nov-feb, which ends before it begins"),
            ("0 5 * * fri-sun", "has the range fri-sun, which ends before it begins"),
            ("0 5 * * 5-0", "has the range 5-0, which ends before it begins"),
            ("*/60 */24 */31 */12 */7", "a star beside another day field"),
            ("0 0 31 2 fri", "a day that none of its months has"),
            ("0 0 * * fri-mon", "has the range fri-mon, which ends before it begins"),
            (
                "*/999999999999999999999 * * * *",
                "has the step 99999999999999999999, but there are only 60 minutes",
            ),
            ("0 1-5/25 * * *", "has the step 25, but there are only 24 hours"),
        ],
    )
    def test_that_the_platform_could_not_run_say_why(self, cron, problem):
        assert problem in (cron_problem(cron) or "")

    @given(
        st.text(max_size=30)
        | st.lists(st.sampled_from(["*", "*/2", "1-5", "L", "0", "x"]), max_size=6).map(" ".join)
    )
    def test_of_any_text_are_fine_or_say_why(self, cron):
        problem = cron_problem(cron)
        assert problem is None or "".join(problem.split())

    @pytest.mark.parametrize(
        ("cron", "status", "line"),
        [
            ("0 5 * * *", None, "cron '0 5 * * *' is given without cron_status: give both, or neither"),
            (None, "ACTIVE", "cron_status 'ACTIVE' is given without cron: give both, or neither"),
            ("0 5 * *", "ACTIVE", "cron '0 5 * *' has 4 field(s)"),
            ("0 5 * * *", "ASLEEP", "cron_status 'ASLEEP' is not one of ACTIVE, PAUSED"),
        ],
    )
    def test_go_together_with_their_status(self, cron, status, line):
        with pytest.raises(MicsError) as raised:
            create_instance("com.acme", "import", "nightly", cron=cron, cron_status=status)
        assert line in str(raised.value)

    def test_and_their_status_are_sent_in_the_platforms_words(self):
        body = create_instance("g", "a", "n", cron="0 5 * * *", cron_status="paused", cpu_size="xl").body
        assert body is not None
        assert (body["cron_status"], body["cpu_size"]) == ("PAUSED", "EXTRA_LARGE")


def test_a_size_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(MicsError, match=r"^ram_size 'HUGE' is not one of LOW, MEDIUM, LARGE, EXTRA_LARGE$"):
        create_instance("g", "a", "n", ram_size="HUGE")


@pytest.mark.parametrize("version", ["1.0.0", "1.2.0-rc1", "10.20.30-a.b-c"])
def test_a_version_number_is_three_numbers_and_a_suffix(version):
    body = create_plugin_version("1", version, []).body
    assert body is not None
    assert body["version_id"] == version


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0.0", "1.0.0 ", "", None, 1.0, "1.0.0-"])
def test_anything_else_is_no_version_number(version):
    with pytest.raises(MicsError, match="is not a version number: write three numbers, such as"):
        create_plugin_version("1", version, [])


def test_an_execution_type_is_a_word_of_the_platform():
    with pytest.raises(MicsError, match=r"^execution_type 'SOON' is not one of MANUAL, CRON$"):
        create_execution("1", "SOON", expected_start_date=0)


def test_a_property_needs_its_name():
    with pytest.raises(MicsError, match="has no technical_name"):
        set_instance_property("1", {"value": {"value": "x"}})


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class TestMoments:
    @pytest.mark.parametrize(
        "value",
        [
            NOON,
            datetime(2026, 3, 2, 13, tzinfo=timezone(timedelta(hours=1))),
            "2026-03-02T12:00:00Z",
            "2026-03-02T13:00:00+01:00",
            " 2026-03-02 12:00:00+00:00 ",
            milliseconds(NOON),
            str(milliseconds(NOON)),
        ],
    )
    def test_may_be_written_in_several_ways(self, value):
        assert parse_datetime(value) == NOON

    def test_are_kept_to_the_microsecond(self):
        exact = NOON.replace(microsecond=123_456)
        assert parse_datetime(exact) == parse_datetime("2026-03-02T13:00:00.123456+01:00") == exact

    def test_of_long_ago_are_taken_where_they_cannot_be_seconds(self):
        assert milliseconds(parse_datetime(10**11)) == 10**11  # type: ignore[arg-type]
        assert parse_datetime(0) == parse_datetime("1970-01-01T00:00:00Z")
        assert checked_milliseconds("x", datetime(1970, 1, 20, tzinfo=UTC)) == 19 * 86_400_000

    @pytest.mark.parametrize("value", [None, "", "None"])
    def test_may_be_left_out(self, value):
        assert parse_datetime(value) is None

    @pytest.mark.parametrize(
        ("value", "line"),
        [
            (NOON.replace(tzinfo=None), "has no time zone: give an aware datetime"),
            ("2026-03-02T12:00:00", "has no time zone: add one, such as +00:00"),
            ("tomorrow", "is not a moment: write it like 2026-01-31T05:30:00+00:00"),
            ("²", "is not a moment"),
            ("--5", "is not a moment"),
            (True, "is not a moment: give an aware datetime or epoch milliseconds"),
            (1.5, "is not a moment"),
            ([1], "[1] is not a moment"),
            ({}, "{} is not a moment"),
            (1700000000, "looks like seconds: give milliseconds, a thousand times as many"),
            ("1700000000", "looks like seconds: give milliseconds, a thousand times as many"),
            (1, "looks like seconds"),
            (10**11 - 1, "looks like seconds"),
            (-1, "is negative: give a moment after 1970"),
            ("-1", "is negative"),
            ("1969-12-31T23:59:59Z", "is negative"),
            (10**15, "is after the year 9999: give epoch milliseconds"),
            ("9" * 20, "is after the year 9999"),
            ("9" * 5000, "is not a moment"),
            pytest.param(10**5000, "is after the year 9999", id="many digits"),
        ],
    )
    def test_that_make_no_sense_are_refused(self, value, line):
        with pytest.raises(MicsError) as raised:
            parse_datetime(value)
        assert str(raised.value).startswith("expected_start_date ")
        assert line in str(raised.value)

    @given(st.text(max_size=30))
    def test_of_any_text_are_a_moment_or_a_clear_line(self, value):
        try:
            moment = parse_datetime(value)
        except MicsError:
            return
        assert moment is None or moment.tzinfo is UTC

    @given(st.integers(0, LAST_MOMENT // 2), st.timezones())
    def test_become_milliseconds_whatever_their_zone(self, number, zone):
        assert checked_milliseconds("x", from_milliseconds(number).astimezone(zone)) == number


def test_the_web_page_of_an_instance():
    assert instance_page("https://console.example/", "1185", "42") == (
        "https://console.example/#/o/1185/jobs/integration_batch_instances/42"
    )
