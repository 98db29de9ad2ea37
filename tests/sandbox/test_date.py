"""The sandbox's answers carry the time of the platform's own clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from airflow_provider_mics.api import MicsClient, PlatformNow
from airflow_provider_mics.api.instances import list_instances
from tests.sandbox_server import SandboxServer


@pytest.mark.parametrize("behind", [0, 150, -40])
def test_the_date_of_an_answer_is_the_platforms(server: SandboxServer, behind: int) -> None:
    server.quirks(clock_offset_s=-behind)
    answer = requests.get(
        f"{server.url}/v1/connected_user", headers={"Authorization": server.token}, timeout=10
    )
    shown = parsedate_to_datetime(answer.headers["date"])
    assert abs(datetime.now(UTC) - shown - timedelta(seconds=behind)) < timedelta(seconds=4)


def test_a_client_reads_the_platforms_clock_from_it(server: SandboxServer) -> None:
    server.quirks(clock_offset_s=-150)
    with MicsClient(server.url, server.token, server.organisation_id) as client:
        assert abs(client.perform(PlatformNow()) - datetime.now(UTC)) < timedelta(seconds=4)
        client.run(list_instances())
        behind = datetime.now(UTC) - client.perform(PlatformNow())
    assert abs(behind - timedelta(seconds=150)) < timedelta(seconds=4)
