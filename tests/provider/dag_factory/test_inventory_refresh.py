"""With a refresh DAG, DAG processors only read the snapshot, and agree on every byte."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.core.planning.snapshots import LocalFile
from airflow_provider_mics.dag_factory import integration_batch_dags, inventory_refresh_dag, snapshot_store
from airflow_provider_mics.hooks import MicsHook
from local_airflow.home import PROJECT
from tests.airflow_names import AirflowException
from tests.core.planning.instances import instance
from tests.provider.dag_factory.factories import as_bytes, read_back, write_snapshot
from tests.provider.mics_connections import connection_to

LIST = "GET /v1/integration_batch_instances"
PROCESSOR = """
import sys
from airflow_provider_mics.dag_factory import integration_batch_dags
from tests.provider.dag_factory.factories import as_bytes

dags = integration_batch_dags(snapshot=sys.argv[1], snapshot_ttl=None)
sys.stdout.buffer.write(b"DAGS " + as_bytes(dags))
"""


def refresh(snapshot: Any, **arguments: Any) -> dict[str, Any]:
    [task] = inventory_refresh_dag(snapshot=snapshot, **arguments).tasks
    result: dict[str, Any] = task.execute({})
    return result


def parse(snapshot: Any, **arguments: Any) -> dict[str, Any]:
    return integration_batch_dags(snapshot=snapshot, snapshot_ttl=None, **arguments)


def unwritable_home(tmp_path: Path, name: str) -> Path:
    """An AIRFLOW_HOME in which nobody can write, root neither: its parent is a file."""
    (tmp_path / name).write_bytes(b"")
    return tmp_path / name / "home"


def test_the_dag_has_one_task_on_a_schedule():
    dag = inventory_refresh_dag(snapshot="s3://bucket/mics.jsonl", organisation_id=1185)
    assert (dag.dag_id, dag.catchup, dag.max_active_runs) == ("mics_inventory_refresh", False, 1)
    assert dag.timetable.summary == "*/5 * * * *"
    [task] = dag.tasks
    assert (task.task_id, task.snapshot, task.organisation_id) == (
        "refresh",
        "s3://bucket/mics.jsonl",
        "1185",
    )
    assert read_back(dag).task_ids == ["refresh"]


def test_arguments_are_checked_when_the_file_is_parsed():
    with pytest.raises(ValueError, match="timezone 'Nowhere' is not known"):
        inventory_refresh_dag(timezone="Nowhere")
    with pytest.raises(ValueError, match="timezone 1 is not known"):
        inventory_refresh_dag(timezone=1)


@pytest.mark.parametrize(
    "given", ["hourly", "@hourly", "61 * * * *", "* * * * * *", "", None, timedelta(hours=1)]
)
def test_a_schedule_that_is_no_cron_is_refused_with_one_line(given):
    with pytest.raises(
        ValueError, match=r"inventory_refresh_dag: schedule .* Give a cron of five fields"
    ) as error:
        inventory_refresh_dag(schedule=given)
    assert f"schedule {given!r} cannot be scheduled on: " in str(error.value)
    assert "unpack" not in str(error.value)
    assert "\n" not in str(error.value)


def test_default_args_are_those_of_any_dag():
    dag = inventory_refresh_dag(default_args={"owner": "data", "retries": 3}, dag_id="other")
    [task] = dag.tasks
    assert (task.owner, task.retries, dag.dag_id) == ("data", 3, "other")


def test_a_parse_has_what_the_task_wrote_and_asks_nothing(mics_default, snapshot):
    ids = {mics_default.create_instance(f"batch {number}", cron="30 5 * * *") for number in range(3)}
    result = refresh(snapshot)
    assert result["instances"] == 3
    assert result["previous_age"] is None
    assert datetime.now(UTC) - datetime.fromisoformat(result["fetched_at"]) < timedelta(minutes=1)
    mics_default.terminate()
    assert set(parse(snapshot)) == {f"mics_integration_batch_{each}" for each in ids}
    assert snapshot.read_bytes().count(b"\n") == 4


def test_the_age_of_the_snapshot_is_shown(mics_default, snapshot, caplog):
    caplog.set_level(logging.INFO)
    mics_default.create_instance("one")
    refresh(snapshot)
    known = Inventory.from_bytes(snapshot.read_bytes())
    write_snapshot(snapshot, *known.instances, age=timedelta(minutes=90))
    caplog.clear()
    assert len(parse(snapshot)) == 1
    [warning] = [each for each in caplog.messages if "see the runs of its refresh DAG" in each]
    assert "90 minutes ago" in warning
    assert refresh(snapshot)["previous_age"] == pytest.approx(5400, abs=30)
    caplog.clear()
    assert len(parse(snapshot)) == 1
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_what_only_the_snapshot_knows_survives_a_refresh(mics_default, snapshot):
    created = mics_default.create_instance("one", cron="30 5 * * *")
    refresh(snapshot)
    first = as_bytes(parse(snapshot))
    for _ in range(3):
        refresh(snapshot)
    assert as_bytes(parse(snapshot)) == first
    since = Inventory.from_bytes(snapshot.read_bytes()).schedule_since[created]
    MicsHook().update_instance(created, cron="45 5 * * *", cron_status="ACTIVE")
    refresh(snapshot)
    assert Inventory.from_bytes(snapshot.read_bytes()).schedule_since[created] > since


def test_another_time_zone_runs_no_past_tick(mics_default, airflow_home):
    created = mics_default.create_instance("one", cron="30 5 * * *")
    refresh(None)
    before = datetime.now(UTC)
    refresh(None, timezone="Asia/Tokyo")
    [dag] = [
        each for each in parse(None, timezone="Asia/Tokyo").values() if each.dag_id.endswith(f"_{created}")
    ]
    assert dag.start_date >= before


def test_an_outage_fails_the_task_and_changes_nothing(mics_default, snapshot, monkeypatch):
    mics_default.create_instance("one")
    refresh(snapshot)
    before = snapshot.read_bytes()
    mics_default.terminate()
    monkeypatch.setattr("airflow_provider_mics.dag_factory.refresh.LISTING_LIMIT", timedelta(seconds=2))
    with pytest.raises(AirflowException):
        refresh(snapshot)
    assert snapshot.read_bytes() == before
    assert len(parse(snapshot)) == 1


def test_a_snapshot_that_cannot_be_written_fails_the_task(mics_default, tmp_path):
    mics_default.create_instance("one")
    with pytest.raises(AirflowException, match=r"Snapshot .*snapshot could not be"):
        refresh(unwritable_home(tmp_path, "read-only") / "snapshot")


@pytest.mark.parametrize("damage", ["another user's", "a folder", "no snapshot"])
def test_a_snapshot_that_cannot_be_read_is_not_said_to_be_missing(
    mics_default, snapshot, monkeypatch, damage
):
    match damage:
        case "a folder":
            snapshot.mkdir()
        case "no snapshot":
            snapshot.write_bytes(b"hello")
        case _:
            monkeypatch.setattr(LocalFile, "read_bytes", refuse)
    with pytest.raises(MicsError, match=rf"Snapshot {snapshot} cannot be read: .*\. snapshot_ttl=None says"):
        parse(snapshot)


def refuse(file: LocalFile) -> bytes:
    raise PermissionError(13, "Permission denied", str(file))


def test_a_snapshot_that_cannot_be_read_is_not_replaced(mics_default, tmp_path, monkeypatch):
    mics_default.create_instance("one")
    written = []

    class Refused:
        def read_bytes(self) -> bytes:
            raise PermissionError("403 Forbidden")

        def write_bytes(self, data: bytes) -> None:
            written.append(data)

        def __str__(self) -> str:
            return "s3://bucket/mics.jsonl"

    monkeypatch.setattr(snapshot_store, "snapshot_storage", lambda *_: Refused())
    with pytest.raises(AirflowException, match=r"s3://bucket/mics.jsonl could not be read: .*403"):
        refresh("s3://bucket/mics.jsonl")
    assert not written


def test_a_damaged_snapshot_is_written_anew(mics_default, snapshot):
    mics_default.create_instance("one")
    snapshot.write_bytes(b"nonsense\n")
    assert refresh(snapshot)["instances"] == 1
    assert len(parse(snapshot)) == 1


def test_without_a_snapshot_there_is_one_clear_error(mics_default, snapshot):
    mics_default.create_instance("one")
    mics_default.reset_counters()
    with pytest.raises(MicsError, match=r"There is no snapshot .*inventory_refresh_dag") as error:
        parse(snapshot)
    assert "\n" not in str(error.value)
    assert LIST not in mics_default.counters()


def test_another_time_zone_is_refused(mics_default, snapshot):
    mics_default.create_instance("one", cron="30 5 * * *")
    refresh(snapshot, timezone="UTC")
    with pytest.raises(MicsError, match=r"in the time zone UTC, not in Asia/Tokyo"):
        parse(snapshot, timezone="Asia/Tokyo")
    [dag] = parse(snapshot).values()
    assert dag.timetable.serialize()["timezone"] == "UTC"


def test_the_task_may_have_a_connection_of_its_own(mics_default, snapshot, monkeypatch):
    mics_default.create_instance("one")
    monkeypatch.setenv("AIRFLOW_CONN_MICS_READER", connection_to(mics_default, {"timezone": "Europe/Paris"}))
    refresh(snapshot, mics_conn_id="mics_reader")
    [dag] = parse(snapshot).values()
    assert dag.tasks[0].mics_conn_id == "mics_default"
    # A snapshot that the parse refreshed itself before must not outlast that of the task.
    integration_batch_dags(snapshot=snapshot, snapshot_ttl=timedelta(0))
    mics_default.create_instance("two")
    refresh(snapshot, mics_conn_id="mics_reader")
    assert len(parse(snapshot)) == 2


def test_another_organisation_is_refused(mics_default, snapshot):
    mics_default.create_instance("one")
    refresh(snapshot)
    with pytest.raises(MicsError, match="There is no snapshot"):
        parse(snapshot, organisation_id="999")


def test_an_outage_of_the_store_takes_no_dag_away(mics_default, snapshot, caplog):
    mics_default.create_instance("one", cron="30 5 * * *")
    refresh(snapshot)
    first = as_bytes(parse(snapshot))
    snapshot.unlink()
    assert as_bytes(parse(snapshot)) == first
    snapshot.write_bytes(b"<html>502</html>")
    assert as_bytes(parse(snapshot)) == first
    assert any("Ignoring snapshot" in each for each in caplog.messages)


def test_the_copy_follows_the_snapshot(mics_default, snapshot):
    mics_default.create_instance("one")
    refresh(snapshot)
    parse(snapshot)
    mics_default.create_instance("two")
    refresh(snapshot)
    newest = as_bytes(parse(snapshot))
    snapshot.unlink()
    assert as_bytes(parse(snapshot)) == newest


def test_a_damaged_snapshot_does_not_replace_the_copy(mics_default, snapshot):
    for number in range(6):
        mics_default.create_instance(f"batch {number}")
    refresh(snapshot)
    first = as_bytes(parse(snapshot))
    snapshot.write_bytes(snapshot.read_bytes()[:-40])
    parts = [parse(snapshot, shard=(number, 3)) for number in (1, 2, 3)]
    assert as_bytes({key: dag for part in parts for key, dag in part.items()}) == first
    snapshot.unlink()
    assert as_bytes(parse(snapshot)) == first


def test_on_a_worker_an_instance_that_the_snapshot_lacks_is_asked_for(mics_default, snapshot, monkeypatch):
    created = mics_default.create_instance("one", cron="30 5 * * *")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", f"mics_integration_batch_{created}")
    [dag] = parse(snapshot).values()
    assert dag.tasks[0].tick_context.cron == "30 5 * * *"


@pytest.mark.parametrize("store", ["path", "URL"])
def test_two_processors_on_read_only_images_agree_byte_for_byte(mics_default, tmp_path, store):
    """Each has no disk to write to, another hash seed, and a connection that would lead nowhere."""
    for number in range(8):
        mics_default.create_instance(f"batch {number}", cron=f"{number} 5 * * *")
    place = tmp_path / "store" / "mics.jsonl"
    place.parent.mkdir()
    address = str(place) if store == "path" else f"file://{place}"
    refresh(address)
    mics_default.reset_counters()
    processes = []
    for number in (1, 2):
        home = unwritable_home(tmp_path, f"image {number}")
        environ = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "PYTHONHASHSEED": str(number),
            "TMPDIR": str(home),
            "MICS_HOME": str(home),
            "AIRFLOW_CONN_MICS_DEFAULT": json.dumps(
                {"conn_type": "mediarithmics", "host": "http://127.0.0.1:9"}
            ),
        }
        code = (
            "import os, tempfile; from airflow_provider_mics.dag_factory import snapshot_store as s;"
            "s.AIRFLOW_HOME = tempfile.tempdir = os.environ['MICS_HOME']" + PROCESSOR
        )
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", code, address],
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs[0][1][-2000:]
    first, second = (output.rpartition(b"DAGS ")[2] for output, _ in outputs)
    assert first == second
    assert len(json.loads(first)) == 8
    assert LIST not in mics_default.counters()


def test_shares_of_a_kept_snapshot(mics_default, snapshot):
    write_snapshot(snapshot, *(instance(each) for each in range(30)))
    mics_default.terminate()
    parts = [parse(snapshot, shard=(number, 3)) for number in (1, 2, 3)]
    assert sum(map(len, parts)) == 30
    snapshot.unlink()
    again = [parse(snapshot, shard=(number, 3)) for number in (1, 2, 3)]
    assert list(map(list, again)) == list(map(list, parts)), "the copy has the instances of every shard"
