"""What every suite needs. Nothing here imports Airflow: half of the suites run where there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.case_counts import IS_SHORT, short_form

if TYPE_CHECKING:
    from tests.sandbox_server import SandboxServer

# A proxy of the machine must not come between a test and its own server.
for variable in ("NO_PROXY", "no_proxy"):
    os.environ[variable] = "127.0.0.1,localhost,::1"


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A local mediarithmics of this test's own, on a free port."""
    from tests.sandbox_server import SandboxServer

    with SandboxServer() as server:
        yield server


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if IS_SHORT:
        kept = short_form(items)
        chosen = set(kept)
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = kept
