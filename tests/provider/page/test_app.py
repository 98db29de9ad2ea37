"""What the page answers before anything was read; without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from local_airflow.components import IS_AIRFLOW_2

if IS_AIRFLOW_2:
    pytest.skip("Airflow 2.11 has no such pages", allow_module_level=True)

from airflow.api_fastapi.core_api.security import get_user
from httpx import ASGITransport, AsyncClient, Response

from airflow_provider_mics.page import site
from airflow_provider_mics.page.app import make_app


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
