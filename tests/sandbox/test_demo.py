from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_mics.sandbox.scheduler import is_valid_cron, next_tick_ms
from tests.sandbox_server import SandboxServer


@pytest.fixture(scope="module")
def demo() -> Iterator[SandboxServer]:
    with SandboxServer(seed_demo=True, timezone="Europe/Paris") as server:
        yield server


def instances_of(demo: SandboxServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = demo.call("GET", "integration_batch_instances", organisation_id="1185")
    return found


def test_acme_retail_has_batches_of_every_kind(demo: SandboxServer) -> None:
    instances = instances_of(demo)
    assert len(instances) == 10
    alive = [each for each in instances if not each["archived"]]
    assert {each["cron_status"] for each in alive} == {"ACTIVE", "PAUSED", None}
    assert sum(each["archived"] for each in instances) == 1
    assert sum((each["cron"] or "").startswith("*/") for each in alive) >= 2
    assert all(each["cron"] is None or is_valid_cron(each["cron"]) for each in instances)
    assert all(each["version_value"] for each in instances)


def test_its_ids_are_the_same_each_time(demo: SandboxServer) -> None:
    assert sorted(each["id"] for each in instances_of(demo)) == [str(number) for number in range(4101, 4111)]


def test_its_history_fits_its_crons(demo: SandboxServer) -> None:
    crons = {each["id"]: each["cron"] for each in instances_of(demo)}
    history = demo.executions(created_by="history")
    assert len(history) > 30
    for each in history:
        tick_ms = each["expected_start_date"]
        assert next_tick_ms(crons[each["instance_id"]], ZoneInfo("Europe/Paris"), tick_ms - 1) == tick_ms
    moments = [each["expected_start_date"] for each in history]
    assert moments == sorted(moments)


def test_one_of_them_always_fails_with_a_speaking_message(demo: SandboxServer) -> None:
    execution = demo.create_execution("4109")
    path = f"integration_batch_instances/4109/executions/{execution['id']}"
    demo.jump_clock(60)
    failed = demo.call("GET", path)
    assert failed["status"] == "FAILED"
    assert failed["error"]["message"].startswith("SFTP login refused for user acme-crm")


def test_seeding_again_changes_nothing(demo: SandboxServer) -> None:
    before = instances_of(demo)
    demo.restart()
    assert instances_of(demo) == before
