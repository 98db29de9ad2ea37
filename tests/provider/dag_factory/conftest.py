"""A snapshot, and an organisation of its own on a sandbox that the tests of one file share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sandbox_server import SandboxServer


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    return tmp_path / "inventory.jsonl"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    from tests.sandbox_server import SandboxServer

    with SandboxServer() as server:
        yield server


@pytest.fixture
def mics_default(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    from tests.provider.dag_factory.factories import new_organisation

    with new_organisation(server, monkeypatch) as organisation:
        yield organisation
