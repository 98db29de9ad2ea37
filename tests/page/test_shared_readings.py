"""However many people look, one thread reads; and nobody waits for what may be shown at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_mics.page.shared_readings import KEPT_FOR, MOST_KEPT, SHOWN_FOR, SharedReadings


class Platform:
    """Counts its readings. Each waits until it is allowed."""

    def __init__(self) -> None:
        self.count = 0
        self.is_open = threading.Event()
        self.is_open.set()
        self.is_broken = False
        self.now = 1000.0
        self.seconds = 0.0
        self.previous: int | None = None
        self.readings = SharedReadings(self.read, lambda: self.now, outdated=lambda number: -number)

    def read(self, key: str, previous: int | None) -> int:
        self.count += 1
        self.now += self.seconds
        self.previous = previous
        number = self.count
        self.is_open.wait(10)
        if self.is_broken:
            raise RuntimeError("no")
        return number


@pytest.fixture
def platform() -> Platform:
    return Platform()


def eventually(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        threading.Event().wait(0.005)
    raise AssertionError("not within five seconds")


def test_many_viewers_are_one_reading(platform: Platform) -> None:
    with ThreadPoolExecutor(20) as viewers:
        seen = list(viewers.map(lambda _: platform.readings.get("a"), range(200)))
    assert set(seen) == {1}
    assert platform.count == 1


def test_a_state_is_kept_for_some_seconds(platform: Platform) -> None:
    platform.readings.get("a")
    platform.now += KEPT_FOR - 1
    assert (platform.readings.get("a"), platform.count) == (1, 1)
    platform.now += 2
    platform.is_open.clear()
    assert platform.readings.get("a") == 1
    platform.is_open.set()
    eventually(lambda: platform.readings.get("a") == 2)


def test_an_older_state_is_shown_while_the_platform_is_slow(platform: Platform) -> None:
    platform.readings.get("a")
    platform.is_open.clear()
    platform.now += KEPT_FOR + 1
    assert platform.readings.get("a") == 1
    platform.is_open.set()


def test_a_state_that_is_too_old_is_waited_for(platform: Platform) -> None:
    platform.readings.get("a")
    platform.now += SHOWN_FOR + 1
    assert platform.readings.get("a") == 2


def test_after_an_action_the_next_viewer_waits_for_a_new_state(platform: Platform) -> None:
    platform.readings.get("a")
    platform.now += 1
    platform.readings.expire("a")
    assert platform.readings.get("a") == 2


def test_the_reading_after_an_action_knows_that_something_was_changed(platform: Platform) -> None:
    for _ in range(3):
        platform.readings.get("a")
        platform.now += SHOWN_FOR + 1
    assert platform.previous == 2
    platform.readings.expire("a")
    platform.readings.get("a")
    assert platform.previous == -3
    platform.now += SHOWN_FOR + 1
    platform.readings.get("a")
    assert platform.previous == 4


def test_several_states_are_read_at_the_same_time(platform: Platform) -> None:
    platform.is_open.clear()
    with ThreadPoolExecutor(1) as viewer:
        seen = viewer.submit(platform.readings.get_all, ["a", "b", "c"])
        eventually(lambda: platform.count == 3)
        platform.is_open.set()
        assert set(seen.result().values()) == {1, 2, 3}


def test_several_states_are_waited_for_as_long_as_one(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_mics.page.shared_readings.LONGEST_WAIT", 0.5)
    platform.is_open.clear()
    began = time.monotonic()
    assert platform.readings.get_all(map(str, range(10))) == dict.fromkeys(map(str, range(10)))
    assert time.monotonic() - began < 3
    platform.is_open.set()


def test_what_takes_long_is_shown_for_longer(platform: Platform) -> None:
    platform.seconds = 20
    platform.readings.get("a")
    platform.is_open.clear()
    platform.now += 101
    platform.seconds = 0
    with ThreadPoolExecutor(1) as viewer:
        assert viewer.submit(platform.readings.get, "a").result(4) == 1, "without waiting for another one"
        platform.now += 60
        seen = viewer.submit(platform.readings.get, "a")
        eventually(lambda: platform.count == 2)
        assert not seen.done()
        platform.is_open.set()
        assert seen.result() == 2


def test_a_reading_that_began_before_an_action_does_not_count(platform: Platform) -> None:
    platform.is_open.clear()
    with ThreadPoolExecutor(1) as viewer:
        seen = viewer.submit(platform.readings.get, "a")
        eventually(lambda: platform.count == 1)
        platform.now += 1
        platform.readings.expire("a")
        platform.is_open.set()
        assert seen.result() == 2


def test_a_reading_that_fails_blocks_nobody(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    platform.is_broken = True
    assert platform.readings.get("a") is None
    assert "could not be read" in caplog.text
    platform.is_broken = False
    assert platform.readings.get("a") == platform.count


def test_what_nobody_looks_at_is_forgotten(platform: Platform) -> None:
    for number in range(MOST_KEPT + 1):
        platform.readings.get(str(number))
    before = platform.count
    platform.readings.get("0")
    assert platform.count == before + 1
