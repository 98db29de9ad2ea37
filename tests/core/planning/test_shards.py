"""Shards: every instance is in exactly one, and a new one moves no other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.core.planning.shards import Shard, incomplete_files, shard_of
from tests.case_counts import cases
from tests.core.planning.instances import instance, inventory

IDS = st.text(min_size=1, max_size=30) | st.integers(0, 10**12).map(str)


def shards(count: int) -> list[Shard]:
    return [Shard(number, count) for number in range(1, count + 1)]


@given(IDS, st.integers(1, 40))
def test_every_instance_is_in_exactly_one_share(instance_id, count):
    assert [each.has(instance_id) for each in shards(count)].count(True) == 1


@pytest.mark.parametrize(("instance_id", "number"), [("4101", 8), ("10001", 6), ("é", 8), ("\ud800", 1)])
def test_the_share_of_an_id_never_changes(instance_id, number):
    # Another shard would move the DAGs of every user to another file.
    [found] = [each.number for each in shards(8) if each.has(instance_id)]
    assert found == number


@pytest.mark.parametrize("count", [2, 3, 8, 16])
def test_shares_are_of_similar_size(count):
    sizes = Counter(each.number for i in range(4000) for each in shards(count) if each.has(str(10_000 + i)))
    assert min(sizes.values()) > 0.75 * 4000 / count
    assert max(sizes.values()) < 1.25 * 4000 / count


@pytest.mark.parametrize(
    "given",
    [
        (2, 8),
        [2, 8],
        "/dags/batches_2_of_8.py",
        Path("/dags/batches_2_of_8.py"),
        "2_of_8.py",
        "x_02_of_08.py",
    ],
)
def test_a_share_is_named_by_numbers_or_by_a_file(given):
    assert shard_of("f", given) == Shard(2, 8)
    assert str(shard_of("f", given)) == "2 of 8"
    assert shard_of("f", None) is None


@pytest.mark.parametrize(
    "given",
    [
        (0, 8),
        (9, 8),
        (-1, 8),
        (1, 0),
        (1,),
        (1, 2, 3),
        (True, 8),
        (1, True),
        ("2", "8"),
        (1.0, 8),
        2,
        0.25,
        {},
        "",
        "2 of 8",
        "/dags/batches.py",
        "/dags/2_of_8/batches.py",
        "batches_9_of_8.py",
        "batches_0_of_8.py",
        "batches_2_of_8_old.py",
        "batches_٢_of_8.py",
    ],
)
def test_anything_else_is_refused_with_one_line(given):
    with pytest.raises(ValueError, match="is not a shard: give") as error:
        shard_of("integration_batch_dags", given)
    assert str(error.value).startswith(f"integration_batch_dags: shard={given!r} ")
    assert "\n" not in str(error.value)


def names(stem: str, numbers: list[int], count: int) -> list[str]:
    return [f"{stem}{each}_of_{count}.py" for each in numbers]


@pytest.mark.parametrize(
    ("beside", "problem"),
    [
        (names("b_", [1, 2, 3], 3), None),
        ([*names("b_", [1, 2, 3], 3), "b.py", "notes.txt", "b_1_of_2.txt", "other_1_of_2.py"], None),
        (names("b_", [1, 2], 3), "add b_3_of_3.py"),
        (names("b_", [2], 3), "2 of 3 shards have no DAG file"),
        ([*names("b_", [1, 2, 3], 3), "b_2_of_4.py"], "b_2_of_4.py has DAGs that the files of 3 shards"),
        ([], "3 of 3 shards"),
        (
            [*names("b_", [1, 2, 3], 3), "b_02_of_3.py"],
            "b_02_of_3.py and b_2_of_3.py have the same DAGs: remove all but one",
        ),
        ([*names("b_", [1, 2, 3], 3), "b_2_of_003.py"], "b_2_of_003.py and b_2_of_3.py have the same"),
        # The file with the same share says so itself.
        ([*names("b_", [1, 2, 3], 3), "b_01_of_3.py"], None),
    ],
)
def test_files_that_are_missing_or_left_over_are_noticed(beside, problem):
    found = incomplete_files(Path("/dags/b_2_of_3.py"), beside)
    assert found is None if problem is None else problem in found


def test_a_file_without_a_share_in_its_name_has_none_to_miss():
    assert incomplete_files(Path("/dags/b.py"), ["b_1_of_2.py"]) is None


class TestReadingAShareOfASnapshot:
    KEPT = inventory(*(instance(each) for each in range(40)), instance("a b"), gone=())
    CONTENT = KEPT.to_bytes()

    @settings(max_examples=cases(30))
    @given(st.integers(1, 9))
    def test_shares_have_together_what_the_snapshot_has(self, count):
        read = [Inventory.from_bytes(self.CONTENT, each.has) for each in shards(count)]
        for shard, each in zip(shards(count), read, strict=True):
            ids = {one.id for one in each.instances if shard.has(one.id)}
            assert ids == {one.id for one in self.KEPT.instances if shard.has(one.id)}
            assert each.unreadable_lines == 0
            for one in each.instances:
                assert one == self.KEPT.get(one.id)
                assert each.schedule_since[one.id] == self.KEPT.schedule_since[one.id]
                assert each.cron_periods[one.id] == self.KEPT.cron_periods[one.id]

    def test_a_bad_line_is_counted_where_it_belongs(self):
        lines = self.CONTENT.split(b"\n")
        damaged = [line[:-20] if line.startswith(b'{"id":"7",') else line for line in lines]
        for each in shards(4):
            read = Inventory.from_bytes(b"\n".join(damaged), each.has)
            assert read.unreadable_lines == each.has("7")

    def test_a_lost_line_is_counted_by_all(self):
        content = b"\n".join(self.CONTENT.split(b"\n")[:-3])
        assert all(Inventory.from_bytes(content, each.has).unreadable_lines == 2 for each in shards(3))
