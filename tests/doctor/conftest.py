"""One sandbox with the demo's organisation for all tests of a file; each starts without quirks and faults."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.doctor.runs import TOKENS, ZONE, Doctor
from tests.sandbox_server import SandboxServer

SETTLING_TIME = timedelta(seconds=1)


@pytest.fixture(scope="module")
def _platform() -> Iterator[SandboxServer]:
    with SandboxServer(seed_demo=True, timezone=ZONE, tokens=TOKENS) as server:
        yield server


@pytest.fixture
def platform(_platform: SandboxServer) -> SandboxServer:
    _platform.clear_faults()
    _platform.quirks(reset=True)
    _platform.set_tokens(TOKENS)
    _platform.reset_counters()
    return _platform


@pytest.fixture
def doctor(
    platform: SandboxServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Doctor:
    """The command with the right settings for the platform, in environment variables.

    Over HTTP, time is real: what the platform may take to list an execution is shorter than it is.
    """
    monkeypatch.setattr("airflow_provider_mics.doctor.checks.trial.SETTLING_TIME", SETTLING_TIME)
    for module in ("trial", "cancelling"):
        monkeypatch.setattr(f"airflow_provider_mics.doctor.checks.{module}.READ_INTERVAL", 0.2)
    doctor = Doctor(monkeypatch, capsys)
    doctor.set(HOST=platform.url, TOKEN=platform.token, ORGANISATION_ID="1185", TIMEZONE=ZONE)
    return doctor


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_mics.api.retries.FIRST_BACKOFF", 0.01)
