"""The blocking and the async client behind one face, so that every case runs with both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol, TypeVar

from airflow_provider_mics.api import AsyncMicsClient, MicsClient
from airflow_provider_mics.api.calls import Job

T = TypeVar("T")
Kind = Literal["blocking", "async"]
KINDS: tuple[Kind, ...] = ("blocking", "async")
TOKEN = "api:5f0c/secret+token=="
ORGANISATION = "1185"


class LogLines:
    """Takes what a client logs."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, level: int, message: str, /, *args: object) -> None:
        del level
        self.lines.append(message % args)


class Client(Protocol):
    """What the cases see of either client. ``pauses`` are those between attempts: nobody really waits."""

    pauses: list[float]
    log: LogLines
    real: MicsClient | AsyncMicsClient

    def run(self, job: Job[T]) -> T: ...


class BlockingClient:
    def __init__(self, **arguments: Any) -> None:
        self.pauses: list[float] = []
        self.log = LogLines()
        self.real = MicsClient(**arguments, sleep=self.pauses.append, log=self.log)

    def run(self, job: Job[T]) -> T:
        return self.real.run(job)

    def close(self) -> None:
        self.real.close()


class AsyncClient:
    """The async client in an event loop of its own, which lives as long as it does."""

    def __init__(self, **arguments: Any) -> None:
        self.pauses: list[float] = []
        self.log = LogLines()
        self._runner = asyncio.Runner()

        async def sleep(seconds: float) -> None:
            self.pauses.append(seconds)

        async def make() -> AsyncMicsClient:
            return AsyncMicsClient(**arguments, sleep=sleep, log=self.log)

        self.real = self._runner.run(make())

    def run(self, job: Job[T]) -> T:
        return self._runner.run(self.real.run(job))

    def close(self) -> None:
        self._runner.run(self.real.aclose())
        self._runner.close()


@contextmanager
def client_of(
    kind: Kind,
    base_url: str,
    token: str = TOKEN,
    organisation_id: str | None = ORGANISATION,
    **options: Any,
) -> Iterator[Client]:
    """A client of either kind; seconds are short, since the server is next door."""
    arguments = {"timeout": (2.0, 5.0)} | options
    make = BlockingClient if kind == "blocking" else AsyncClient
    client = make(base_url=base_url, token=token, organisation_id=organisation_id, **arguments)
    try:
        yield client
    finally:
        client.close()
