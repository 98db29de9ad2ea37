"""What the page answers, with states in place of Airflow's database and of the platform; without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from local_airflow.components import HAS_PAGES

if not HAS_PAGES:
    pytest.skip("Airflow 2.11 and 3.0 have no such pages", allow_module_level=True)

from airflow.api_fastapi.core_api.security import get_user
from httpx import ASGITransport, AsyncClient, Response

from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.page import browsers, site
from airflow_provider_mics.page.airflow_state import AirflowState
from airflow_provider_mics.page.app import make_app
from airflow_provider_mics.page.batches import Dag, Source
from airflow_provider_mics.page.details import Details
from airflow_provider_mics.page.drift import ScheduleInAirflow
from airflow_provider_mics.page.permissions import Viewer
from airflow_provider_mics.page.platform_reading import PlatformState

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ONE, OTHER = Source("mics_default"), Source("other", "1185")
READ = PlatformState(
    host="https://platform.invalid",
    organisation_id="1185",
    instances={key: Instance(id=key, name=f"batch {key}") for key in "123"},
    instances_read_at=NOW,
    read_at=NOW,
)
Show = Callable[..., None]


class Admin:
    @staticmethod
    def get_name() -> str:
        return "admin"

    @staticmethod
    def get_id() -> str:
        return "1"


def get(path: str) -> Response:
    app = make_app()
    app.dependency_overrides[get_user] = Admin

    async def ask() -> Response:
        async with AsyncClient(
            transport=ASGITransport(app), base_url="http://airflow", cookies={"_token": "x"}
        ) as client:
            return await client.get(path)

    return asyncio.run(ask())


@pytest.mark.parametrize("path", ["/", "/dags/d", "/instances/mics_default/1", "/dags/d/run"])
def test_before_airflow_was_read_no_batch_seems_to_have_no_dag(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("the database is locked")

    monkeypatch.setattr(site, "read_airflow", fail)
    answer = get(path)
    assert answer.status_code == 503
    assert "have not been read yet. Reload in a moment." in answer.text
    assert "content-security-policy" in answer.headers


class MayAll(Viewer):
    readable_dags = editable_dags = frozenset({"d1", "d2"})  # type: ignore[assignment]

    def _may_on_runs(self, *_: Any) -> bool:
        return True

    _may_use = _may_on_runs


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Show:
    """Have the page show some DAGs, and a state of each of their organisations."""

    def show(*dags: Dag, state: PlatformState = READ) -> None:
        monkeypatch.setattr(browsers, "Viewer", MayAll)
        monkeypatch.setattr(site, "read_airflow", lambda _: AirflowState(dags))
        monkeypatch.setattr(site, "read_source", lambda *_: state)
        monkeypatch.setattr(site, "_read_details", lambda *_: Details())

    return show


def dag(number: int, source: Source = ONE, **fields: Any) -> Dag:
    return Dag(f"d{number}", source, str(number), "", False, ScheduleInAirflow(None, None), **fields)


def test_run_at_is_refused_for_a_dag_whose_run_cannot_say_when_the_batch_starts(show: Show) -> None:
    show(dag(1), dag(2, takes_start=True))
    answer = get("/dags/d1/run_at")
    assert answer.status_code == 409
    assert "takes no start" in answer.text
    assert "Run at<" not in get("/dags/d1").text
    assert "Run now<" in get("/dags/d1").text
    assert "Run at<" in get("/dags/d2").text
    assert get("/dags/d2/run_at").status_code == 200


def test_a_dag_with_import_errors_is_not_run(show: Show) -> None:
    show(dag(1, takes_start=True, has_import_errors=True))
    answer = get("/dags/d1/run")
    assert answer.status_code == 409
    assert "has import errors" in answer.text
    assert 'href="/dags/d1/run"' not in get("/").text
    assert 'href="/instances/mics_default/2/run"' in get("/").text


def test_two_connections_to_one_organisation_show_each_instance_once(show: Show) -> None:
    show(dag(1), dag(2, OTHER))
    page = get("/").text
    paths = (
        "dags/d1",
        "dags/d2",
        "instances/mics_default/3",
        "instances/mics_default/2",
        "instances/other/3",
    )
    assert [f'<tr id="{path}">' in page for path in paths] == [True, True, True, False, False]
    assert get("/instances/mics_default/2").status_code == 404


def test_before_the_platform_was_read_a_batch_is_run_through_its_dag(show: Show) -> None:
    show(dag(1), state=PlatformState(failure="timed out"))
    assert '<span class="badge unknown">unknown</span>' in get("/").text
    assert get("/dags/d1/run").status_code == 200
