"""A listing knows whether it is all of what the platform says there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_mics.api.calls import Call, Now
from airflow_provider_mics.api.errors import MicsTimeoutError
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.responses import Page
from airflow_provider_mics.core.planning.inventory import Listing, listed_within
from tests.core.planning.instances import instance
from tests.core.planning.wall_clock_oracle import utc


def listing_of(instances: Sequence[Instance], total: int | None, seconds_a_page: float = 0.1) -> Listing:
    """What is listed by a platform that has these instances, and says that it has ``total``."""
    now, answer = utc(2026, 3, 1), None
    steps = iter(listed_within(timedelta(seconds=10)))
    while True:
        try:
            step: Any = steps.send(answer)
        except StopIteration as end:
            return end.value
        answer = now if isinstance(step, Now) else None
        if isinstance(step, Call):
            now += timedelta(seconds=seconds_a_page)
            first, most = step.query["first_result"], step.query["max_results"]
            answer = Page[Instance](data=list(instances[first : first + most]), total=total)


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
