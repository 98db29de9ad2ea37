"""A snapshot that cannot be written, is damaged, or has two owners costs neither DAGs nor requests."""

from __future__ import annotations

import json
import logging
import stat
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mics.dag_factory import integration_batch_dags, parse_time_client, snapshot_store
from airflow_provider_mics.dag_factory.inventory_source import InventorySource
from tests.core.planning.instances import instance
from tests.provider.dag_factory.factories import write_snapshot
from tests.provider.mics_connections import connection_to

LIST = "GET /v1/integration_batch_instances"
NOW = timedelta(0)


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_time_client, "unreachable_since", {})
    monkeypatch.setattr(snapshot_store, "_warned", set())


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A path at which nothing can be written, not even by root."""
    (tmp_path / "a file").write_bytes(b"")
    return tmp_path / "a file" / "snapshot"


def start_dates(dags: dict[str, Any]) -> dict[str, Any]:
    return {dag_id: dag.start_date for dag_id, dag in dags.items()}


def test_a_snapshot_that_cannot_be_written_costs_one_request_and_one_warning(
    mics_default, unwritable, caplog
):
    mics_default.create_instance("one", cron="30 5 * * *")
    mics_default.reset_counters()
    first = integration_batch_dags(snapshot=unwritable)
    pages = mics_default.counters()[LIST]
    for _ in range(5):
        assert start_dates(integration_batch_dags(snapshot=unwritable)) == start_dates(first)
    assert mics_default.counters()[LIST] == pages
    written = [line for line in caplog.messages if "Could not write snapshot" in line]
    assert len(written) == 1
    mics_default.terminate()
    late = integration_batch_dags(snapshot=unwritable, snapshot_ttl=NOW)
    assert start_dates(late) == start_dates(first), "the copy serves in an outage too"


def test_where_airflow_home_cannot_be_written_a_private_temporary_folder_serves(
    mics_default, unwritable, tmp_path, monkeypatch
):
    monkeypatch.setattr(snapshot_store, "AIRFLOW_HOME", str(unwritable))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mics_default.create_instance("one")
    mics_default.reset_counters()
    first = integration_batch_dags()
    pages = mics_default.counters()[LIST]
    assert start_dates(integration_batch_dags()) == start_dates(first)
    assert mics_default.counters()[LIST] == pages
    [folder] = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    assert len(integration_batch_dags()) == 1
    assert mics_default.counters()[LIST] > pages, "what others can write to is not trusted"


@pytest.mark.parametrize("damage", ["truncated", "a bad line", "no header", "deleted"])
def test_a_damaged_snapshot_and_an_outage_lose_no_dag(mics_default, snapshot, caplog, damage):
    for number in range(5):
        mics_default.create_instance(f"batch {number}", cron=f"{number} 5 * * *")
    first = integration_batch_dags(snapshot=snapshot)
    mics_default.terminate()
    content = snapshot.read_bytes()
    lines = content.split(b"\n")
    if damage == "deleted":
        snapshot.unlink()
    else:
        snapshot.write_bytes(
            {
                "truncated": content[: len(content) * 2 // 3],
                "a bad line": b"\n".join([*lines[:2], b"\x00", *lines[3:]]),
                "no header": b"\n".join(lines[1:]),
            }[damage]
        )
    caplog.set_level(logging.WARNING)
    assert start_dates(integration_batch_dags(snapshot=snapshot)) == start_dates(first)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert (damage == "deleted") == (not warnings)


def test_a_damaged_snapshot_is_written_anew(mics_default, snapshot):
    for number in range(3):
        mics_default.create_instance(f"batch {number}")
    integration_batch_dags(snapshot=snapshot)
    content = snapshot.read_bytes()
    snapshot.write_bytes(content[:-40])
    assert len(integration_batch_dags(snapshot=snapshot)) == 3
    assert snapshot.read_bytes().count(b"\n") == content.count(b"\n")


class TestOneSnapshotForTwoFactories:
    def test_of_two_time_zones_each_keeps_its_start_dates(self, mics_default, snapshot, caplog):
        mics_default.create_instance("one", cron="30 5 * * *")
        mics_default.reset_counters()
        parses = [
            [
                start_dates(integration_batch_dags(snapshot=snapshot, timezone=zone))
                for zone in (None, "UTC", "Asia/Tokyo")
            ]
            for _ in range(4)
        ]
        assert parses[0] == parses[1] == parses[2] == parses[3]
        assert mics_default.counters()[LIST] == 3, "each factory lists once"
        assert any("Give each factory its own snapshot=" in line for line in caplog.messages)

    def test_of_two_connections_each_keeps_its_dags(self, mics_default, snapshot, monkeypatch):
        other = "7777"
        ours = mics_default.organisation_id
        mics_default.set_tokens({mics_default.token: [ours, other]})
        one = mics_default.create_instance("ours")
        theirs = mics_default.create_instance("theirs", organisation_id=other)
        connection = json.loads(connection_to(mics_default))
        connection["extra"] = {"organisation_id": other}
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(connection))
        mics_default.reset_counters()
        for _ in range(3):
            assert list(integration_batch_dags(snapshot=snapshot)) == [f"mics_integration_batch_{one}"]
            assert list(integration_batch_dags("other", snapshot=snapshot)) == [
                f"mics_integration_batch_{theirs}"
            ]
        assert mics_default.counters()[LIST] == 2

    def test_what_was_abandoned_is_taken_over(self, mics_default, snapshot):
        created = mics_default.create_instance("one")
        write_snapshot(snapshot, instance(created), age=timedelta(hours=2), source="gone||")
        assert len(integration_batch_dags(snapshot=snapshot)) == 1
        assert b'"source":"mics_default||"' in snapshot.read_bytes()

    def test_another_time_zone_in_an_outage_begins_now_and_stays(self, mics_default, snapshot):
        mics_default.create_instance("one", cron="30 5 * * *")
        integration_batch_dags(snapshot=snapshot)
        mics_default.terminate()
        first = integration_batch_dags(snapshot=snapshot, timezone="Asia/Tokyo")
        [dag] = first.values()
        assert dag.timetable.serialize()["timezone"] == "Asia/Tokyo"
        again = integration_batch_dags(snapshot=snapshot, timezone="Asia/Tokyo")
        assert start_dates(again) == start_dates(first)


def later(dags: dict[str, Any], moment: datetime) -> bool:
    return all(start_date >= moment for start_date in start_dates(dags).values())


class TestOnlyTheTimeZoneIsAnother:
    """Each zone has a file of its own, by default, and still no tick from before the change runs."""

    @pytest.fixture(autouse=True)
    def _home(self, mics_default, tmp_path, monkeypatch):
        monkeypatch.setattr(snapshot_store, "AIRFLOW_HOME", str(tmp_path))
        self.created = mics_default.create_instance("one", cron="30 5 * * *")
        # The sandbox counts in milliseconds.
        time.sleep(0.01)

    @pytest.mark.parametrize("zones", [(None, "UTC"), ("UTC", None), ("Asia/Tokyo", "UTC")])
    @pytest.mark.parametrize("is_down", [False, True])
    def test_its_schedules_begin_now(self, mics_default, zones, is_down):
        first, second = zones
        integration_batch_dags(timezone=first)
        if is_down:
            mics_default.terminate()
        moment = datetime.now(UTC)
        dags = integration_batch_dags(timezone=second)
        assert later(dags, moment)
        [dag] = dags.values()
        assert dag.timetable.serialize()["timezone"] == (second or "Europe/Paris")
        assert start_dates(integration_batch_dags(timezone=second)) == start_dates(dags)
        if not is_down:
            again = integration_batch_dags(timezone=second, snapshot_ttl=NOW)
            assert start_dates(again) == start_dates(dags)

    def test_the_same_zone_by_another_setting_changes_nothing(self):
        first = integration_batch_dags()
        assert start_dates(integration_batch_dags(timezone="Europe/Paris")) == start_dates(first)

    def test_two_factories_that_use_two_leave_each_other_alone(self):
        parses = [
            [start_dates(integration_batch_dags(timezone=zone, snapshot_ttl=NOW)) for zone in (None, "UTC")]
            for _ in range(3)
        ]
        assert parses[0] == parses[1] == parses[2]

    def test_the_first_zone_again_begins_now_too(self):
        integration_batch_dags()
        store = InventorySource("mics_default").store
        kept = store.read()
        old = replace(kept, fetched_at=kept.fetched_at - timedelta(hours=2))
        for path in Path(snapshot_store.AIRFLOW_HOME, "mics").glob("*.jsonl*"):
            path.write_bytes(old.to_bytes())
        integration_batch_dags(timezone="UTC")
        moment = datetime.now(UTC)
        assert later(integration_batch_dags(), moment)

    def test_the_snapshot_of_another_connection_is_none_of_ours(self, mics_default, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT_2", connection_to(mics_default))
        integration_batch_dags("mics_default_2", timezone="UTC")
        moment = datetime.now(UTC)
        assert not later(integration_batch_dags(timezone="Asia/Tokyo"), moment)


def test_on_a_worker_nothing_is_written(mics_default, unwritable, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    created = mics_default.create_instance("one")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", f"mics_integration_batch_{created}")
    before = sorted(tmp_path.iterdir())
    assert len(integration_batch_dags(snapshot=unwritable)) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_worker_does_not_go_by_the_snapshot_of_another_connection(mics_default, snapshot, monkeypatch):
    created = mics_default.create_instance("ours", cron="30 5 * * *")
    write_snapshot(snapshot, instance(created, cron="0 0 1 1 *"), source="another||")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", f"mics_integration_batch_{created}")
    [dag] = integration_batch_dags(snapshot=snapshot).values()
    assert dag.tasks[0].tick_context.cron == "30 5 * * *"
    assert not InventorySource("mics_default", snapshot=snapshot).store.is_ours(
        write_snapshot(snapshot, instance(created), source="another||")
    )
