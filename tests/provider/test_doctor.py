"""The doctor of an Airflow connection, from wherever Airflow keeps it, and of the factory's snapshot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__ as airflow_version
from airflow import plugins_manager
from airflow.models.connection import Connection
from airflow.utils.session import create_session

from airflow_provider_mics.dag_factory.inventory_source import InventorySource
from airflow_provider_mics.doctor.__main__ import main
from local_airflow.home import environ_for
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.usefixtures("airflow_home")
ROOT = Path(__file__).resolve().parents[2]


def rows_of(
    capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0
) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    assert main(["--json", *arguments]) == status
    rows = json.loads(capsys.readouterr().out)["rows"]
    return {row["check"]: row for row in rows}


def test_a_connection_of_the_environment(
    mics_default: SandboxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(capsys, "--conn-id", "mics_default")
    assert rows["token"]["result"] == "ok"
    assert rows["snapshot"]["result"] == "ok"
    assert str(InventorySource("mics_default").store) in rows["snapshot"]["found"]


def test_a_connection_of_the_database(sandbox: SandboxServer, capsys: pytest.CaptureFixture[str]) -> None:
    connection = Connection(
        conn_id="mics_stored",
        conn_type="mediarithmics",
        host=sandbox.url,
        password=sandbox.token,
        extra=json.dumps({"organisation_id": "1185"}),
    )
    with create_session() as session:
        session.add(connection)
    rows = rows_of(capsys, "--conn-id", "mics_stored")
    assert rows["organisation"]["result"] == "ok"


def test_the_snapshot_of_a_factory_is_found_and_left_alone(
    mics_default: SandboxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    mics_default.create_instance()
    source = InventorySource("mics_default")
    source.current()
    content = source.store.local_path.read_bytes()
    rows = rows_of(capsys, "--conn-id", "mics_default")
    assert "with 1 instances" in rows["snapshot"]["found"]
    assert source.store.local_path.read_bytes() == content


def test_whether_airflow_has_loaded_the_plugin(
    mics_default: SandboxServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = rows_of(capsys, "--conn-id", "mics_default")["plugin"]
    assert (row["result"], row["found"]) == ("ok", f"Airflow {airflow_version} has loaded it")
    if hasattr(plugins_manager, "get_timetables_plugins"):
        monkeypatch.setattr(plugins_manager, "get_timetables_plugins", dict)
    else:  # before Airflow 3.2
        monkeypatch.setattr(plugins_manager, "timetable_classes", {})
    row = rows_of(capsys, "--conn-id", "mics_default", status=1)["plugin"]
    assert (row["result"], row["found"]) == ("to do", f"Airflow {airflow_version} has not loaded it")
    assert "airflow plugins" in row["set"]


@pytest.mark.skipif(
    airflow_version.startswith("2."), reason="Airflow 2 has no object store without a provider"
)
def test_an_object_store_can_be_the_place(
    mics_default: SandboxServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = tmp_path / "inventory.jsonl"
    rows = rows_of(capsys, "--conn-id", "mics_default", "--snapshot", f"local://{place}")
    assert rows["snapshot"]["result"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_connection_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--conn-id", "no_such"]) == 2
    assert "error: there is no connection 'no_such'" in capsys.readouterr().err


def test_a_connection_of_another_type_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", json.dumps({"conn_type": "http", "password": "x"}))
    assert main(["--conn-id", "mics_default"]) == 2
    assert "is of type 'http'" in capsys.readouterr().err


def test_a_misspelled_key_of_the_extra_is_named(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = {"organisation_id": None, "organization_id": "1185", "colour": "blue"}
    monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", connection_to(sandbox, extra))
    rows = rows_of(capsys, "--conn-id", "mics_default", status=2)
    assert rows["settings"]["found"].startswith(
        "organization_id: did you mean organisation_id?; colour: known are "
    )
    assert rows["organisation"]["result"] == "to do"


def run_doctor(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airflow_provider_mics.doctor", *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_only_the_report_is_on_the_standard_output(airflow_home: Path, sandbox: SandboxServer) -> None:
    """Airflow 2.11 logs to it."""
    environ = environ_for(airflow_home) | {"AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox)}
    done = run_doctor(environ, "--conn-id", "mics_default", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["exit_status"] == 0
    assert sandbox.token not in done.stdout + done.stderr


def test_an_airflow_that_cannot_be_imported_is_one_line(airflow_home: Path) -> None:
    environ = environ_for(airflow_home) | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "garbage"}
    done = run_doctor(environ, "--conn-id", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_what_is_wrong_with_a_connection_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = {"conn_type": "mediarithmics", "host": "api.example", "password": "x", "schema": "ftp"}
    monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", json.dumps(connection))
    assert main(["--conn-id", "mics_default"]) == 2
    assert "error: connection mics_default: host " in capsys.readouterr().err
