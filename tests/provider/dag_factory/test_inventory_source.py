"""A parse seldom sends requests, and an outage never removes a DAG."""

from __future__ import annotations

import json
import logging
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.core.planning.snapshots import try_lock
from airflow_provider_mics.dag_factory import integration_batch_dags, parse_time_client
from airflow_provider_mics.dag_factory.inventory_source import InventorySource
from airflow_provider_mics.dag_factory.snapshot_store import StoredObject, snapshot_storage
from local_airflow.home import PROJECT
from tests.core.planning.instances import instance
from tests.provider.dag_factory.factories import as_bytes, write_snapshot
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

LIST = "GET /v1/integration_batch_instances"
HOUR = timedelta(hours=1)
YEARS = timedelta(days=1000)
WARM_PARSE = """
import json, sys
from airflow_provider_mics.dag_factory import integration_batch_dags
dags = integration_batch_dags("no_such_connection", snapshot=sys.argv[1])
print("<<" + json.dumps([list(dags), sorted(sys.modules)]))
"""


@pytest.fixture(autouse=True)
def _as_in_a_new_process() -> Iterator[None]:
    """Airflow parses each time in a new process."""
    parse_time_client.unreachable_since.clear()
    yield
    parse_time_client.unreachable_since.clear()


def forget_the_failure(snapshot: Path) -> None:
    InventorySource("mics_default", snapshot=snapshot).store.last_failure.forget()


def ids_of(dags: dict[str, Any]) -> list[str]:
    return [dag_id.removeprefix("mics_integration_batch_") for dag_id in dags]


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = [record for record in caplog.records if record.name.startswith("airflow_provider_mics")]
    assert all(record.levelno >= logging.WARNING for record in ours if record.levelno != logging.DEBUG)
    return [record.getMessage() for record in ours if record.levelno == logging.WARNING]


class TestFirstParse:
    def test_the_instances_are_listed_once_and_saved(self, mics_default, snapshot, caplog):
        caplog.set_level(logging.INFO)
        active = mics_default.create_instance("Nightly", cron="30 5 * * 1,6")
        by_hand = mics_default.create_instance("By hand")
        mics_default.create_instance("Old", archived=True)
        mics_default.reset_counters()
        first = integration_batch_dags(snapshot=snapshot)
        assert mics_default.counters()[LIST] >= 1
        assert sorted(ids_of(first)) == sorted([active, by_hand])
        assert stat.S_IMODE(snapshot.stat().st_mode) == 0o640
        assert mics_default.token.encode() not in snapshot.read_bytes()
        mics_default.reset_counters()
        assert as_bytes(integration_batch_dags(snapshot=snapshot)) == as_bytes(first)
        assert mics_default.counters() == {}
        assert warnings_in(caplog) == []

    def test_each_connection_and_organisation_has_its_own_file_under_airflow_home(
        self, mics_default, monkeypatch, airflow_home
    ):
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection_to(mics_default))
        sources = [
            InventorySource("mics_default"),
            InventorySource("other"),
            InventorySource("mics_default", mics_default.organisation_id),
            InventorySource("mics_default", timezone="Europe/Paris"),
        ]
        for source in sources:
            source.current()
        paths = {str(source.store.storage) for source in sources}
        assert len(paths) == 4
        assert all(Path(path).is_relative_to(airflow_home / "mics") for path in paths)
        assert all(stat.S_IMODE(Path(path).stat().st_mode) == 0o600 for path in paths)

    def test_without_snapshot_and_platform_there_is_one_clear_error(self, mics_default, snapshot):
        mics_default.terminate()
        with pytest.raises(MicsError) as raised:
            integration_batch_dags(snapshot=snapshot)
        line = str(raised.value)
        assert "The integration batches of connection 'mics_default' cannot be listed" in line
        assert f"there is no earlier snapshot ({snapshot})" in line
        assert "\n" not in line
        assert mics_default.token not in line

    def test_a_missing_connection_is_named(self, snapshot):
        with pytest.raises(MicsError, match="no_such_connection"):
            integration_batch_dags("no_such_connection", snapshot=snapshot)


