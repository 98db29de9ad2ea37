"""One sandbox for all tests of a file. Each test starts without quirks, faults and counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from tests.sandbox_server import SandboxServer

TOKENS: Mapping[str, Sequence[str]] = {"first-token": ["1185", "1186"], "second-token": ["2000"]}


@pytest.fixture(scope="module")
def _server() -> Iterator[SandboxServer]:
    with SandboxServer(tokens=TOKENS) as server:
        yield server


@pytest.fixture
def server(_server: SandboxServer) -> SandboxServer:
    _server.clear_faults()
    _server.quirks(reset=True)
    _server.set_tokens(TOKENS)
    _server.set_speed(1)
    _server.reset_counters()
    return _server
