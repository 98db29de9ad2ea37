"""The DAG files of the documentation: Airflow reads each, and those of the guides do what the pages say."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_mics.dag_factory import integration_batch_dags, parse_time_client
from local_airflow.components import IS_AIRFLOW_2
from tests.docs.blocks import Block, blocks
from tests.provider.dag_runs import DagFolder, DagRun
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag  # 2.11

FILES = [
    block
    for block in blocks("python")
    if block.is_dag_file and not (IS_AIRFLOW_2 and "AssetWatcher" in block.text)
]
ON_AIRFLOW_2 = {
    "from airflow.sdk import DAG\n": "from airflow import DAG\n",
    "from airflow.sdk import DAG, task\n": "from airflow import DAG\nfrom airflow.decorators import task\n",
}
"""What docs/index.md says of the imports."""
COMMANDS = [words for block in blocks("console") for words in block.commands() if words[0] == "airflow"]
ONLY_ON = {"backfill": "3", "dags backfill": "2", "standalone": ""}
TICK = (datetime.now(UTC) - timedelta(days=1)).replace(hour=3, minute=15, second=0, microsecond=0)
"""Of the nightly batch of the demo, which is in its history."""


@pytest.fixture(scope="module")
def platform() -> Iterator[SandboxServer]:
    """The organisation of the pages, as the quickstart has it."""
    with SandboxServer(seed_demo=True, speed=1000) as server:
        yield server


@pytest.fixture
def demo(platform: SandboxServer, airflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> SandboxServer:
    parse_time_client.unreachable_since.clear()
    shutil.rmtree(airflow_home / "mics", ignore_errors=True)
    monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", connection_to(platform))
    return platform


def source_of(block: Block) -> str:
    """The file of a page, as a reader writes it on this line of Airflow."""
    text = block.text
    for line, on_airflow_2 in ON_AIRFLOW_2.items() if IS_AIRFLOW_2 else ():
        text = text.replace(line, on_airflow_2)
    return text


@pytest.mark.parametrize("block", FILES, ids=lambda block: block.name)
def test_airflow_reads_the_file(block: Block, demo: SandboxServer, tmp_path: Path):
    name = "mics_batches_1_of_8.py" if "shard=__file__" in block.text else "file_of_the_page.py"
    snapshot = str(tmp_path / "mics" / "inventory.jsonl")
    text = re.sub(r"(file:///tmp|s3://aws_default@bucket)/mics/inventory\.jsonl", snapshot, source_of(block))
    (tmp_path / name).write_text(text)
    if "snapshot_ttl=None" in text:
        assert integration_batch_dags(snapshot=snapshot)  # as the refresh DAG does
    bag = DagBag(dag_folder=str(tmp_path), safe_mode=True)
    assert not bag.import_errors
    assert bag.dags
    if "integration_batch_dags(" in block.text:
        assert all(dag_id.startswith("mics_integration_batch_41") for dag_id in bag.dags)


def run(folder: DagFolder, dag_id: str, of: str | None = None, **arguments) -> DagRun:
    """Run a DAG of the page's file that has this text, by default the id of the DAG."""
    [block] = [one for one in FILES if f'"{of or dag_id}"' in one.text]
    folder.write(source_of(block), f"{dag_id}.py")
    return folder.run(folder.home / "dags" / f"{dag_id}.py", dag_id=dag_id, **arguments)


def test_a_batch_runs_and_another_task_waits_for_it(demo: SandboxServer, dag_folder: DagFolder):
    ran = run(dag_folder, "start_and_wait")
    assert ran.state == "success", ran.log[-3000:]
    assert ran.xcom("wait")["id"] == ran.xcom("start")["id"]
    assert ran.xcom("wait")["id"] in {each["id"] for each in demo.executions("4107")}


def test_a_batch_is_told_its_day(demo: SandboxServer, dag_folder: DagFolder):
    ran = run(dag_folder, "import_of_a_day", logical_date=datetime(2026, 2, 3, 4, tzinfo=UTC))
    assert ran.state == "success", ran.log[-3000:]
    properties = demo.call("GET", "integration_batch_instances/4107/properties")
    assert {"value": "/in/crm/2026-02-03"} in [each["value"] for each in properties]


def test_the_alert_at_six_is_silent_where_the_import_has_succeeded(
    demo: SandboxServer, dag_folder: DagFolder
):
    ran = run(dag_folder, "nightly_import_by_six", logical_date=TICK.replace(hour=6, minute=0))
    assert ran.state == "success", ran.log[-3000:]


def test_the_alert_at_six_comes_where_there_is_no_import(demo: SandboxServer, dag_folder: DagFolder):
    long_ago = TICK.replace(hour=6, minute=0) - timedelta(days=200)
    ran = run(dag_folder, "nightly_import_by_six", logical_date=long_ago)
    assert ran.state == "failed"
    assert "created no execution for the tick of" in ran.log
    assert "The nightly import has not succeeded: " in ran.log


def test_a_run_by_hand_of_a_dag_with_the_cron_starts_the_batch(demo: SandboxServer, dag_folder: DagFolder):
    before = {each["id"] for each in demo.executions("4104")}
    ran = run(dag_folder, "loyalty_export", logical_date=TICK)
    assert ran.state == "success", ran.log[-3000:]
    assert {each["id"] for each in demo.executions("4104")} - before == {ran.xcom("run")["id"]}


def test_a_moved_cron_runs_by_hand_while_its_instance_is_paused(demo: SandboxServer, dag_folder: DagFolder):
    instance = demo.call("GET", "integration_batch_instances/4103")
    demo.call("PUT", "integration_batch_instances/4103", instance | {"cron_status": "PAUSED"})
    try:
        ran = run(dag_folder, "moved_4103", of="moved_{instance_id}", logical_date=TICK)
    finally:
        demo.call("PUT", "integration_batch_instances/4103", instance)
    assert ran.state == "success", ran.log[-3000:]
    assert ran.xcom("run")["id"] in {each["id"] for each in demo.executions("4103")}


def test_a_connection_comes_from_a_secrets_backend(demo: SandboxServer, tmp_path: Path, monkeypatch):
    from airflow.secrets.local_filesystem import LocalFilesystemBackend

    from airflow_provider_mics.runtime.connection import ConnectionSettings

    [block] = [one for one in blocks("json") if "mics_default" in one.text]
    file = tmp_path / "connections.json"
    file.write_text(block.text.replace("<API_TOKEN>", demo.token))
    backend = LocalFilesystemBackend(connections_file_path=str(file))
    settings = ConnectionSettings.of(backend.get_connection("mics_default"))
    assert (settings.organisation_id, settings.timezone) == ("1185", "Europe/Paris")


def test_airflow_has_each_command():
    from airflow.cli.cli_parser import get_parser

    parser = get_parser()
    assert len(COMMANDS) > 4
    for words in COMMANDS:
        line = next((line for name, line in ONLY_ON.items() if " ".join(words[1:]).startswith(name)), None)
        if line in (None, "2" if IS_AIRFLOW_2 else "3"):
            parser.parse_args(words[1:])


def test_the_connection_of_the_pages_is_json():
    name = "AIRFLOW_CONN_MICS_DEFAULT="
    words = [word for block in blocks("console") for words in block.commands() for word in words]
    found = [json.loads(word.removeprefix(name)) for word in words if word.startswith(name)]
    assert len(found) > 3
    assert {each["conn_type"] for each in found} == {"mediarithmics"}
