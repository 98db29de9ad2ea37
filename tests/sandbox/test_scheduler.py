from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.sandbox_server import SandboxServer

MINUTE_MS = 60_000
EVERY_MINUTE = "* * * * *"


def ticks(server: SandboxServer, instance_id: str) -> list[int]:
    return [each["expected_start_date"] for each in server.executions(instance_id, "scheduler")]


def just_after_a_minute(server: SandboxServer, seconds: float = 1) -> int:
    """Set the clock forward to shortly after a full minute; that minute, in epoch milliseconds."""
    minute_ms = (server.now_ms() // MINUTE_MS + 2) * MINUTE_MS
    server.set_clock(minute_ms + int(seconds * 1000))
    return minute_ms


def change(server: SandboxServer, instance_id: str, **changes: Any) -> None:
    path = f"integration_batch_instances/{instance_id}"
    server.call("PUT", path, server.call("GET", path) | changes)


def test_each_tick_makes_one_cron_execution(server: SandboxServer) -> None:
    minute_ms = just_after_a_minute(server)
    instance_id = server.create_instance(cron=EVERY_MINUTE)
    for _ in range(3):
        server.jump_clock(60)
        server.tick()
        server.tick()
    assert ticks(server, instance_id) == [minute_ms + number * MINUTE_MS for number in (1, 2, 3)]
    made = server.executions(instance_id)
    assert {each["execution_type"] for each in made} == {"CRON"}


def test_it_fires_by_itself_at_the_tick(server: SandboxServer) -> None:
    minute_ms = just_after_a_minute(server, seconds=59.7)
    instance_id = server.create_instance(cron=EVERY_MINUTE)
    (made,) = server.wait_until(lambda: server.executions(instance_id))
    assert made["expected_start_date"] == minute_ms + MINUTE_MS
    assert 0 <= made["created_at"] - made["expected_start_date"] < 5_000


def test_a_tick_fires_once_though_an_execution_was_created_for_it_by_hand(server: SandboxServer) -> None:
    minute_ms = just_after_a_minute(server)
    instance_id = server.create_instance(cron=EVERY_MINUTE)
    server.create_execution(instance_id, minute_ms + MINUTE_MS, "CRON")
    server.jump_clock(60)
    server.tick()
    assert [each["created_by"] for each in server.executions(instance_id)] == ["api", "scheduler"]


def test_a_platform_can_leave_out_ticks_that_were_created_by_hand(server: SandboxServer) -> None:
    server.quirks(skips_planned_ticks=True)
    minute_ms = just_after_a_minute(server)
    instance_id = server.create_instance(cron=EVERY_MINUTE)
    server.create_execution(instance_id, minute_ms + MINUTE_MS, "CRON")
    server.create_execution(instance_id, minute_ms + 2 * MINUTE_MS, "MANUAL")
    server.jump_clock(120)
    server.tick()
    assert ticks(server, instance_id) == [minute_ms + 2 * MINUTE_MS]


@pytest.mark.parametrize(
    "stop", [{"cron_status": "PAUSED"}, {"cron": None, "cron_status": None}, {"archived": True}, "delete"]
)
def test_stopping_cancels_the_coming_executions(server: SandboxServer, stop: Any) -> None:
    server.quirks(creates_ahead_s=150)
    minute_ms = just_after_a_minute(server)
    instance_id = server.create_instance(cron=EVERY_MINUTE, properties={"duration_s": 1_000})
    server.tick()
    assert ticks(server, instance_id) == [minute_ms + MINUTE_MS, minute_ms + 2 * MINUTE_MS]
    server.jump_clock(60)
    later = server.create_execution(instance_id, server.now_ms() + 3_600_000)
    if stop == "delete":
        server.call("DELETE", f"integration_batch_instances/{instance_id}")
    else:
        change(server, instance_id, **stop)
    server.jump_clock(600)
    server.tick()
    made = server.executions(instance_id)
    assert [each["status"] for each in made] == ["RUNNING", *["CANCELED"] * (len(made) - 1)]
    assert later["id"] in {each["id"] for each in made}


def test_pausing_can_leave_the_coming_executions_alone(server: SandboxServer) -> None:
    server.quirks(creates_ahead_s=90, pausing_cancels=False)
    just_after_a_minute(server)
    instance_id = server.create_instance(cron=EVERY_MINUTE)
    server.tick()
    change(server, instance_id, cron_status="PAUSED")
    assert [each["status"] for each in server.executions(instance_id)] == ["PENDING"]
    change(server, instance_id, cron_status="ACTIVE")
    server.tick()
    assert len(ticks(server, instance_id)) == 1


def test_a_resumed_instance_fires_from_the_next_tick_on(server: SandboxServer) -> None:
    server.quirks(creates_ahead_s=90)
    minute_ms = just_after_a_minute(server)
    instance_id = server.create_instance(cron=EVERY_MINUTE)
    server.tick()
    change(server, instance_id, cron_status="PAUSED")
    change(server, instance_id, cron_status="ACTIVE")
    server.tick()
    made = server.executions(instance_id)
    assert [each["expected_start_date"] for each in made] == [minute_ms + MINUTE_MS] * 2
    assert [each["status"] for each in made] == ["CANCELED", "PENDING"]


def test_another_cron_replaces_the_ticks_but_not_what_people_planned(server: SandboxServer) -> None:
    server.quirks(creates_ahead_s=90)
    just_after_a_minute(server)
    instance_id = server.create_instance(cron=EVERY_MINUTE)
    server.create_execution(instance_id, server.now_ms() + 3_600_000)
    server.tick()
    change(server, instance_id, cron="0 0 1 1 *")
    by_creator = {each["created_by"]: each["status"] for each in server.executions(instance_id)}
    assert by_creator == {"api": "PENDING", "scheduler": "CANCELED"}


def test_a_paused_instance_can_be_run_by_hand(server: SandboxServer) -> None:
    instance_id = server.create_instance(cron=EVERY_MINUTE, cron_status="PAUSED")
    assert server.create_execution(instance_id)["status"] == "RUNNING"
    server.jump_clock(600)
    server.tick()
    assert ticks(server, instance_id) == []


def test_a_silent_platform_fires_nothing_and_makes_nothing_up(server: SandboxServer) -> None:
    just_after_a_minute(server)
    instance_id = server.create_instance(cron=EVERY_MINUTE)
    server.quirks(platform_silent=True)
    server.jump_clock(300)
    server.tick()
    server.quirks(platform_silent=False)
    server.tick()
    assert ticks(server, instance_id) == []
    server.jump_clock(60)
    server.tick()
    assert len(ticks(server, instance_id)) == 1


def test_a_late_platform_fires_for_the_tick_it_missed(server: SandboxServer) -> None:
    server.quirks(platform_late_s=90)
    minute_ms = just_after_a_minute(server)
    instance_id = server.create_instance(cron=EVERY_MINUTE)
    server.jump_clock(120)
    server.tick()
    assert ticks(server, instance_id) == []
    server.jump_clock(30)
    server.tick()
    (made,) = server.executions(instance_id)
    assert made["expected_start_date"] == minute_ms + MINUTE_MS
    assert made["created_at"] >= minute_ms + MINUTE_MS + 90_000


def test_a_clock_apart_moves_the_ticks_and_a_jump_back_repeats_none(server: SandboxServer) -> None:
    just_after_a_minute(server)
    instance_id = server.create_instance(cron=EVERY_MINUTE)
    before_ms = server.now_ms()
    server.quirks(clock_offset_s=60)
    assert 59_000 < server.now_ms() - before_ms < 70_000
    server.tick()
    assert len(ticks(server, instance_id)) == 1
    server.quirks(clock_offset_s=0)
    server.tick()
    server.quirks(clock_offset_s=60)
    server.tick()
    assert len(ticks(server, instance_id)) == 1


def test_an_unreadable_cron_is_kept_and_never_fires_where_it_is_not_checked(server: SandboxServer) -> None:
    server.quirks(cron_validation=False)
    instance_id = server.create_instance(cron="every night")
    assert server.call("GET", f"integration_batch_instances/{instance_id}")["cron"] == "every night"
    server.jump_clock(600)
    server.tick()
    assert ticks(server, instance_id) == []


def test_ticks_are_of_the_configured_time_zone() -> None:
    with SandboxServer(timezone="Europe/Paris") as server:
        server.set_clock(int(datetime(2027, 3, 27, 12, tzinfo=UTC).timestamp() * 1000))
        instance_id = server.create_instance(cron="30 2 * * *")
        for _ in range(3):
            server.jump_clock(86_400)
            server.tick()
        found = [datetime.fromtimestamp(tick / 1000, UTC) for tick in ticks(server, instance_id)]
        assert [f"{tick:%d %H:%M}" for tick in found] == ["28 01:30", "29 00:30", "30 00:30"]
