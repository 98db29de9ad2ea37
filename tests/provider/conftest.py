"""An Airflow of its own for these tests: a home in a temporary folder, set before any of them imports Airflow."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_airflow.home import copy_of, migrate, set_for_this_process
from tests.provider.dag_runs import DagFolder, start_fork_server
from tests.provider.mics_connections import connection_to

if TYPE_CHECKING:
    from tests.sandbox_server import SandboxServer

# pytest reads this file before it imports a test beside it, and Airflow reads its settings when it is imported.
HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
set_for_this_process(HOME)


@pytest.fixture(scope="session", autouse=True)
def airflow_home() -> Iterator[Path]:
    """The AIRFLOW_HOME of this process, its database migrated."""
    start_fork_server(HOME)
    migrate(HOME)
    yield HOME
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture
def dag_folder(airflow_home: Path, tmp_path: Path) -> DagFolder:
    """Where a test writes a DAG file and runs it, apart from every other test."""
    return DagFolder(copy_of(airflow_home, tmp_path / "airflow"))


@pytest.fixture
def mics_default(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> SandboxServer:
    """The sandbox, Airflow's connection ``mics_default`` to it, and no snapshot that another test left of it."""
    shutil.rmtree(HOME / "mics", ignore_errors=True)
    monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", connection_to(sandbox))
    return sandbox
