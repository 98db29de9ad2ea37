from __future__ import annotations

import time
from functools import partial
from itertools import pairwise

import pytest

from tests.sandbox_server import SandboxServer


def test_a_killed_server_comes_back_with_everything_it_answered() -> None:
    with SandboxServer(tokens={"t": ["1185"], "u": ["9"]}) as server:
        instance_id = server.create_instance(cron="0 0 1 1 *", properties={"duration_s": 3_600})
        execution = server.create_execution(instance_id)
        server.quirks(ids_as_numbers=True)
        server.faults([{"kind": 500, "path": "never"}], seed=3)
        server.jump_clock(100_000)
        before_ms = server.now_ms()
        seen = server.send("GET", f"integration_batch_instances/{instance_id}").content
        server.restart()
        assert server.send("GET", f"integration_batch_instances/{instance_id}").content == seen
        path = f"integration_batch_instances/{instance_id}/executions/{execution['id']}"
        assert server.call("GET", path)["status"] == "SUCCEEDED"
        assert 0 < server.now_ms() - before_ms < 60_000


def test_executions_go_on_while_the_server_is_down() -> None:
    with SandboxServer(speed=1_000) as server:
        instance_id = server.create_instance(properties={"duration_s": 500})
        execution = server.create_execution(instance_id)
        server.kill()
        time.sleep(0.2)  # 200 seconds on the platform, in addition to the time of a start
        server.start()
        path = f"integration_batch_instances/{instance_id}/executions/{execution['id']}"
        done = server.wait_until(lambda: (e := server.call("GET", path))["status"] == "SUCCEEDED" and e)
        assert done["duration"] == 500_000


def has_more_than(server: SandboxServer, instance_id: str, count: int) -> bool:
    return len(server.executions(instance_id)) > count


def test_a_fast_platform_fires_each_tick_once_whatever_kills_it() -> None:
    with SandboxServer(speed=60) as server:
        instance_id = server.create_instance(cron="* * * * *", properties={"duration_s": 1})
        for _ in range(3):
            before = len(server.executions(instance_id))
            server.wait_until(partial(has_more_than, server, instance_id, before))
            server.restart()
        server.wait_until(partial(has_more_than, server, instance_id, 3))
        ticks = [each["expected_start_date"] for each in server.executions(instance_id)]
        assert len(ticks) == len(set(ticks))
        # The grace period is ten real seconds, so the ticks during the restart were made up.
        assert ticks == list(range(ticks[0], ticks[-1] + 1, 60_000))


def test_a_tick_missed_for_long_is_not_made_up() -> None:
    with SandboxServer(quirks={"missed_tick_grace_s": 0}, speed=600) as server:
        instance_id = server.create_instance(cron="* * * * *")
        server.kill()
        down_ms = 600 * 200
        time.sleep(0.2)
        server.start()
        created = server.call("GET", f"integration_batch_instances/{instance_id}")["creation_ts"]

        def longest_pause() -> int:
            """A tick may have fired before it was killed."""
            ticks = [each["expected_start_date"] for each in server.executions(instance_id)]
            return max((after - before for before, after in pairwise([created, *ticks])), default=0)

        assert server.wait_until(lambda: longest_pause() > down_ms)


@pytest.mark.parametrize("connections", [0, 1])
def test_sigterm_ends_it_quickly_and_quietly(connections: int) -> None:
    with SandboxServer() as server:
        if connections:
            server.call("GET", "connected_user")
        started = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - started < 3
        assert server.output().count("\n") == 1
