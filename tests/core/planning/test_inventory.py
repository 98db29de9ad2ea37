"""The inventory keeps what it was given, and knows since when each schedule is in force."""

from __future__ import annotations

import json
import random
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.core.planning.inventory import Inventory, UnreadableInventoryError
from tests.core.planning.instances import FETCHED, MODIFIED, instance, inventory

LATER = FETCHED + timedelta(minutes=5)
BETWEEN = FETCHED + timedelta(minutes=2)

names = st.text(max_size=3000).filter(
    lambda text: text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)
)


@given(st.dictionaries(st.integers(1, 10**9), names, max_size=6))
def test_what_was_kept_is_read_back(instances):
    kept = inventory(*(instance(number, name=name) for number, name in instances.items()))
    content = kept.to_bytes()
    assert Inventory.from_bytes(content) == kept
    assert Inventory.from_bytes(content).to_bytes() == content
    for each in kept.instances:
        one = Inventory.of_one(content, each.id)
        assert one.instances == (each,)
        assert one.schedule_since == {each.id: kept.schedule_since[each.id]}
        assert one.fetched_at == kept.fetched_at


def test_an_instance_that_is_not_there_is_not_made_up():
    content = inventory(instance(42), instance(421)).to_bytes()
    for absent in ("4", "2", "21", "4211", '42","', "\n", ""):
        assert Inventory.of_one(content, absent).instances == ()


def test_the_order_of_the_listing_and_twice_listed_instances_change_nothing():
    instances = [instance(number) for number in (9, 10, 100, 8)]
    shuffled = [*instances, instance(9)]
    random.Random(1).shuffle(shuffled)
    assert inventory(*shuffled).to_bytes() == inventory(*instances).to_bytes()
    assert [each.id for each in inventory(*shuffled).instances] == ["8", "9", "10", "100"]


def test_archived_instances_are_left_out():
    assert inventory(instance(1, archived=True), instance(2)).get("1") is None


def test_only_the_platform_takes_an_instance_away():
    known = inventory(instance(1), instance(2))
    cut_off = inventory(instance(2, name="renamed"), previous=known, fetched_at=LATER)
    assert [(each.id, each.name) for each in cut_off.instances] == [("1", "batch 1"), ("2", "renamed")]
    assert cut_off.schedule_since == known.schedule_since
    assert inventory(previous=known, fetched_at=LATER).instances == known.instances
    archived = inventory(instance(2, archived=True), previous=known, fetched_at=LATER)
    assert [each.id for each in archived.instances] == ["1"]
    gone = inventory(instance(2), previous=known, fetched_at=LATER, gone=["1"])
    assert [each.id for each in gone.instances] == ["2"]
    assert Inventory.from_bytes(gone.to_bytes()) == gone
    assert Inventory.of_one(gone.to_bytes(), "1").instances == ()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_line_that_cannot_be_read_harms_no_other(number):
    known = inventory(instance(1), instance(2), instance(3))
    lines = known.to_bytes().split(b"\n")
    for damaged in (lines[number][:-30], b"\x00\xff", lines[number].replace(b'"id"', b'"no"'), b""):
        content = b"\n".join([*lines[:number], damaged, *lines[number + 1 :]])
        read = Inventory.from_bytes(content)
        assert [each.id for each in read.instances] == [each for each in "123" if each != str(number)]
        assert read.unreadable_lines == 1
        assert read.whole_at is None, "an instance of a lost line is not new"
        mended = read.filled_in_from(known)
        assert mended.instances == known.instances
        assert mended.schedule_since == known.schedule_since
    assert inventory(*known.instances, previous=read, fetched_at=LATER).schedule_since == known.schedule_since


@pytest.mark.parametrize("cut", range(300, 1500, 37))
def test_of_a_truncated_inventory_the_whole_lines_are_read(cut):
    known = inventory(instance(1), instance(2), instance(3))
    content = known.to_bytes()
    read = Inventory.from_bytes(content[:cut])
    assert len(read.instances) + read.unreadable_lines == 3
    assert read.instances == known.instances[: len(read.instances)]


