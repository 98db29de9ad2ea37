"""A list that does not show yet what was created is read again, and not for longer than it takes to settle."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_mics.api.errors import MicsConnectionError
from airflow_provider_mics.api.eventual_consistency import (
    READ_INTERVAL,
    SETTLING_TIME,
    list_after_create,
    read_until_consistent,
)
from airflow_provider_mics.api.executions import list_executions, newest_execution
from airflow_provider_mics.api.models import Execution
from tests.flow_driver import NOON, FlowDriver, ok

SECONDS = SETTLING_TIME.total_seconds()


def execution(number, **fields):
    return Execution(id=number, status="PENDING", **fields)


def platform_that_lists_after(seconds, takes=0.0):
    """A platform whose list shows execution 9 so long after noon, and whose answers take a while."""

    def server(call):
        items = [{"id": "9", "status": "PENDING"}] if driver.now >= NOON + timedelta(seconds=seconds) else []
        driver.now += timedelta(seconds=takes)
        return ok(items, total=len(items))

    driver = FlowDriver(server)
    return driver


@pytest.mark.parametrize(("wait_first", "pauses"), [(False, []), (True, [READ_INTERVAL])])
def test_a_consistent_list_is_read_once(wait_first, pauses):
    driver = platform_that_lists_after(0)
    found = driver.run(read_until_consistent(list_executions("1"), bool, wait_first=wait_first))
    assert [each.id for each in found] == ["9"]
    assert driver.pauses == pauses


def test_a_list_is_read_until_it_shows_what_was_created():
    driver = platform_that_lists_after(5)
    assert driver.run(list_after_create(list_executions("1"), execution("9"), "execution 9"))
    assert driver.pauses == [READ_INTERVAL] * 3


def test_a_list_is_read_no_longer_than_it_takes_to_settle():
    driver = platform_that_lists_after(3600)
    assert driver.run(read_until_consistent(list_executions("1"), bool)) == []
    assert sum(driver.pauses) == SECONDS


def test_the_last_read_begins_after_the_list_has_settled():
    driver = platform_that_lists_after(SECONDS, takes=SECONDS)
    assert driver.run(read_until_consistent(list_executions("1"), bool))
    assert len(driver.calls) == 2


def test_a_list_that_cannot_be_read_shows_no_duplicates_and_is_logged():
    def server(call):
        raise MicsConnectionError("connection reset")

    driver = FlowDriver(server)
    assert driver.run(list_after_create(list_executions("1"), execution("9"), "execution 9")) == []
    assert driver.messages == ["Created execution 9, but could not check for duplicates: connection reset"]


def test_the_newest_execution_is_the_one_created_last_and_else_the_one_with_the_highest_id():
    assert (
        newest_execution([execution("9", creation_date=1_000), execution("10", creation_date=500)]).id == "9"
    )
    assert newest_execution([execution("9"), execution("10")]).id == "10"