class TestWarmParse:
    def test_it_needs_neither_the_platform_nor_the_connection_nor_an_http_library(self, snapshot):
        write_snapshot(snapshot, instance(1), instance(2))
        done = subprocess.run(
            [sys.executable, "-c", WARM_PARSE, str(snapshot)],
            check=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
        )
        dags, modules = json.loads(done.stdout.rpartition("<<")[2])
        assert ids_of(dags) == ["1", "2"]
        assert "airflow_provider_mics.api.transport_requests" not in modules
        assert "airflow_provider_mics.api.transport_httpx" not in modules

    def test_it_logs_nothing(self, snapshot, caplog):
        caplog.set_level(logging.INFO)
        write_snapshot(snapshot, instance(1), instance(2, cron="nonsense"))
        assert len(integration_batch_dags(snapshot=snapshot)) == 2
        assert caplog.records == []


class TestRefresh:
    def test_a_snapshot_older_than_its_ttl_is_refreshed(self, mics_default, snapshot):
        created = mics_default.create_instance("new")
        write_snapshot(snapshot, instance("gone"), age=HOUR)
        assert ids_of(integration_batch_dags(snapshot=snapshot, snapshot_ttl=2 * HOUR)) == ["gone"]
        assert ids_of(integration_batch_dags(snapshot=snapshot)) == [created]
        assert Inventory.from_bytes(snapshot.read_bytes()).get("gone") is None

    def test_an_archived_instance_loses_its_dag(self, mics_default, snapshot):
        kept, archived = mics_default.create_instance("kept"), mics_default.create_instance("old")
        zero = timedelta(0)
        assert sorted(ids_of(integration_batch_dags(snapshot=snapshot))) == sorted([kept, archived])
        one = mics_default.call("GET", f"integration_batch_instances/{archived}")
        mics_default.call("PUT", f"integration_batch_instances/{archived}", one | {"archived": True})
        assert ids_of(integration_batch_dags(snapshot=snapshot, snapshot_ttl=zero)) == [kept]

    def test_a_change_of_schedule_moves_the_start_and_a_rename_does_not(self, mics_default, snapshot):
        mics_default.create_instance("one", cron="30 5 * * *")
        zero = timedelta(0)
        [before] = integration_batch_dags(snapshot=snapshot, snapshot_ttl=zero).values()
        path = f"integration_batch_instances/{ids_of({before.dag_id: before})[0]}"
        one = mics_default.call("GET", path)
        mics_default.call("PUT", path, one | {"name": "renamed"})
        [renamed] = integration_batch_dags(snapshot=snapshot, snapshot_ttl=zero).values()
        assert renamed.dag_display_name == "renamed"
        assert renamed.start_date == before.start_date
        mics_default.call("PUT", path, one | {"cron": "0 6 * * *"})
        [changed] = integration_batch_dags(snapshot=snapshot, snapshot_ttl=zero).values()
        assert changed.start_date > before.start_date

    def test_another_time_zone_refreshes_the_snapshot(self, mics_default, snapshot):
        mics_default.create_instance("one", cron="30 5 * * *")
        integration_batch_dags(snapshot=snapshot)
        [dag] = integration_batch_dags(snapshot=snapshot, timezone="Asia/Tokyo").values()
        assert dag.timetable.serialize()["timezone"] == "Asia/Tokyo"

    def test_during_a_refresh_by_another_process_the_old_snapshot_is_used(
        self, mics_default, snapshot, caplog
    ):
        write_snapshot(snapshot, instance("old"), age=HOUR)
        source = InventorySource("mics_default", snapshot=snapshot)
        mics_default.reset_counters()
        with try_lock(source.store._writable_path(".lock")) as is_alone:
            assert is_alone
            assert ids_of(integration_batch_dags(snapshot=snapshot)) == ["old"]
        assert mics_default.counters() == {}
        assert warnings_in(caplog) == []

    def test_many_parses_at_once_send_the_requests_of_one(self, mics_default, snapshot):
        mics_default.create_instance("one")
        write_snapshot(snapshot, instance("old"), age=HOUR)
        mics_default.reset_counters()
        sources = [InventorySource("mics_default", snapshot=snapshot) for _ in range(8)]
        threads = [threading.Thread(target=source.current) for source in sources]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for source in sources:
            source.current()
        pages = mics_default.counters()[LIST]
        mics_default.reset_counters()
        InventorySource("mics_default", snapshot=snapshot, ttl=timedelta(0)).current()
        assert pages == mics_default.counters()[LIST]

    @pytest.mark.parametrize(
        "content", [b"", b"not a snapshot\n", b'{"format":"mics-inventory","version":99}\n', b"\x00"]
    )
    def test_a_damaged_snapshot_is_ignored_and_replaced(self, mics_default, snapshot, caplog, content):
        created = mics_default.create_instance("one")
        snapshot.write_bytes(content)
        assert ids_of(integration_batch_dags(snapshot=snapshot)) == [created]
        [line] = warnings_in(caplog)
        assert f"Ignoring snapshot {snapshot}: " in line
        assert ids_of(integration_batch_dags(snapshot=snapshot)) == [created]
        assert len(warnings_in(caplog)) == 1

    def test_a_snapshot_that_cannot_be_written_is_a_warning(self, mics_default, tmp_path, caplog):
        created = mics_default.create_instance("one")
        (tmp_path / "a file").write_bytes(b"")
        assert ids_of(integration_batch_dags(snapshot=tmp_path / "a file" / "snapshot")) == [created]
        assert any("Could not write snapshot" in line for line in warnings_in(caplog))

    def test_a_snapshot_can_have_a_url(self, mics_default, snapshot):
        created = mics_default.create_instance("one")
        url = f"file://{snapshot}"
        assert ids_of(integration_batch_dags(snapshot=url)) == [created]
        mics_default.reset_counters()
        assert ids_of(integration_batch_dags(snapshot=url)) == [created]
        assert mics_default.counters() == {}

    def test_a_snapshot_in_an_object_store_is_read_as_written(self, snapshot):
        # The one store that needs no further provider on any line of Airflow.
        stored = StoredObject(f"file://{snapshot}")
        with pytest.raises(FileNotFoundError):
            stored.read_bytes()
        stored.write_bytes(b"kept")
        assert stored.read_bytes() == snapshot.read_bytes() == b"kept"
        assert type(snapshot_storage("s3://bucket/inventory.jsonl", snapshot)) is StoredObject