def test_an_inventory_of_an_earlier_version_of_this_package_is_read():
    content = inventory(instance(1)).to_bytes()
    header, line, _ = content.split(b"\n")
    old = {
        key: value
        for key, value in json.loads(header).items()
        if key not in ("source", "whole_at", "unfinished")
    }
    old_line = {key: value for key, value in json.loads(line).items() if key != "checked_at"}
    read = Inventory.from_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in (old, old_line)))
    assert read == inventory(instance(1))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"not json",
        b"[]",
        b'{"format":"mics-inventory"}',
        b"\x00\xff\xfe",
        inventory(instance()).to_bytes().replace(b'"version":1', b'"version":2'),
        inventory(instance()).to_bytes().replace(b"mics-inventory", b"other"),
        inventory(instance()).to_bytes()[:100],
    ],
)
def test_bytes_of_something_else_say_so(content):
    with pytest.raises(UnreadableInventoryError) as raised:
        Inventory.from_bytes(content)
    assert "\n" not in str(raised.value)


@given(st.binary(max_size=300), st.integers(0, 2000))
def test_no_bytes_break_the_reading(noise, cut):
    damaged = inventory(instance(1), instance(2)).to_bytes()
    damaged = damaged[:cut] + noise + damaged[cut + len(noise) :]
    for read in (Inventory.from_bytes, lambda content: Inventory.of_one(content, "2")):
        with suppress(UnreadableInventoryError):
            assert isinstance(read(damaged), Inventory)


def test_one_of_thousands_is_read_without_the_others():
    content = inventory(*(instance(number, note="x" * 300) for number in range(10_000, 15_000))).to_bytes()

    def seconds(read):
        began = time.perf_counter()
        read()
        return time.perf_counter() - began

    everything = min(seconds(lambda: Inventory.from_bytes(content)) for _ in range(3))
    one = min(seconds(lambda: Inventory.of_one(content, "14999")) for _ in range(3))
    assert one < everything / 5


class TestScheduleSince:
    def since(self, before: Instance | None, after: Instance, **changes: str):
        previous = inventory(*filter(None, [before]))
        later = inventory(after, previous=previous, fetched_at=LATER, **changes)
        return later.schedule_since[after.id]

    def test_at_first_it_is_when_the_instance_was_last_modified(self):
        assert inventory(instance()).schedule_since["42"] == MODIFIED

    def test_without_that_it_is_when_it_was_first_seen(self):
        assert inventory(instance(modified=None)).schedule_since["42"] == FETCHED

    @pytest.mark.parametrize(
        "edit",
        [{"name": "renamed"}, {"version_value": "2.0.0"}, {"cpu_size": "LARGE"}, {"cron": " 30  5 * * *"}],
    )
    def test_other_edits_move_nothing(self, edit):
        assert self.since(instance(), instance(modified=BETWEEN, **edit)) == MODIFIED

    @pytest.mark.parametrize("edit", [{"cron": "0 6 * * *"}, {"cron_status": "PAUSED"}])
    def test_another_schedule_is_in_force_since_it_was_changed(self, edit):
        assert self.since(instance(), instance(modified=BETWEEN, **edit)) == BETWEEN
        assert self.since(instance(**edit), instance(modified=BETWEEN)) == BETWEEN

    def test_another_time_zone_holds_from_now_on(self):
        assert self.since(instance(), instance(), timezone="UTC") == LATER

    def test_an_instance_that_comes_back_from_the_archive_begins_anew(self):
        assert self.since(instance(archived=True), instance(modified=BETWEEN)) == BETWEEN

    @pytest.mark.parametrize("modified", [None, MODIFIED, LATER + timedelta(days=300)])
    def test_a_change_whose_moment_is_not_known_holds_from_now_on(self, modified):
        assert self.since(instance(), instance(modified=modified, cron="0 6 * * *")) == LATER
        assert self.since(None, instance(modified=modified)) == LATER

    def test_it_stays_over_many_snapshots(self):
        known = inventory(instance())
        for minutes in range(0, 60, 5):
            fetched_at = FETCHED + timedelta(minutes=minutes)
            known = inventory(instance(modified=fetched_at), previous=known, fetched_at=fetched_at)
            known = Inventory.from_bytes(known.to_bytes())
        assert known.schedule_since["42"] == MODIFIED

    def test_the_inventory_of_another_organisation_says_nothing(self):
        other = inventory(instance(cron="0 6 * * *"), organisation_id="2")
        assert inventory(instance(), previous=other, fetched_at=LATER).schedule_since["42"] == MODIFIED


