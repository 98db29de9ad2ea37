"""What asking the platform may cost a parse, however the network fails."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from airflow_provider_mics.dag_factory import integration_batch_dags, parse_time_client
from tests.core.planning.instances import instance
from tests.provider.dag_factory.factories import write_snapshot
from tests.raw_server import RawServer, Reply

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_time_client, "unreachable_since", {})
    monkeypatch.setattr(parse_time_client, "budget", parse_time_client.TimeBudget())
    monkeypatch.setenv("AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT", "3")


@pytest.fixture
def silent_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A resolver that does not answer, as C code that no time-out of an HTTP client reaches."""
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: is_over.wait(40))
    yield
    is_over.set()


def connect(monkeypatch: pytest.MonkeyPatch, name: str, host: str) -> None:
    connection = {"conn_type": "mediarithmics", "host": host, "password": "some-token"}
    connection["extra"] = {"organisation_id": "1185"}  # type: ignore[assignment]
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))


def test_a_silent_resolver_costs_two_connections_one_budget(
    silent_resolver, monkeypatch, tmp_path, snapshot, caplog
):
    names = ("mics_default", "other")
    paths = [tmp_path / name for name in names]
    for name, path in zip(names, paths, strict=True):
        host = f"http://{name.replace('_', '-')}.test"
        connect(monkeypatch, name, host)
        write_snapshot(path, instance(1), age=HOUR, host=host, organisation_id="1185")
    began = time.monotonic()
    for name, path in zip(names, paths, strict=True):
        assert len(integration_batch_dags(name, snapshot=path, dag_id_prefix=f"{name}_")) == 1
    assert time.monotonic() - began < 2
    lines = [line for line in caplog.messages if "cannot be listed" in line]
    assert len(lines) == 2
    assert "was not reached or did not answer within 1 s" in lines[0]
    assert "other requests took the time" in lines[1]


def test_a_body_that_comes_byte_by_byte_does_not_stall_parsing(monkeypatch, snapshot, caplog):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    with RawServer([Reply(head, *[b" "] * 100, pause=0.2)]) as server:
        connect(monkeypatch, "mics_default", server.url)
        write_snapshot(snapshot, instance(1), age=HOUR)
        began = time.monotonic()
        assert len(integration_batch_dags(snapshot=snapshot)) == 1
        assert time.monotonic() - began < 2
    assert "cannot be listed" in caplog.text


def test_time_that_was_spent_comes_back(monkeypatch):
    budget = parse_time_client.TimeBudget()
    assert budget.left() == pytest.approx(1.0)
    budget.spend(0.9)
    assert budget.left() == pytest.approx(0.1)
    monkeypatch.setenv("AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT", "0.001")
    time.sleep(0.01)
    assert budget.left() > 0
