"""Airflow finds the example DAG files, loads them quickly and quietly, and runs them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mics.dag_factory import parse_time_client
from tests.provider.dag_runs import DagFolder
from tests.sandbox_server import SandboxServer

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag  # 2.11

DAGS = Path(__file__).resolve().parents[2] / "dags"
FILES = sorted(DAGS.glob("*.py"))
FACTORY = DAGS / "mics_integration_batches.py"


@pytest.fixture(autouse=True)
def _no_outage_from_before():
    parse_time_client.unreachable_since.clear()


def load(folder: Path) -> Any:
    return DagBag(dag_folder=str(folder), safe_mode=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_airflow_in_safe_mode_finds_dags_in_a_file(file):
    text = file.read_text().lower()
    assert "airflow" in text
    assert "dag" in text


def test_the_factory_file_has_every_batch_of_the_organisation(mics_default: SandboxServer, caplog):
    active = mics_default.create_instance("Nightly", cron="30 5 * * *")
    by_hand = mics_default.create_instance("By hand")
    bag = load(FACTORY)
    assert bag.import_errors == {}
    assert set(bag.dags) == {f"mics_integration_batch_{each}" for each in (active, by_hand)}
    assert not [record for record in caplog.records if record.name.startswith("airflow_provider_mics")]


def test_without_platform_and_snapshot_there_is_one_clear_import_error(mics_default: SandboxServer):
    mics_default.terminate()
    began = time.monotonic()
    bag = load(FACTORY)
    assert time.monotonic() - began < 10
    assert not bag.dags
    [error] = bag.import_errors.values()
    assert "cannot be listed, and there is no earlier snapshot" in error
    assert mics_default.token not in error


def test_the_start_date_in_the_trigger_form_is_that_of_the_execution(
    dag_folder: DagFolder, mics_default: SandboxServer
):
    instance_id = mics_default.create_instance("By hand", properties={"duration_s": 0})
    moment = datetime(2026, 1, 31, 5, 30, tzinfo=UTC)
    file = dag_folder.write(FACTORY.read_text(), FACTORY.name)
    conf = {"expected_start_date": moment.isoformat()}
    run = dag_folder.run(file, dag_id=f"mics_integration_batch_{instance_id}", conf=conf)
    assert run.state == "success", run.log
    [execution] = mics_default.executions(instance_id)
    assert execution["execution_type"] == "MANUAL"
    assert 0 <= execution["expected_start_date"] - int(moment.timestamp() * 1000) < 1000
    assert run.xcom("execute")["id"] == execution["id"]
