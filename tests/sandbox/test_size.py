from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.sandbox_server import SandboxServer


def test_a_list_of_100_000_executions_pages_well(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    server.bulk(instance_id=int(instance_id), executions=100_000)
    for first_result in (0, 99_900):
        started = time.monotonic()
        page = server.send(
            "GET", "integration_batch_instances.executions",
            organisation_id="1185", first_result=first_result, max_results=100,
        ).json()  # fmt: skip
        assert time.monotonic() - started < 1
        assert (page["count"], page["total"]) == (100, 100_000)


def test_many_instances_are_made_at_once_and_fire(server: SandboxServer) -> None:
    made = server.bulk(instances=300, organisation_id="1186", cron="0 * * * *", cron_status="ACTIVE")[
        "instance_ids"
    ]
    assert len(set(made)) == 300
    server.jump_clock(3_600)
    server.tick()
    assert len(server.executions(created_by="scheduler")) == 300


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_an_idle_server_uses_next_to_no_cpu(server: SandboxServer) -> None:
    def cpu_ticks() -> int:
        fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = cpu_ticks()
    time.sleep(2)  # measures the server between requests
    assert cpu_ticks() - before <= 20