class TestOutage:
    @pytest.mark.parametrize("age", [HOUR, YEARS])
    def test_the_last_snapshot_is_used_at_any_age_with_one_warning(self, mics_default, snapshot, caplog, age):
        write_snapshot(snapshot, instance(1), instance(2), age=age)
        mics_default.terminate()
        caplog.set_level(logging.INFO)
        before = snapshot.read_bytes()
        assert ids_of(integration_batch_dags(snapshot=snapshot)) == ["1", "2"]
        [line] = warnings_in(caplog)
        assert "cannot be listed" in line
        assert "Using the snapshot of" in line
        assert mics_default.token not in line
        assert snapshot.read_bytes() == before

    def test_not_every_parse_retries(self, mics_default, snapshot, caplog):
        created = mics_default.create_instance("one")
        write_snapshot(snapshot, instance("old"), age=HOUR)
        mics_default.faults([{"kind": "500"}])
        mics_default.reset_counters()
        for _ in range(5):
            assert ids_of(integration_batch_dags(snapshot=snapshot)) == ["old"]
        assert sum(mics_default.counters().values()) == 1
        assert len(warnings_in(caplog)) == 5, "each parse says what it goes by"
        mics_default.clear_faults()
        forget_the_failure(snapshot)
        assert ids_of(integration_batch_dags(snapshot=snapshot)) == [created]

    @pytest.mark.parametrize("kind", ["500", "503", "429", "html", "cut_json", "drop_before", "drop_after"])
    def test_no_kind_of_failure_removes_a_dag(self, mics_default, snapshot, caplog, kind):
        write_snapshot(snapshot, instance(1), age=HOUR)
        mics_default.faults([{"kind": kind}])
        assert ids_of(integration_batch_dags(snapshot=snapshot)) == ["1"]
        assert len(warnings_in(caplog)) == 1

    def test_a_revoked_token_removes_no_dag(self, mics_default, snapshot, caplog):
        write_snapshot(snapshot, instance(1), age=HOUR)
        mics_default.set_tokens({"another-token": ["1185"]})
        assert ids_of(integration_batch_dags(snapshot=snapshot)) == ["1"]
        assert "401" in warnings_in(caplog)[0]

    def test_a_new_token_is_used_at_once(self, mics_default, snapshot, caplog):
        write_snapshot(snapshot, instance("old"), age=HOUR)
        organisation_id = json.loads(os.environ["AIRFLOW_CONN_MICS_DEFAULT"])["extra"]["organisation_id"]
        mics_default.set_tokens({"another-token": [organisation_id]})
        assert ids_of(integration_batch_dags(snapshot=snapshot)) == ["old"]
        mics_default.set_tokens({mics_default.token: [organisation_id]})
        assert ids_of(integration_batch_dags(snapshot=snapshot)) == []
        assert len(warnings_in(caplog)) == 1

    def test_the_warning_says_when_the_next_retry_is(self, mics_default, snapshot, caplog):
        write_snapshot(snapshot, instance(1), age=HOUR)
        mics_default.faults([{"kind": "500"}])
        for _ in range(2):
            integration_batch_dags(snapshot=snapshot)
        assert "next retry after" in warnings_in(caplog)[1]

    @pytest.mark.parametrize("change", [{"host": "http://127.0.0.1:1"}, {"extra": {"organisation_id": "77"}}])
    def test_a_snapshot_of_another_platform_is_never_used(self, mics_default, snapshot, monkeypatch, change):
        write_snapshot(snapshot, instance(1), age=HOUR)
        connection = json.loads(os.environ["AIRFLOW_CONN_MICS_DEFAULT"])
        monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", json.dumps(connection | change))
        with pytest.raises(MicsError, match="cannot be listed, and there is no earlier snapshot"):
            integration_batch_dags(snapshot=snapshot)

    def test_a_platform_that_never_answers_does_not_stall_parsing(self, snapshot, monkeypatch, caplog):
        monkeypatch.setenv("AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT", "3")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            connection = {"conn_type": "mediarithmics", "host": url, "password": "some-token"}
            connection["extra"] = {"organisation_id": "1185"}
            monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", json.dumps(connection))
            write_snapshot(snapshot, instance(1), age=HOUR)
            began = time.monotonic()
            assert ids_of(integration_batch_dags(snapshot=snapshot)) == ["1"]
            # A second factory in the same file, of another snapshot, does not wait as long again.
            other = snapshot.with_name("other.jsonl")
            write_snapshot(other, instance(2), age=HOUR)
            assert ids_of(integration_batch_dags(snapshot=other)) == ["2"]
            assert time.monotonic() - began < 2.5
        assert len(warnings_in(caplog)) == 2

    def test_a_truncated_listing_removes_no_dag(self, mics_default, snapshot):
        ids = sorted(mics_default.create_instance(f"batch {number}") for number in range(3))
        assert sorted(ids_of(integration_batch_dags(snapshot=snapshot))) == ids
        one = mics_default.call("GET", f"integration_batch_instances/{ids[0]}")
        page = {"status": "ok", "count": 1, "first_result": 0, "max_results": 500, "total": 3, "data": [one]}
        mics_default.faults([{"kind": "body", "parameters": {"status": 200, "body": json.dumps(page)}}])
        refreshed = integration_batch_dags(snapshot=snapshot, snapshot_ttl=timedelta(0))
        assert sorted(ids_of(refreshed)) == ids


def test_the_sandbox_is_a_whole_organisation(snapshot, monkeypatch):
    with SandboxServer(seed_demo=True) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", connection_to(sandbox))
        dags = integration_batch_dags(snapshot=snapshot)
        listed = sandbox.call("GET", "integration_batch_instances", organisation_id=sandbox.organisation_id)
        assert sorted(ids_of(dags)) == sorted(each["id"] for each in listed if not each["archived"])
        scheduled = {dag_id for dag_id, dag in dags.items() if dag.timetable.can_be_scheduled}
        active = {each["id"] for each in listed if each["cron_status"] == "ACTIVE" and not each["archived"]}
        assert set(ids_of(dict.fromkeys(scheduled))) == active
