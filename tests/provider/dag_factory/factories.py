"""What tests of the DAG factory share: an organisation of their own, snapshots, and DAGs as Airflow stores them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.core.planning.snapshots import LocalFile
from airflow_provider_mics.runtime import connection
from tests.airflow_names import DAG
from tests.core.planning.instances import inventory
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization  # 2.11


ORGANISATIONS = count(2001)


@contextmanager
def new_organisation(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """The connection ``mics_default`` to an empty organisation, on a sandbox that several tests share."""
    server.organisation_id = str(next(ORGANISATIONS))
    server.set_tokens({server.token: [server.organisation_id]})
    plugin = f"batch-of-{server.organisation_id}"
    monkeypatch.setattr(server, "create_instance", partial(server.create_instance, artifact_id=plugin))
    server.clear_faults()
    server.reset_counters()
    connection._token_histories.clear()
    monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", connection_to(server, {"timezone": "Europe/Paris"}))
    yield server
    if server._process is None:
        server.start()


def write_snapshot(
    path: Path, *instances: Instance, age: timedelta = timedelta(0), **given: Any
) -> Inventory:
    """A snapshot of what ``mics_default`` leads to, where there is such a connection, in Europe/Paris."""
    connection = json.loads(os.environ.get("AIRFLOW_CONN_MICS_DEFAULT", "{}"))
    source = {"host": connection.get("host", "https://platform.test")}
    if "extra" in connection:
        source["organisation_id"] = connection["extra"]["organisation_id"]
    kept = inventory(*instances, fetched_at=datetime.now(UTC) - age, **(source | given))
    LocalFile(path).write_bytes(kept.to_bytes())
    return kept


def serialized(dag: DAG) -> dict[str, Any]:
    """Return a DAG as Airflow stores it."""
    written: dict[str, Any] = DagSerialization.to_dict(dag)
    return written


def read_back(dag: DAG) -> Any:
    """Return a DAG as the scheduler reads it."""
    return DagSerialization.from_dict(json.loads(json.dumps(serialized(dag))))


def as_bytes(dags: Mapping[str, DAG]) -> bytes:
    """Return all that the versions of DAGs depend on, in a fixed order."""
    written = {dag_id: serialized(dag) for dag_id, dag in dags.items()}
    return json.dumps(_in_order(written), sort_keys=True).encode()


def _in_order(value: Any) -> Any:
    """Airflow's own hash of a DAG sorts lists of texts, such as its tags."""
    if isinstance(value, dict):
        return {key: _in_order(each) for key, each in value.items()}
    if isinstance(value, list):
        listed = [_in_order(each) for each in value]
        return sorted(listed) if all(isinstance(each, str) for each in listed) else listed
    return value
