"""What is scheduled has the same ticks by crond, by the installed croniter and by this package; the rest is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import islice

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.api.cron_syntax import cron_problem, normalised
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.instances import create_instance, update_instance
from airflow_provider_mics.core.planning.cron_ticks import Cron
from airflow_provider_mics.core.provisioning.instances import checked_fields
from tests.case_counts import cases
from tests.core.planning.cron_spellings import AMBIGUOUS, CLEAR, DAYS_ONLY, SPELLINGS
from tests.core.planning.crond_reading import Crond
from tests.flow_driver import FlowDriver, ok

STARTS = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(second=0, microsecond=0)
)
NUMBER = 12
VERSION = tuple(map(int, version("croniter").split(".")[:2]))


def is_misread(tick: datetime) -> bool:
    """Whether croniter up to 6.0 may leave out a tick: the DAG factory checks this, and schedules no such cron."""
    return VERSION < (6, 2) and tick.month in (2, 3)


def check_readings(cron: str, start: datetime) -> None:
    problem = cron_problem(cron)
    if problem is not None:
        assert "\n" not in problem
        assert len(problem) < 300
        return
    expected = list(islice(Crond(cron).ticks_after(start), NUMBER))
    if not any(is_misread(tick) for tick in expected):
        iterator = croniter(normalised(cron), start)
        assert [iterator.get_next(datetime) for _ in expected] == expected
    ours = Cron(cron)
    assert all(ours.fires_at(tick.replace(tzinfo=UTC)) for tick in expected)
    days = (start.replace(hour=5, minute=0) + timedelta(days=number) for number in range(60))
    for day in days:
        assert ours._fields.match_day(day) == Crond(cron).match_day(day)


@settings(max_examples=cases(400), deadline=None)
@given(SPELLINGS, STARTS)
def test_what_is_scheduled_is_read_alike(cron, start):
    check_readings(cron, start)


@settings(max_examples=cases(400), deadline=None)
@given(DAYS_ONLY, STARTS)
def test_days_that_are_scheduled_are_read_alike(cron, start):
    check_readings(cron, start)


@pytest.mark.parametrize("cron", CLEAR)
def test_a_clear_cron_is_scheduled(cron):
    assert cron_problem(cron) is None
    check_readings(cron, datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(("cron", "says"), AMBIGUOUS.items())
def test_an_ambiguous_cron_is_refused_with_one_line_everywhere(cron, says):
    problem = cron_problem(cron)
    assert problem is not None
    assert says in problem
    assert "\n" not in problem
    assert len(problem) < 300
    with pytest.raises(MicsError) as raised:
        create_instance("com.acme", "import", "nightly", cron=cron, cron_status="ACTIVE")
    assert problem in str(raised.value)
    there = {"id": "42", "name": "nightly", "cron": "0 5 * * *", "cron_status": "ACTIVE"}
    driver = FlowDriver(lambda _: ok(there))
    with pytest.raises(MicsError) as raised:
        driver.run(update_instance("42", cron=cron))
    assert problem in str(raised.value)
    assert [call.method for call in driver.calls] == ["GET"]
    if cron.split() == cron.replace("\t", " ").split(" "):
        with pytest.raises(MicsError):
            checked_fields({"cron": cron, "cron_status": "ACTIVE"}, creating=True)


def test_the_spelling_to_use_is_itself_clear():
    for cron, says in AMBIGUOUS.items():
        if says.startswith("write ") and "star" not in says:
            instead = says.removeprefix("write ").split(" ")[0]
            fields = cron.split(" ")
            differing = [
                number for number, field in enumerate(fields) if repr(field) in (cron_problem(cron) or "")
            ]
            fields[differing[0]] = instead
            assert cron_problem(" ".join(fields)) is None, cron


def test_an_instance_with_an_ambiguous_cron_can_be_paused_and_renamed():
    there = {"id": "42", "name": "nightly", "cron": "0 5 */5 * 1-5", "cron_status": "ACTIVE"}
    driver = FlowDriver(lambda call: ok(there if call.method == "GET" else dict(call.body or {})))
    assert driver.run(update_instance("42", cron_status="PAUSED")).cron_status == "PAUSED"
    assert driver.run(update_instance("42", name="renamed")).name == "renamed"
