"""Processes that are killed with SIGKILL, wherever they are, leave one execution to who comes after them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.case_counts import IS_FULL
from tests.reliability.conftest import Tell
from tests.sandbox_server import SandboxServer

pytest.importorskip("airflow", reason="these processes run Airflow's operator")

REPEATS = 5 if IS_FULL else 1
STRIDE = 1 if IS_FULL else 3
"""Of the points at which a retry, or the platform, is killed."""
HIDDEN_LOOKS = 3
"""So many looks of each try show nothing that was created before: six of the ten seconds that a list may take."""


class LaggingPlatform:
    """A sandbox whose lists show nothing new to the first looks of each try, and whose batches run on for ever."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.wanted: list[dict[str, object]] = []

    def on_look(self, number: int) -> None:
        hides = [{"kind": "stale_list", "parameters": {"seconds": 3600}}] if number < HIDDEN_LOOKS else []
        self.server.faults([*self.wanted, *hides])

    def new_instance(self) -> str:
        return self.server.create_instance(properties={"outcome": "hang"})

    def started(self, instance_id: str) -> list[str]:
        return [each["id"] for each in self.server.executions(instance_id) if each["started_at"] is not None]


@pytest.fixture(scope="module")
def platform() -> Iterator[LaggingPlatform]:
    with SandboxServer() as server, pytest.MonkeyPatch.context() as patch:
        connection = {
            "conn_type": "mediarithmics",
            "host": server.url,
            "password": server.token,
            "extra": {"organisation_id": server.organisation_id},
        }
        patch.setenv("AIRFLOW_CONN_MICS_DEFAULT", json.dumps(connection))
        yield LaggingPlatform(server)


def test_a_worker_killed_at_any_point_leaves_one_execution_to_its_retry(
    platform: LaggingPlatform, tell: Tell
) -> None:
    from tests.reliability.tried_tasks import DEFERRED, completed, killed_at

    places: Counter[str] = Counter()
    for _ in range(REPEATS):
        point, place = 0, ""
        while not place.startswith(DEFERRED):
            instance_id = platform.new_instance()
            place = killed_at(instance_id, 1, point, platform.on_look)
            execution_id = completed(instance_id, 2, platform.on_look)
            assert platform.started(instance_id) == [execution_id], f"killed {place}"
            places[DEFERRED if place.startswith(DEFERRED) else place] += 1
            point += 1
    tell(f"{sum(places.values())} kills of a first try: 0 double, 0 lost\n{dict(places)}")
    assert {"before POST executions", "after POST executions", DEFERRED} <= set(places)


@pytest.mark.parametrize("first_dies", ["before POST executions", "after POST executions"])
def test_a_retry_that_is_killed_too_leaves_one_execution_to_the_next(
    platform: LaggingPlatform, first_dies: str, tell: Tell
) -> None:
    from tests.reliability.tried_tasks import DEFERRED, completed, killed_at, killed_where

    kills = point = 0
    place = ""
    while not place.startswith(DEFERRED):
        instance_id = platform.new_instance()
        killed_where(instance_id, first_dies, platform.on_look)
        place = killed_at(instance_id, 2, point, platform.on_look)
        execution_id = completed(instance_id, 3, platform.on_look)
        assert platform.started(instance_id) == [execution_id], f"killed {first_dies}, then {place}"
        kills += 2
        point += STRIDE
    tell(f"{kills} kills of a first try and of its retry: 0 double, 0 lost")


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after", "drop_after"])
def test_a_worker_killed_while_the_platform_creates_leaves_one_execution(
    platform: LaggingPlatform, fault: str
) -> None:
    from tests.reliability.tried_tasks import completed, tried

    server, instance_id = platform.server, platform.new_instance()
    struck = server.injected().get(fault, 0)
    platform.wanted = [{"kind": fault, "method": "POST", "times": 1, "parameters": {"seconds": 60}}]
    with tried(instance_id, 1, platform.on_look) as task:
        while task.place() != "before POST executions":
            task.go()
        task.go()
        server.wait_until(lambda: server.injected().get(fault, 0) > struck, 60)
    platform.wanted = []
    execution_id = completed(instance_id, 2, platform.on_look)
    assert platform.started(instance_id) == [execution_id]


def test_a_platform_killed_while_a_batch_is_submitted_has_one_execution_afterwards(
    platform: LaggingPlatform, tell: Tell
) -> None:
    from tests.reliability.tried_tasks import DEFERRED, tried

    kills, point, was_deferred = 0, 1, False
    while not was_deferred:
        instance_id = platform.new_instance()
        with tried(instance_id, 1, platform.on_look) as task:
            place = task.place()
            for _ in range(point):
                if not place.startswith(DEFERRED):
                    task.go()
                    place = task.place()
            was_deferred = place.startswith(DEFERRED)
            platform.server.kill()
            platform.server.start()
            while not place.startswith(DEFERRED):
                task.go()
                place = task.place()
        kills += 1
        assert platform.started(instance_id) == [place.split()[1]]
        point += STRIDE
    tell(f"{kills} kills of the platform during a submission: 0 double, 0 lost")


def test_a_platform_killed_after_it_created_and_before_it_answered_has_one_execution_afterwards(
    platform: LaggingPlatform,
) -> None:
    from tests.reliability.tried_tasks import DEFERRED, tried

    server, instance_id = platform.server, platform.new_instance()
    platform.wanted = [{"kind": "timeout_after", "method": "POST", "times": 1, "parameters": {"seconds": 60}}]
    with tried(instance_id, 1, platform.on_look) as task:
        while task.place() != "before POST executions":
            task.go()
        platform.wanted = []
        task.go()
        server.wait_until(lambda: server.executions(instance_id), 60)
        server.kill()
        server.start()
        while not (place := task.place()).startswith(DEFERRED):
            task.go()
    assert platform.started(instance_id) == [place.split()[1]]
