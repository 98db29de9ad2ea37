"""Airflow's names are the same objects whichever `common.compat` is installed."""

from __future__ import annotations

import asyncio
import importlib
import re
from pathlib import Path

import pytest

import airflow_provider_mics
from airflow_provider_mics.runtime import compat

PACKAGE = Path(airflow_provider_mics.__file__).parent


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch):
    """The module as it is before anything was imported from it."""
    for name in compat.HOMES:
        monkeypatch.delitem(vars(compat), name, raising=False)
    yield compat
    for name in compat.HOMES:
        vars(compat).pop(name, None)


@pytest.mark.parametrize("name", sorted(compat.HOMES))
def test_a_name_is_the_same_without_common_compat(fresh, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    installed = getattr(compat, name)
    vars(compat).pop(name)
    monkeypatch.setattr(compat, "COMPAT", "airflow.providers.common.compat.missing")
    assert getattr(compat, name) is installed


@pytest.mark.parametrize("name", sorted({*compat.HOMES} - {"BaseEventTrigger"}))
def test_a_name_is_the_one_of_common_compat(fresh, name: str) -> None:
    sdk = pytest.importorskip(compat.COMPAT, reason="this common.compat is older than 1.8")
    assert getattr(compat, name) is getattr(sdk, name)


def test_a_name_is_looked_for_once(fresh) -> None:
    first = compat.DAG
    assert vars(compat)["DAG"] is first


def test_a_name_that_airflow_lacks_is_an_import_error_that_says_where_it_was_looked_for(
    fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(compat.HOMES, "Novelty", ("airflow.sdk", "airflow.models"))
    with pytest.raises(
        ImportError, match=r"no Novelty in any of .*compat\.sdk, airflow\.sdk, airflow\.models"
    ):
        compat.Novelty  # noqa: B018


def test_another_name_is_no_name_of_the_module() -> None:
    assert not hasattr(compat, "Novelty")


def test_no_other_module_imports_common_compat() -> None:
    imported = re.compile(r"^\s*(from|import) airflow\.providers\.", re.MULTILINE)
    importers = {file.name for file in PACKAGE.rglob("*.py") if imported.search(file.read_text())}
    assert importers == {"compat.py"}


def test_two_connections_can_be_read_at_once_in_an_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ONE", "TWO"):
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{name}", f'{{"conn_type": "mediarithmics", "password": "{name}-secret"}}'
        )

    async def read() -> list[object]:
        return await asyncio.gather(*map(compat.get_async_connection, ("one", "two")))

    assert [each.password for each in asyncio.run(read())] == ["ONE-secret", "TWO-secret"]


def test_a_connection_that_is_missing_is_airflows_own_error() -> None:
    with pytest.raises(compat.AirflowNotFoundException):
        asyncio.run(compat.get_async_connection("nowhere"))


@pytest.mark.parametrize("masks_asynchronously", [True, False])
def test_a_connection_is_asked_for_in_the_way_that_cannot_deadlock(
    monkeypatch: pytest.MonkeyPatch, *, masks_asynchronously: bool
) -> None:
    """Before Airflow 3.3.2, ``aget_connection`` blocks its event loop while it masks the secrets."""

    class Hook:
        @staticmethod
        def get_connection(conn_id: str) -> str:
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            return f"{conn_id} from a thread"

        @staticmethod
        async def aget_connection(conn_id: str) -> str:
            return f"{conn_id} from the event loop"

    connection = type("Connection", (), {"aextra_dejson": None} if masks_asynchronously else {})
    monkeypatch.setitem(vars(compat), "BaseHook", Hook)
    monkeypatch.setitem(vars(compat), "Connection", connection)
    monkeypatch.setattr(compat, "__getattr__", vars(compat).__getitem__)
    expected = "one from the event loop" if masks_asynchronously else "one from a thread"
    assert asyncio.run(compat.get_async_connection("one")) == expected


def test_the_module_imports_nothing_of_airflow_by_itself() -> None:
    source = (PACKAGE / "runtime" / "compat.py").read_text()
    assert not re.search(r"^(from|import) airflow\b", source, re.MULTILINE)
    assert importlib.import_module(compat.__name__) is compat
