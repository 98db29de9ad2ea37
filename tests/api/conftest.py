"""The platform, and either client of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.api.both_clients import KINDS, Client, Kind, client_of

if TYPE_CHECKING:
    from tests.sandbox_server import SandboxServer

# Properties are tried without a clock: a busy machine is not a failure.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def running_platform() -> Iterator[SandboxServer]:
    from tests.sandbox_server import SandboxServer

    with SandboxServer() as server:
        yield server


@pytest.fixture
def platform(running_platform: SandboxServer) -> SandboxServer:
    """A local mediarithmics without quirks and faults, with an organisation and a token of this test's own."""
    number = next(_numbers)
    running_platform.token, running_platform.organisation_id = f"api:token/{number}+x==", str(10_000 + number)
    running_platform.set_tokens({running_platform.token: [running_platform.organisation_id]})
    running_platform.quirks(reset=True)
    running_platform.clear_faults()
    running_platform.reset_counters()
    return running_platform


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def client(platform: SandboxServer, kind: Kind) -> Iterator[Client]:
    """A client of the platform, once of each kind."""
    with client_of(kind, platform.url, platform.token, platform.organisation_id) as made:
        yield made
