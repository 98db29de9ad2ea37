"""A listing knows whether it is all of what the platform says there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.errors import MicsTimeoutError
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.core.planning.inventory import Listing, listed_within
from tests.core.planning.instances import instance
from tests.flow_driver import FlowDriver, ok


def listing_of(instances: Sequence[Instance], total: int | None, seconds_a_page: float = 0.1) -> Listing:
    """What is listed by a platform that has these instances, and says that it has ``total``."""

    def server(call: Call[Any]) -> dict[str, Any]:
        driver.now += timedelta(seconds=seconds_a_page)
        first, most = call.query["first_result"], call.query["max_results"]
        return ok([each.to_json() for each in instances[first : first + most]], total=total)

    driver = FlowDriver(server)
    return driver.run(listed_within(timedelta(seconds=10)))


@pytest.mark.parametrize("total", [None, 1200])
def test_a_listing_of_all_is_complete_and_holds_the_archived_too(total):
    instances = [instance(number, archived=number % 2 == 0) for number in range(1200)]
    listing = listing_of(instances, total)
    assert sorted(listing.instances, key=lambda each: int(each.id)) == instances
    assert listing.is_complete


def test_one_that_gives_fewer_than_it_says_is_not():
    listing = listing_of([instance(1), instance(2)], total=3)
    assert len(listing.instances) == 2
    assert not listing.is_complete


def test_an_empty_answer_where_there_should_be_some_takes_nothing_away():
    assert not listing_of([], total=3).is_complete
    assert listing_of([], total=0).is_complete


def test_a_platform_that_is_too_slow_is_not_waited_for():
    with pytest.raises(MicsTimeoutError):
        listing_of([instance(number) for number in range(3000)], total=3000, seconds_a_page=6)
