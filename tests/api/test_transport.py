"""A client with a transport of one's own, and the loop that runs flows, for those who perform the steps themselves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_mics.api import (
    AsyncMicsClient,
    Call,
    Log,
    MicsApiError,
    MicsClient,
    MicsConnectionError,
    Now,
    Response,
    Sleep,
    adrive,
    create_instance,
    drive,
    get_instance,
)
from airflow_provider_mics.api.calls import Steps, flow
from tests.api.both_clients import AsyncClient, BlockingClient
from tests.flow_driver import NOON

TOKEN = "api:own+token=="
GOOD = Response(200, {}, b'{"status": "ok", "data": {"id": "42"}}')


class Script:
    """Gives each request the next of ``outcomes``."""

    def __init__(self, *outcomes: Response | Exception) -> None:
        self.outcomes = list(outcomes)
        self.calls: list[Call[Any]] = []
        self.is_closed = False

    def send(self, call: Call[Any]) -> Response:
        self.calls.append(call)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        self.is_closed = True


class AsyncScript:
    def __init__(self, script: Script) -> None:
        self._script = script

    async def send(self, call: Call[Any]) -> Response:
        return self._script.send(call)

    async def aclose(self) -> None:
        self._script.close()


def client_on(kind: str, script: Script, **options: Any) -> BlockingClient | AsyncClient:
    given = {"base_url": "http://platform.invalid", "token": TOKEN, "organisation_id": "1185", **options}
    if kind == "blocking":
        return BlockingClient(transport=script, **given)
    return AsyncClient(transport=AsyncScript(script), **given)


def test_its_requests_are_retried_read_and_redacted_by_the_client(kind):
    refusal = Response(400, {}, f'{{"status": "error", "error": "bad {TOKEN}"}}'.encode())
    script = Script(Response(503, {}, b""), MicsConnectionError("reset"), GOOD, refusal)
    client = client_on(kind, script)
    assert client.run(get_instance("42")).id == "42"
    assert len(client.pauses) == 2
    with pytest.raises(MicsApiError) as raised:
        client.run(get_instance("42"))
    assert TOKEN not in str(raised.value)
    client.close()
    assert script.is_closed


def test_it_gets_complete_calls(kind):
    script = Script(GOOD)
    client = client_on(kind, script, size_fields="console")
    client.run(create_instance("g", "a", "n", cpu_size="EXTRA_LARGE"))
    [call] = script.calls
    assert call.query == {"organisation_id": "1185"}
    assert call.body is not None
    assert call.body["organisation_id"] == "1185"
    assert call.body["execution_container_cpu_size"] == "XL"
    client.close()


def test_a_clock_of_ones_own_is_what_flows_are_told_the_time_by():
    @flow
    def now() -> Steps[datetime]:
        return (yield Now())

    with MicsClient("http://platform.invalid", TOKEN, transport=Script(), clock=lambda: NOON) as client:
        assert client.run(now()) == NOON

    async def run() -> datetime:
        transport = AsyncScript(Script())
        async with AsyncMicsClient(
            "http://platform.invalid", TOKEN, transport=transport, clock=lambda: NOON
        ) as client:
            return await client.run(now())

    assert asyncio.run(run()) == NOON
    with MicsClient("http://platform.invalid", TOKEN, transport=Script()) as client:
        assert abs((client.run(now()) - datetime.now(UTC)).total_seconds()) < 60


@flow
def errand() -> Steps[list[Any]]:
    results: list[Any] = []
    for step in (Sleep(3), Now(), Log("line"), get_instance("1")):
        try:
            results.append((yield step))
        except LookupError as error:
            results.append(str(error))
    return results


def perform(step: Any) -> Any:
    match step:
        case Call():
            raise LookupError("no server")
        case _:
            return type(step).__name__


async def aperform(step: Any) -> Any:
    return perform(step)


def test_a_flow_is_sent_what_came_of_each_step_and_handles_its_errors():
    expected = ["Sleep", "Now", "Log", "no server"]
    job = errand()
    assert drive(job, perform) == expected
    assert asyncio.run(adrive(job, aperform)) == expected, "a flow can be run more than once"


def test_what_a_flow_does_not_handle_comes_out():
    with pytest.raises(LookupError, match="no server"):
        drive(get_instance("1"), perform)
    with pytest.raises(LookupError, match="no server"):
        asyncio.run(adrive(get_instance("1"), aperform))
