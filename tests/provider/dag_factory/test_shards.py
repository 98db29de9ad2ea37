"""Several small DAG files have together what one large file would have."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mics.dag_factory import file_size, integration_batch_dags, plan_instance
from tests.core.planning.instances import instance
from tests.provider.dag_factory.factories import as_bytes, write_snapshot

NUMBER = 60
LIST = "GET /v1/integration_batch_instances"


@pytest.fixture
def kept(snapshot: Path) -> Path:
    write_snapshot(snapshot, *(instance(each) for each in range(NUMBER)), instance("a b"))
    return snapshot


def shards(snapshot: Path, count: int, **arguments: Any) -> list[dict[str, Any]]:
    return [
        integration_batch_dags(snapshot=snapshot, shard=(number, count), **arguments)
        for number in range(1, count + 1)
    ]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == file_size.__name__]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shares_have_each_dag_once_and_the_same_one(kept, count):
    whole = integration_batch_dags(snapshot=kept)
    parts = shards(kept, count)
    assert sum(map(len, parts)) == len(whole) == NUMBER + 1
    assert as_bytes({key: dag for part in parts for key, dag in part.items()}) == as_bytes(whole)


def test_a_new_instance_is_in_one_share_and_moves_no_other(kept):
    before = shards(kept, 5)
    write_snapshot(kept, *(instance(each) for each in range(NUMBER)), instance("a b"), instance(4101))
    after = shards(kept, 5)
    added = [set(new) - set(old) for old, new in zip(before, after, strict=True)]
    assert sorted(map(len, added)) == [0, 0, 0, 0, 1]
    assert all(set(old) <= set(new) for old, new in zip(before, after, strict=True))


def test_a_share_is_refused_that_is_none(kept):
    with pytest.raises(ValueError, match=r"integration_batch_dags: shard=\(0, 8\) is not a shard"):
        integration_batch_dags(snapshot=kept, shard=(0, 8))


def test_an_empty_share_is_no_cause_for_a_warning(snapshot, caplog):
    write_snapshot(snapshot, instance(1))
    assert sum(map(len, shards(snapshot, 4))) == 1
    assert not caplog.records


def test_the_planner_of_a_user_who_gives_one_id_twice_is_told_in_any_share(kept):
    def same(inventory: Any, one: Any) -> Any:
        plan = plan_instance(inventory, one)
        return replace(plan, dag_id="same") if one.id in {"1", "2"} else plan

    parts = shards(kept, 6, plan=same)
    dags = {key: dag for part in parts for key, dag in part.items()}
    assert len(dags) == sum(map(len, parts)) == NUMBER + 1
    assert [key for key, dag in dags.items() if "is taken by instance" in (dag.description or "")]


def test_all_shares_read_one_snapshot_that_one_of_them_refreshes(mics_default, snapshot):
    ids = {mics_default.create_instance(f"batch {number}") for number in range(6)}
    mics_default.reset_counters()
    parts = shards(snapshot, 3)
    assert {key for part in parts for key in part} == {f"mics_integration_batch_{each}" for each in ids}
    assert mics_default.counters()[LIST] == 1


def test_on_a_worker_every_file_has_the_dag_that_is_to_run(kept, monkeypatch):
    # Between a run's creation and its task, the number of shards can change.
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "mics_integration_batch_7")
    assert [list(part) for part in shards(kept, 4)] == [["mics_integration_batch_7"]] * 4


class TestFilesNamedByTheirShare:
    @pytest.fixture
    def files(self, tmp_path: Path) -> list[Path]:
        files = [tmp_path / "dags" / f"batches_{number}_of_3.py" for number in (1, 2, 3)]
        files[0].parent.mkdir()
        for file in files:
            file.write_text("")
        return files

    def test_have_each_dag_once(self, kept, files, caplog):
        parts = [integration_batch_dags(snapshot=kept, shard=str(file)) for file in files]
        assert [list(part) for part in parts] == [list(part) for part in shards(kept, 3)]
        assert not caplog.records

    def test_that_are_missing_are_warned_of_once(self, kept, files, caplog):
        files[2].unlink()
        for _ in range(3):
            integration_batch_dags(snapshot=kept, shard=files[0])
        [warning] = warnings(caplog)
        assert "shard 1 of 3: 1 of 3 shards have no DAG file" in warning
        assert "add batches_3_of_3.py" in warning


class TestALargeFile:
    @pytest.fixture(autouse=True)
    def _small_limit(self, monkeypatch):
        monkeypatch.setattr(file_size, "MOST_DAGS", 20)

    def test_is_warned_of_once_by_all_processes_until_its_size_changes(self, kept, caplog):
        for _ in range(3):
            integration_batch_dags(snapshot=kept)
        [warning] = warnings(caplog)
        assert "has 61 DAGs in one DAG file" in warning
        assert "none has more than 20" in warning
        assert caplog.records[0].levelno == logging.WARNING
        write_snapshot(kept, *(instance(each) for each in range(NUMBER)))
        for _ in range(3):
            integration_batch_dags(snapshot=kept)
        assert [each.split(" DAGs")[0][-2:] for each in warnings(caplog)] == ["61", "60"]

    def test_beside_a_small_one_is_warned_of_once(self, kept, caplog):
        for _ in range(3):
            integration_batch_dags(snapshot=kept)
            integration_batch_dags(snapshot=kept, select=lambda each: each.id == "7")
        assert len(warnings(caplog)) == 1

    def test_that_was_split_is_not(self, kept, caplog):
        shards(kept, 6)
        assert not warnings(caplog)
        shards(kept, 2)
        assert len(warnings(caplog)) == 2

    def test_is_no_cause_for_a_warning_on_a_worker(self, kept, monkeypatch, caplog):
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "mics_integration_batch_7")
        integration_batch_dags(snapshot=kept)
        assert not warnings(caplog)

    def test_is_parsed_where_nothing_can_be_remembered(self, kept, monkeypatch, tmp_path):
        (tmp_path / "a file").write_bytes(b"")
        monkeypatch.setattr(
            "airflow_provider_mics.dag_factory.snapshot_store.AIRFLOW_HOME", tmp_path / "a file"
        )
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a file"))
        assert len(integration_batch_dags(snapshot=kept)) == NUMBER + 1
