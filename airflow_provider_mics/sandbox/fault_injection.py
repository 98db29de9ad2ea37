"""What each kind of fault does to an exchange."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from airflow_provider_mics.sandbox.answers import error_content
from airflow_provider_mics.sandbox.exchanges import Answer, Exchange
from airflow_provider_mics.sandbox.faults import FaultParameters

Injection = Callable[[Exchange, FaultParameters], Awaitable[None]]

HTML = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>"


async def refuse(exchange: Exchange, parameters: FaultParameters) -> None:
    """All connections are reset, and new ones refused for ``seconds``, those to the admin routes too."""
    exchange.begin_outage(parameters.seconds)
    await exchange.reset()


async def drop_before(exchange: Exchange, parameters: FaultParameters) -> None:
    """The connection is reset; nothing was done."""
    del parameters
    await exchange.reset()


async def drop_after(exchange: Exchange, parameters: FaultParameters) -> None:
    """The work is done, then the connection is reset."""
    del parameters
    await exchange.carry_out()
    await exchange.reset()


async def timeout_before(exchange: Exchange, parameters: FaultParameters) -> None:
    """Nothing is done and nothing comes for ``seconds``; then the connection is reset."""
    if await exchange.stay_silent(parameters.seconds):
        await exchange.reset()


async def timeout_after(exchange: Exchange, parameters: FaultParameters) -> None:
    """The work is done; the answer comes only after ``seconds``, if anybody still waits."""
    answer = await exchange.carry_out()
    if await exchange.stay_silent(parameters.seconds):
        await exchange.answer(answer)


def refused_with(status: int) -> Injection:
    async def answer_refusal(exchange: Exchange, parameters: FaultParameters) -> None:
        if parameters.work_done:
            await exchange.carry_out()
        answer = _error(status, f"injected {status}")
        if parameters.retry_after is not None:
            answer.headers.append((b"retry-after", parameters.retry_after.encode()))
        await exchange.answer(answer)

    answer_refusal.__doc__ = f"HTTP {status} in the platform's wrapper, with ``retry_after`` where given."
    return answer_refusal


async def html(exchange: Exchange, parameters: FaultParameters) -> None:
    """A gateway's error page in HTML, with ``status``."""
    if parameters.work_done:
        await exchange.carry_out()
    answer = Answer(parameters.status, [(b"content-type", b"text/html")])
    await exchange.answer(answer.with_body(HTML.encode()))


async def cut_json(exchange: Exchange, parameters: FaultParameters) -> None:
    """The work is done; only a ``share`` of the answer's body comes, in one of two ways (``variant``)."""
    answer = await exchange.carry_out()
    kept = answer.body[: int(len(answer.body) * parameters.share)]
    if parameters.variant == "complete":
        await exchange.answer(answer.with_body(kept))
        return
    cut = answer.with_body(kept, stated_length=len(answer.body) + 1)
    await exchange.begin(cut)
    await exchange.send_piece(kept, last=False)
    await exchange.close()


async def slow(exchange: Exchange, parameters: FaultParameters) -> None:
    """The work is done; the answer's body drips: ``bytes_at_a_time``, with ``delay_s`` between."""
    answer = await exchange.carry_out()
    await exchange.begin(answer)
    step = parameters.bytes_at_a_time
    for start in range(0, len(answer.body), step):
        if exchange.is_closed:
            return
        await asyncio.sleep(parameters.delay_s)
        await exchange.send_piece(answer.body[start : start + step], last=False)
    await exchange.send_piece(b"", last=True)


async def duplicate(exchange: Exchange, parameters: FaultParameters) -> None:
    """The request is delivered twice, and carried out twice; the second answer comes."""
    del parameters
    await exchange.carry_out()
    await exchange.answer(await exchange.carry_out())


async def error_200(exchange: Exchange, parameters: FaultParameters) -> None:
    """HTTP 200 with an error in the platform's wrapper."""
    if parameters.work_done:
        await exchange.carry_out()
    answer = _error(500, "injected error with HTTP 200")
    answer.status = 200
    await exchange.answer(answer)


async def body(exchange: Exchange, parameters: FaultParameters) -> None:
    """Any ``status``, ``headers`` and ``body``, or any bytes at all (``raw_base64``), instead of the answer."""
    if parameters.work_done:
        await exchange.carry_out()
    await exchange.write_raw(parameters.raw_answer)


KINDS: dict[str, Injection] = {
    "refuse": refuse,
    "drop_before": drop_before,
    "drop_after": drop_after,
    "timeout_before": timeout_before,
    "timeout_after": timeout_after,
    **{str(status): refused_with(status) for status in (429, 500, 502, 503, 504)},
    "html": html,
    "cut_json": cut_json,
    "slow": slow,
    "duplicate": duplicate,
    "error_200": error_200,
    "body": body,
}

STALE_LIST = (
    "Lists of executions lack those created less than ``seconds`` ago; it goes together with other faults."
)


def described() -> dict[str, str]:
    """What each kind does, in one line."""
    return {**{kind: inject.__doc__ or "" for kind, inject in KINDS.items()}, "stale_list": STALE_LIST}


def _error(status: int, message: str) -> Answer:
    content = json.dumps(error_content(status, message)).encode()
    return Answer(status, [(b"content-type", b"application/json")]).with_body(content)
