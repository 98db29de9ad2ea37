"""The real blocking client, in the laboratory's time, whose connections are refused now and then."""

from __future__ import annotations

import random
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.clients import MicsClient
from airflow_provider_mics.api.token_history import TokenHistory
from airflow_provider_mics.api.users import get_connected_user
from tests.reliability.fault_rules import READ_TIMEOUT
from tests.reliability.lab_time import LabTime
from tests.sandbox_server import SandboxServer


class ClosedPort:
    """A port that is ours and on which nothing listens: who connects is refused."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.close()


class Notes:
    """What a logical run said, to be shown only if it went wrong."""

    def __init__(self, lab: LabTime) -> None:
        self.lines: list[str] = []
        self._lab = lab

    def log(self, level: int, message: str, /, *args: object) -> None:
        self.lines.append(f"{self._lab.now():%H:%M:%S} {message % args if args else message}")


class Network:
    """What lies between a task and the platform: which address a request is sent to, and how often it is refused."""

    def __init__(self, server: SandboxServer, lab: LabTime, refused: float) -> None:
        self.server = server
        self.lab = lab
        self.counts: Counter[str] = Counter()
        self._refused = refused
        self._closed = ClosedPort()
        self.token_history = TokenHistory()
        self.token_history.accepted(get_connected_user())

    def address(self, chance: random.Random) -> str:
        """Where the next request goes to."""
        self.counts["requests"] += 1
        if chance.random() >= self._refused:
            return self.server.url
        self.counts["refused"] += 1
        return self._closed.url

    def close(self) -> None:
        self._closed.close()

    def client(self, chance: random.Random, sleep: Callable[[float], None], notes: Notes) -> MicsClient:
        return _Client(self, chance, sleep, notes)


class _Client(MicsClient):
    def __init__(
        self, network: Network, chance: random.Random, sleep: Callable[[float], None], notes: Notes
    ) -> None:
        server = network.server
        timeout = network.lab.real(READ_TIMEOUT)
        super().__init__(
            server.url,
            server.token,
            server.organisation_id,
            timeout=timeout,
            sleep=sleep,
            log=notes,
            token_history=network.token_history,
        )
        self._network = network
        self._chance = chance

    def url(self, call: Call[Any]) -> str:
        return f"{self._network.address(self._chance)}/v1/{call.path}"
