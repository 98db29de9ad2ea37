"""Whether a test has a browser."""

from __future__ import annotations

import os

import pytest

from local_airflow.chromium import missing


def require_chromium() -> None:
    """Skip the test where there is no Chromium; in CI, which installs it, that is a failure."""
    reason = missing()
    if reason is None:
        return
    if os.environ.get("CI") or os.environ.get("MICS_REQUIRE_CHROMIUM"):
        pytest.fail(reason)
    pytest.skip(reason)
