"""A list is read in as many parses as it takes, and what it lacks is asked for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_mics.api.errors import MicsConnectionError
from airflow_provider_mics.api.transport import Response
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.core.planning.listing import MAX_MISSING_ASKED, MAX_PASS_DURATION, ListingPass
from tests.core.planning.instances import instance, inventory
from tests.core.planning.listed_platform import LIMIT, ListedPlatform
from tests.flow_driver import NOON, ok, refusal

HTML = Response(404, {}, b"<html>404 Not Found</html>")
SPRING = Response(404, {}, b'{"timestamp":1,"status":404,"error":"Not Found","path":"/v1"}')


def ids_of(known: Inventory | None) -> list[str]:
    assert known is not None
    return [each.id for each in known.instances]


def some(number: int) -> list[str]:
    return [str(each) for each in range(1, number + 1)]


@pytest.mark.parametrize("total", [None, 1200])
def test_a_list_is_read_whole_and_shows_the_archived_too(total):
    instances = [instance(number, archived=number % 2 == 0) for number in range(1200)]
    platform = ListedPlatform(instances)
    platform.total = total
    listing_pass = ListingPass(None, NOON)
    platform.driver.run(listing_pass.steps(LIMIT))
    listing = listing_pass.listing()
    assert sorted(listing.instances, key=lambda each: int(each.id)) == instances
    assert listing.unfinished is None


class TestUnfinished:
    def test_a_list_that_takes_too_long_goes_on_where_it_stopped(self):
        platform = ListedPlatform([instance(number) for number in range(1, 3001)])
        platform.total, platform.seconds_a_page = 3000, 6
        known, parses = None, 0
        while known is None or known.unfinished is not None:
            seen = 0 if known is None else len(known.instances)
            known = platform.parse(known and Inventory.from_bytes(known.to_bytes()))
            assert known is not None
            assert len(known.instances) > seen
            parses += 1
        assert sorted(ids_of(known)) == sorted(some(3000))
        assert 3 <= parses <= 5
        firsts = [call.query["first_result"] for call in platform.driver.calls]
        assert firsts == sorted(firsts), "no page is read twice"

    def test_archived_instances_are_not_read_again(self):
        platform = ListedPlatform([instance(number, archived=number % 3 > 0) for number in range(1, 3001)])
        platform.total, platform.seconds_a_page = 3000, 6
        known = None
        for _ in range(6):
            known = platform.parse(known and Inventory.from_bytes(known.to_bytes()))
        assert known is not None
        assert known.unfinished is None or known.unfinished.start > 0
        assert len(known.instances) == 1000
        assert len(platform.driver.calls) <= 15

    def test_an_outage_in_the_middle_loses_nothing_of_what_was_read(self):
        platform = ListedPlatform([instance(number) for number in range(1, 1501)])

        def fail_after_500(call):
            return refusal(503) if call.query.get("first_result", 0) >= 500 else None

        platform.most_a_page = 100
        platform.answer = fail_after_500
        known = platform.parse(None)
        assert 500 <= len(ids_of(known)) < 1500
        assert platform.parse(known) == known
        platform.answer = lambda call: None
        assert len(ids_of(platform.parse(known))) == 1500

    def test_a_page_that_takes_too_long_is_asked_for_in_smaller_pages(self):
        platform = ListedPlatform([instance(number) for number in range(1, 301)])

        def too_slow(call):
            if call.query.get("max_results", 0) <= 100:
                return
            platform.driver.now += LIMIT
            raise MicsConnectionError("read timed out")

        platform.answer = too_slow
        known = platform.parse(None)
        assert known is not None
        assert known.is_empty_start
        known = platform.parse(Inventory.from_bytes(known.to_bytes()))
        assert len(ids_of(known)) == 300
        assert known.unfinished is None

    def test_a_list_that_was_begun_long_ago_is_begun_anew(self):
        platform = ListedPlatform([instance(number) for number in range(1, 3001)])
        platform.seconds_a_page = 6
        known = platform.parse(None)
        platform.driver.now += MAX_PASS_DURATION
        platform.driver.calls.clear()
        platform.parse(known)
        assert platform.driver.calls[0].query["first_result"] == 0

    def test_the_first_schedule_of_an_instance_on_a_later_page_is_not_new(self):
        platform = ListedPlatform([instance(number) for number in range(1, 3001)])
        platform.seconds_a_page = 6
        known = None
        for _ in range(5):
            known = platform.parse(known)
        assert known is not None
        assert set(known.schedule_since.values()) == {instance().last_modified_ts}


class TestMissing:
    def known(self, number: int) -> Inventory:
        return inventory(*map(instance, range(1, number + 1)), fetched_at=NOON - timedelta(minutes=5))

    def test_an_empty_list_takes_nothing_away(self):
        platform = ListedPlatform(list(map(instance, range(1, 41))))
        platform.shown = lambda _: []
        known = self.known(40)
        for _ in range(10):
            parsed = platform.parse(known)
            assert parsed is not None
            assert ids_of(parsed) == some(40)
            assert parsed.schedule_since == known.schedule_since
            known = parsed
            platform.driver.now += timedelta(minutes=5)

    def test_only_a_number_of_them_is_asked_for_and_each_in_its_turn(self):
        platform = ListedPlatform(list(map(instance, range(1, 41))))
        platform.shown = lambda _: []
        known: Inventory | None = self.known(40)
        asked: list[str] = []
        for _ in range(4):
            platform.driver.calls.clear()
            known = platform.parse(known)
            gets = [call.path.rpartition("/")[2] for call in platform.driver.calls if not call.query]
            assert len(gets) == MAX_MISSING_ASKED
            asked += gets
            platform.driver.now += timedelta(minutes=5)
        assert asked == some(40)

    def test_one_that_does_not_exist_any_more_goes(self):
        platform = ListedPlatform([instance(1)])
        known = platform.parse(self.known(3))
        assert ids_of(known) == ["1"]

    def test_one_that_is_archived_goes(self):
        platform = ListedPlatform([instance(1), instance(2, archived=True)])
        platform.shown = lambda instances: [each for each in instances if not each.archived]
        assert ids_of(platform.parse(self.known(2))) == ["1"]

    @pytest.mark.parametrize(
        "answer", [HTML, SPRING, refusal(403), refusal(400), refusal(500), b"", b"<html>", ok(None)]
    )
    def test_nothing_else_takes_one_away(self, answer):
        platform = ListedPlatform([instance(1)])
        platform.answer = lambda call: None if "first_result" in call.query else answer
        assert ids_of(platform.parse(self.known(3))) == ["1", "2", "3"]

    def test_an_answer_on_another_instance_is_none(self):
        platform = ListedPlatform([instance(1)])
        platform.answer = lambda call: None if "first_result" in call.query else ok(instance(1).to_json())
        assert ids_of(platform.parse(self.known(2))) == ["1", "2"]

    def test_one_that_returns_keeps_its_schedule_and_its_start(self):
        platform = ListedPlatform([instance(1)])
        known = platform.parse(self.known(2))
        assert ids_of(known) == ["1"]
        known = Inventory.from_bytes(known.to_bytes())
        platform.driver.now += timedelta(days=1)
        platform.instances["2"] = instance(2, modified=platform.driver.now)
        parsed = platform.parse(known)
        assert ids_of(parsed) == ["1", "2"]
        assert parsed.schedule_since["2"] == self.known(2).schedule_since["2"]

    def test_one_that_went_long_ago_is_forgotten(self):
        platform = ListedPlatform([instance(1)])
        known = platform.parse(self.known(2))
        assert set(known.gone) == {"2"}
        platform.driver.now += timedelta(days=91)
        assert not platform.parse(known).gone
