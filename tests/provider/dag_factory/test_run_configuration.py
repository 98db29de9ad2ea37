"""A generated DAG starts nothing for a run whose configuration cannot be meant."""

from __future__ import annotations

import pytest

from tests.provider.dag_runs import DagFolder
from tests.sandbox_server import SandboxServer

DAG_FILE = """
from airflow_provider_mics.dag_factory import integration_batch_dags

globals().update(integration_batch_dags(default_args={"retries": 0}, select=lambda each: each.id == "%s"))
"""


@pytest.mark.parametrize(
    ("conf", "says"),
    [({"expected_strat_date": "2030-01-01T00:00:00Z"}, "did you mean 'expected_start_date'?")],
)
def test_a_misspelled_key_starts_nothing(
    mics_default: SandboxServer, dag_folder: DagFolder, conf: dict[str, str], says: str
) -> None:
    created = mics_default.create_instance("by hand", properties={"duration_s": 0})
    run = dag_folder.run(DAG_FILE % created, conf=conf)
    assert run.task("execute").state == "failed"
    assert says in run.log
    assert mics_default.call("GET", f"integration_batch_instances/{created}/executions") == []
