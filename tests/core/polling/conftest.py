"""One sandbox for all tests of polling that do not kill it, with an organisation of its own for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.core.polling.real_waits import RealPlatform
from tests.sandbox_server import SandboxServer

_organisations = itertools.count(2001)


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def platform(shared_sandbox: SandboxServer) -> Iterator[RealPlatform]:
    """An organisation of its own on a sandbox without quirks or faults."""
    yield in_new_organisation(shared_sandbox)
    shared_sandbox.quirks(reset=True)
    shared_sandbox.faults()


@pytest.fixture
def restartable_platform(sandbox: SandboxServer) -> RealPlatform:
    """An organisation on a sandbox that may be killed; after a restart it accepts its first token."""
    return RealPlatform(sandbox, sandbox.organisation_id, sandbox.token)


def in_new_organisation(server: SandboxServer) -> RealPlatform:
    organisation_id = str(next(_organisations))
    server.set_tokens({server.token: [organisation_id]})
    server.reset_counters()
    return RealPlatform(server, organisation_id, server.token)
