"""The time zone that the history supports: a wrong one is found and the right one named, whatever else is there."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.core.planning.cron_ticks import WELL_KNOWN_ZONES, Cron
from airflow_provider_mics.doctor.checks.platform_grace import grace_row
from airflow_provider_mics.doctor.checks.timezones import evidence_of, timezone_row
from tests.case_counts import cases
from tests.doctor.runs import Doctor

LAST_CHANGE = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_DAY = datetime(2026, 3, 20)  # noqa: DTZ001 - a day on the wall
"""Clocks change on 2026-03-29 in Europe."""
DAYS = 14
ZONES = [
    "UTC",
    *WELL_KNOWN_ZONES,
    "Africa/Lagos",
    "Africa/Algiers",
    "Africa/Johannesburg",
    "Australia/Adelaide",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Caracas",
]
CRONS = {"0 3 * * *": [3], "0 */6 * * *": [0, 6, 12, 18], "0 * * * *": range(24), "0 1,12 * * *": [1, 12]}
"""The hours of each."""


def instance(number: int, cron: str, **fields: object) -> Instance:
    change = milliseconds(LAST_CHANGE)
    known = {"id": str(number), "name": f"batch {number}", "cron": cron, "cron_status": "ACTIVE"}
    return Instance.model_validate(known | {"creation_ts": 0, "last_modified_ts": change} | fields)


def execution(
    number: int, due: datetime, late: timedelta = timedelta(seconds=1), kind: str = "CRON"
) -> Execution:
    return Execution.model_validate(
        {
            "id": str(number),
            "status": "SUCCEEDED",
            "creation_date": milliseconds(due + late),
            "parameters": {"execution_type": kind, "expected_start_date": milliseconds(due)},
        }
    )


def daily(
    owner: Instance, zone: str, hour: int, days: int = DAYS, **more: object
) -> list[tuple[str, Execution]]:
    """The executions of a daily cron, one each day at this hour of the zone."""
    start = int(owner.id) * 1000
    walls = [FIRST_DAY + timedelta(days=day, hours=hour) for day in range(days)]
    dues = [wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for wall in walls]
    return [(owner.id, execution(start + day, due, **more)) for day, due in enumerate(dues)]  # type: ignore[arg-type]


def test_a_wrong_zone_in_the_settings_is_found_over_http(doctor: Doctor) -> None:
    doctor.set(TIMEZONE="America/New_York")
    run = doctor.run()
    assert run.status == 1
    assert run.results("snapshot") == {"time zone": "to do"}
    assert run.rows["time zone"]["set"].startswith("Set timezone to Europe/Paris.")
    assert "4103" in run.of("time zone")[1]


@pytest.mark.parametrize(
    "zone", ["UTC", *WELL_KNOWN_ZONES, "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"]
)
@pytest.mark.parametrize("configured", ["UTC", "Europe/Paris", "Asia/Tokyo", "America/Caracas"])
def test_the_zone_of_the_platform_is_named(zone: str, configured: str) -> None:
    owners = {instance(1, "0 5 * * *"): 5, instance(2, "0 14 * * *"): 14}
    executions = [pair for owner, hour in owners.items() for pair in daily(owner, zone, hour)]
    row = timezone_row(evidence_of(owners, executions), configured, "all")
    if all(Cron("0 5,14 * * *", configured).is_tick(each.expected_start_date) for _, each in executions):  # type: ignore[arg-type]
        # It is this zone, or one that cannot be told from it in these days.
        assert (row.result, row.set) == ("ok", "")
        return
    assert row.result == "to do"
    named = next(
        name for name in row.found.partition("; ")[2].replace(",", "").split() if "/" in name or name == "UTC"
    )
    moments = [each.expected_start_date for _, each in executions]
    assert [moment for moment in moments if not Cron("0 5,14 * * *", named).is_tick(moment)] == []  # type: ignore[arg-type]


@settings(deadline=None, max_examples=cases(100))
@given(
    zone=st.sampled_from(ZONES),
    cron=st.sampled_from(list(CRONS)),
    first=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)),  # noqa: DTZ001 - on the wall
    days=st.sampled_from([1, 2, 5, 20, 100, 300]),
)
def test_a_zone_is_recommended_only_beside_all_that_fit_as_well(
    zone: str, cron: str, first: datetime, days: int
) -> None:
    """The history of a platform in this zone, and a connection in another: the right one is among those named."""
    owner = instance(1, cron, last_modified_ts=0)
    walls = [
        first.replace(hour=hour, minute=0, second=0, microsecond=0) + timedelta(days=day)
        for day in range(days)
        for hour in CRONS[cron]
    ]
    dues = [wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for wall in walls]
    dues = [due for due in dues if Cron(cron, zone).could_fire_at(due)]
    row = timezone_row(
        evidence_of([owner], [("1", execution(number, due)) for number, due in enumerate(dues)]), "UTC", "all"
    )
    if row.set.startswith("Set timezone to"):
        assert len(dues) >= 3
        best = row.set.removeprefix("Set timezone to ").split(".")[0]
        newest = sorted(dues)[-100:]
        assert all(ZoneInfo(best).utcoffset(each) == ZoneInfo(zone).utcoffset(each) for each in newest[-30:])
        is_named_alone = "had the same time then" not in row.set
        assert not is_named_alone or is_alike(best, zone, newest[-1])


def is_alike(name: str, other: str, last: datetime) -> bool:
    year = [last - timedelta(days=day) for day in range(366)]
    return all(ZoneInfo(name).utcoffset(each) == ZoneInfo(other).utcoffset(each) for each in year)


@pytest.mark.parametrize("by_hand", [1, 2])
def test_what_people_created_by_hand_names_no_zone(by_hand: int) -> None:
    right, *odd = (instance(number, "0 3 * * *") for number in range(1, 2 + by_hand))
    executions = daily(right, "UTC", 3, days=10)
    executions += [
        (each.id, execution(int(each.id) * 7000, datetime(2026, 4, 2, 10, tzinfo=UTC))) for each in odd
    ]
    row = timezone_row(evidence_of([right, *odd], executions), "UTC", "all")
    assert row.result == "to do"
    assert "Set timezone" not in row.set
    assert "created by hand" in row.set


def test_one_execution_names_no_zone() -> None:
    owner = instance(1, "0 3 * * *")
    row = timezone_row(evidence_of([owner], daily(owner, "UTC", 14, days=1)), "UTC", "all")
    assert "Set timezone" not in row.set


def test_a_platform_that_has_changed_its_time_zone_is_told_from_a_wrong_setting() -> None:
    owner = instance(1, "0 3 * * *")
    before = daily(owner, "UTC", 3, days=7)
    after = [
        (
            owner.id,
            execution(
                100 + day, FIRST_DAY.replace(tzinfo=ZoneInfo("Asia/Tokyo")) + timedelta(days=7 + day, hours=3)
            ),
        )
        for day in range(3)
    ]
    row = timezone_row(evidence_of([owner], before + after), "UTC", "all")
    assert row.result == "to do"
    assert "The newest 3 ticks, since 2026-03-26 18:00:00 UTC, match Asia/Tokyo" in row.set
    row = timezone_row(evidence_of([owner], before + after), "Asia/Tokyo", "all")
    assert row.set.startswith(
        "Nothing, if the platform reads crons in Asia/Tokyo since 2026-03-26 18:00:00 UTC"
    )


@given(
    zone=st.sampled_from(["UTC", *WELL_KNOWN_ZONES]),
    hours=st.lists(st.integers(0, 23), min_size=2, max_size=6, unique=True),
    days=st.integers(4, DAYS),
    by_hand=st.integers(0, 1),
)
def test_the_right_zone_is_never_contradicted(zone: str, hours: list[int], days: int, by_hand: int) -> None:
    owners = [instance(number, f"0 {hour} * * *") for number, hour in enumerate(hours, 1)]
    executions = [
        pair for owner, hour in zip(owners, hours, strict=True) for pair in daily(owner, zone, hour, days)
    ]
    # A person creates one by hand as CRON: one among several is no evidence.
    executions += [
        (owner.id, execution(9000 + number, datetime(2026, 4, 2, 11, 17, 3, tzinfo=UTC)))
        for number, owner in enumerate(owners[:by_hand])
    ]
    row = timezone_row(evidence_of(owners, executions), zone, "all")
    assert row.result in ("ok", "note")


def test_one_odd_instance_does_not_hide_the_zone_of_the_others() -> None:
    owners = [instance(number, f"0 {number} * * *") for number in range(1, 6)]
    executions = [pair for owner in owners for pair in daily(owner, "Europe/Paris", int(owner.id))]
    odd = instance(9, "7 9 * * *")
    executions += daily(odd, "UTC", 3)
    row = timezone_row(evidence_of([*owners, odd], executions), "UTC", "all")
    assert row.result == "to do"
    assert row.set == "Set timezone to Europe/Paris. Then look at 9: no zone fits these too."


def test_where_no_zone_fits_better_none_is_named() -> None:
    odd = instance(9, "7 9 * * *")
    row = timezone_row(evidence_of([odd], daily(odd, "UTC", 3)), "UTC", "all")
    assert row.result == "to do"
    assert row.set.startswith("No time zone fits better.")


def test_what_was_fired_before_the_last_change_is_no_evidence() -> None:
    owner = instance(1, "0 5 * * *", last_modified_ts=milliseconds(datetime(2026, 5, 1, tzinfo=UTC)))
    row = timezone_row(evidence_of([owner], daily(owner, "Asia/Tokyo", 5)), "UTC", "all")
    assert row.result == "unknown"


@pytest.mark.parametrize(
    "late", [-timedelta(days=2), timedelta(days=2)], ids=["planned ahead", "made up for"]
)
def test_what_was_created_or_due_before_the_last_change_is_no_evidence(late: timedelta) -> None:
    """The platform may have created it, or have been due to, with the cron before."""
    due = datetime(2026, 4, 1, 5, 17, tzinfo=UTC)
    change = milliseconds(due + late / 2)
    owner = instance(1, "0 5 * * *", last_modified_ts=change)
    assert evidence_of([owner], [("1", execution(1, due, late))]) == []
    owner = instance(1, "0 5 * * *", last_modified_ts=change - 10 * 86_400_000)
    assert len(evidence_of([owner], [("1", execution(1, due, late))])) == 1


@pytest.mark.parametrize("kind", ["MANUAL", "OTHER"])
def test_manual_executions_are_no_evidence(kind: str) -> None:
    owner = instance(1, "0 5 * * *")
    executions = daily(owner, "Asia/Tokyo", 5, kind=kind)
    assert timezone_row(evidence_of([owner], executions), "UTC", "all").result == "unknown"


@pytest.mark.parametrize("cron", ["*/5 * * * *", "0 * * * *"])
def test_crons_that_fire_all_day_cannot_tell_zones_apart(cron: str) -> None:
    owner = instance(1, cron)
    row = timezone_row(evidence_of([owner], daily(owner, "Europe/Paris", 5)), "UTC", "all")
    assert row.result == "note"
    assert "Europe/Paris" in row.means


def test_a_history_without_a_change_of_clocks_says_so() -> None:
    owner = instance(1, "0 5 * * *")
    row = timezone_row(evidence_of([owner], daily(owner, "Europe/Paris", 5, days=5)), "Europe/Paris", "all")
    assert row.result == "ok"
    assert "no change of clocks" in row.means


def test_a_zone_that_has_had_another_time_is_named_among_those_alike() -> None:
    owner = instance(1, "0 5 * * *")
    row = timezone_row(evidence_of([owner], daily(owner, "Europe/London", 5, days=5)), "UTC", "all")
    assert row.result == "ok"
    assert "such as Europe/London" in row.means


@pytest.mark.parametrize("year", [1, 1970, 9999])
def test_a_date_at_the_end_of_time_is_no_evidence(year: int) -> None:
    owner = instance(1, "0 5 * * *", creation_ts=milliseconds(LAST_CHANGE))
    executions = [("1", execution(1, datetime(year, 1, 1, tzinfo=UTC), timedelta(0)))]
    assert timezone_row(evidence_of([owner], executions), "UTC", "all").result == "unknown"


def test_many_instances_that_fit_no_zone_are_judged_quickly() -> None:
    odd = [instance(number, "7 9 * * *") for number in range(1, 200)]
    began = time.process_time()
    row = timezone_row(
        evidence_of(odd, [pair for owner in odd for pair in daily(owner, "UTC", 3)]), "UTC", "all"
    )
    assert row.set.startswith("No time zone fits better.")
    assert time.process_time() - began < 10


def test_a_cron_that_cannot_be_read_is_no_evidence() -> None:
    owner = instance(1, "0 5 */2 * 1")
    assert evidence_of([owner], daily(owner, "UTC", 5)) == []


@pytest.mark.parametrize(
    ("late", "result", "advice"),
    [
        (timedelta(seconds=3), "ok", ""),
        (timedelta(minutes=2), "ok", ""),
        (timedelta(minutes=10), "to do", "timedelta(minutes=15)"),
        (timedelta(minutes=3, seconds=1), "to do", "timedelta(minutes=5)"),
        (-timedelta(hours=1), "ok", ""),
    ],
)
def test_a_late_platform_needs_a_longer_grace(late: timedelta, result: str, advice: str) -> None:
    owner = instance(1, "0 5 * * *")
    row = grace_row(evidence_of([owner], daily(owner, "UTC", 5, late=late)), "all")
    assert row.result == result
    assert advice in row.set


def test_a_retry_of_a_tick_is_no_lateness() -> None:
    owner = instance(1, "0 5 * * *")
    executions = daily(owner, "UTC", 5)
    executions.append((owner.id, execution(77, executions[0][1].expected_start_date, timedelta(hours=1))))  # type: ignore[arg-type]
    assert grace_row(evidence_of([owner], executions), "all").result == "ok"


def test_a_tick_that_was_late_once_is_only_a_note() -> None:
    owner = instance(1, "0 5 * * *")
    executions = daily(owner, "UTC", 5, days=9)
    executions.append((owner.id, execution(77, datetime(2026, 3, 31, 5, tzinfo=UTC), timedelta(hours=1))))
    row = grace_row(evidence_of([owner], executions), "all")
    assert (row.result, row.set) == ("note", "")


def test_an_outage_of_the_platform_does_not_set_the_grace() -> None:
    owner = instance(1, "0 5 * * *")
    slow = [timedelta(minutes=3), timedelta(minutes=3), timedelta(hours=5)]
    executions = [
        (owner.id, execution(day, datetime(2026, 4, day, 5, tzinfo=UTC), late))
        for day, late in enumerate([*slow, *[timedelta(seconds=1)] * 7], 1)
    ]
    row = grace_row(evidence_of([owner], executions), "all")
    assert (row.result, row.set.partition(";")[0]) == ("to do", "Set platform_grace to timedelta(minutes=5)")
    assert "came within 3 min" in row.means