class TestCronPeriods:
    """When which cron was in force: what past executions are judged by."""

    def periods(self, *instances: Instance | None, **changes: str):
        """The periods after listings five minutes apart; None lacks the instance."""
        known = None
        for number, each in enumerate(instances):
            known = inventory(
                *filter(None, [each]),
                previous=known,
                fetched_at=FETCHED + number * timedelta(minutes=5),
                **(changes if number else {}),
            )
            known = Inventory.from_bytes(known.to_bytes())
        return [(each.cron, each.since, each.until) for each in known.cron_periods["42"]]

    def test_a_cron_was_in_force_since_the_instance_was_last_modified(self):
        assert self.periods(instance()) == [("30 5 * * *", MODIFIED, None)]
        assert Inventory.of_one(inventory(instance()).to_bytes(), "42").cron_periods["42"]

    @pytest.mark.parametrize(
        "edit", [{"name": "renamed"}, {"cron_status": "PAUSED"}, {"cron": "30  5 * * *"}]
    )
    def test_a_pause_or_another_edit_leaves_the_cron_in_force(self, edit):
        assert self.periods(instance(), instance(modified=BETWEEN, **edit)) == [
            ("30 5 * * *", MODIFIED, None)
        ]

    def test_another_time_zone_of_ours_changes_nothing_on_the_platform(self):
        assert self.periods(instance(), instance(), timezone="UTC") == [("30 5 * * *", MODIFIED, None)]

    def test_the_cron_before_is_kept_up_to_when_it_was_last_seen(self):
        moved = instance(modified=BETWEEN, cron="0 6 * * *")
        expected = [("30 5 * * *", MODIFIED, FETCHED), ("0 6 * * *", BETWEEN, None)]
        assert self.periods(instance(), moved) == expected
        assert self.periods(instance(), moved, moved) == expected

    def test_only_the_last_cron_before_is_kept(self):
        crons = [instance(modified=None, cron=f"{minute} 5 * * *") for minute in range(5)]
        assert [cron for cron, _, _ in self.periods(*crons)] == ["3 5 * * *", "4 5 * * *"]

    def test_an_instance_that_a_listing_lacked_was_not_seen_then(self):
        moved = instance(modified=None, cron="0 6 * * *")
        periods = self.periods(instance(), None, None, moved)
        assert periods[0] == ("30 5 * * *", MODIFIED, FETCHED)
        assert self.periods(instance(), None, instance()) == [("30 5 * * *", MODIFIED, None)]

    def test_a_snapshot_from_before_periods_were_kept_can_be_read(self):
        lines = inventory(instance()).to_bytes().splitlines(keepends=True)
        old = b"".join(
            line.split(b',"cron_periods":')[0] + b"}\n" * (b"cron_periods" in line) for line in lines
        )
        known = Inventory.from_bytes(old)
        assert known.cron_periods["42"] == ()
        later = inventory(instance(modified=BETWEEN), previous=known, fetched_at=LATER)
        assert [each.since for each in later.cron_periods["42"]] == [MODIFIED]
