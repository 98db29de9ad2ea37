from __future__ import annotations

from airflow_provider_mics.sandbox.clock import Clock


def test_the_clock_runs_faster_jumps_and_goes_on_from_its_anchor() -> None:
    real = [1_000_000.0]
    clock = Clock(read_real_ms=lambda: real[0])
    clock.speed = 60
    real[0] += 1_000
    assert clock.now_ms == 1_060_000
    clock.jump(-10_000)
    assert clock.now_ms == 1_050_000
    clock.speed = 1
    assert clock.now_ms == 1_050_000
    assert clock.real_seconds_until(1_052_000) == 2
    restarted = Clock(read_real_ms=lambda: real[0])
    restarted.anchor = clock.anchor
    real[0] += 5_000
    assert restarted.now_ms == clock.now_ms == 1_055_000
