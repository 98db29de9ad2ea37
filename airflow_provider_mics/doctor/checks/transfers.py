"""What the requests themselves show: clock, latency, rate limits, and what stands between us and the platform."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from urllib.parse import urlsplit

from airflow_provider_mics.api.network import Network
from airflow_provider_mics.api.outages import readable
from airflow_provider_mics.api.responses import retry_after
from airflow_provider_mics.api.text import one_line
from airflow_provider_mics.doctor.checks.rows import Result, Row, counted, names

UNNOTICED_CLOCK_DIFFERENCE = timedelta(seconds=5)
"""A ``Date`` has whole seconds and takes time to arrive."""
TOLERATED_CLOCK_DIFFERENCE = timedelta(minutes=5)
"""What the first try of a manual run allows for; see ``docs/exactly-once.md``."""
SLOW_ANSWER = 2.0
"""Seconds of the median from which on answers are slow."""
SHARE_OF_TIMEOUT = 0.5
"""The part of ``read_timeout`` from which on an answer nearly failed."""
RATE_LIMIT_WORDS = ("ratelimit", "rate-limit", "retry-after", "quota")
INTERMEDIARY_HEADERS = ("via", "age", "x-cache", "cf-ray", "x-amz-cf-id", "x-served-by")
LONGEST_HEADER = 60


@dataclass(frozen=True)
class Exchange:
    """One request: ``client`` is ``blocking`` or ``async``; ``status`` is None where no answer came.

    ``seconds`` is its duration, with the connection that it may have had to make. ``date`` is that of the answer (UTC).
    """

    client: str
    request: str
    sent_at: datetime
    seconds: float
    status: int | None
    headers: Mapping[str, str]
    date: datetime | None


def clock_row(exchanges: Sequence[Exchange]) -> Row:
    """Compare the ``Date`` of the answers with our clock, in the middle of each request."""
    differences = [
        (each.date - each.sent_at).total_seconds() + 0.5 - each.seconds / 2
        for each in exchanges
        if each.date is not None
    ]
    looked_at = f"the Date of {counted(len(differences), 'answer')}"
    if not differences:
        return Row(
            "clock",
            Result.NOTE,
            "the answers have no Date that can be read",
            "The grace of a tick is counted on this machine's clock.",
            "Keep this machine's clock synchronised (NTP).",
        )
    difference = timedelta(seconds=median(differences))
    if abs(difference) < UNNOTICED_CLOCK_DIFFERENCE:
        return Row(
            "clock",
            Result.OK,
            "the platform's clock and this machine's agree",
            "Ticks are due at the same time on both.",
            looked_at=looked_at,
        )
    where = "ahead" if difference > timedelta(0) else "behind"
    found = f"the platform's clock is {readable(abs(difference))} {where}"
    if abs(difference) < TOLERATED_CLOCK_DIFFERENCE:
        means = "The grace of a tick is counted on the platform's clock, so nothing runs twice."
        return Row("clock", Result.NOTE, found, means, looked_at=looked_at)
    means = (
        "Five minutes are tolerated: beyond, a first try may not recognise what is its own or a stranger's."
    )
    advice = (
        "Synchronise the clocks of the scheduler and the workers (NTP); if they are right, ask the vendor."
    )
    return Row("clock", Result.TO_DO, found, means, advice, looked_at)


def latency_row(exchanges: Sequence[Exchange], read_timeout: float) -> Row:
    """Return how long the answers took, by client."""
    answered = [each for each in exchanges if each.status is not None]
    if not answered:
        return Row("latency", Result.NOT_ASKED, "no answer came")
    found = "; ".join(
        f"{client} client: median {_milliseconds(median(seconds))}, slowest {_milliseconds(max(seconds))}"
        for client in ("blocking", "async")
        if (seconds := [each.seconds for each in answered if each.client == client])
    )
    looked_at = counted(len(answered), "answer")
    unanswered = len(exchanges) - len(answered)
    found += f"; {counted(unanswered, 'request')} without an answer" if unanswered else ""
    slowest = max(answered, key=lambda each: each.seconds)
    if slowest.seconds > read_timeout * SHARE_OF_TIMEOUT:
        means = f"{slowest.request} took more than half of read_timeout ({read_timeout:g} s)."
        advice = f"Set read_timeout to {max(60, round(slowest.seconds * 4))}."
        return Row("latency", Result.TO_DO, found, means, advice, looked_at)
    if unanswered:
        means = "Requests are sent again where that is safe, but connections get lost on the way."
        return Row("latency", Result.NOTE, found, means, looked_at=looked_at)
    if median(each.seconds for each in answered) > SLOW_ANSWER:
        means = "Answers are slow: a refresh of the inventory takes several parses."
        return Row("latency", Result.NOTE, found, means, looked_at=looked_at)
    return Row("latency", Result.OK, found, "Far below the time-outs.", looked_at=looked_at)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def rate_limit_row(exchanges: Sequence[Exchange]) -> Row:
    """Return which limits the answers name, and how many requests were refused by one."""
    looked_at = counted(len(exchanges), "request")
    refused = [each for each in exchanges if each.status == 429]
    named: dict[str, str] = {}
    for each in exchanges:
        for name, value in each.headers.items():
            if any(word in name for word in RATE_LIMIT_WORDS):
                named[name] = one_line(value, LONGEST_HEADER)
    shown = names([f"{name}: {value}" for name, value in sorted(named.items())])
    if refused:
        pauses = [pause for each in refused if (pause := retry_after(each.headers)) is not None]
        asked = f", asked to wait {max(pauses):g} s" if pauses else ""
        found = f"{counted(len(refused), 'request')} refused with 429{asked}" + (
            f"; {shown}" if shown else ""
        )
        means = "The provider waits and asks again, but every poll and parse counts against the limit."
        advice = "Raise poll_interval, and ask the vendor for a higher limit."
        return Row("rate limits", Result.TO_DO, found, means, advice, looked_at)
    if shown:
        means = "The limit was not reached. All waits of a triggerer share one poll."
        return Row("rate limits", Result.NOTE, shown, means, looked_at=looked_at)
    means = "If there is a limit, these requests did not reach it."
    return Row("rate limits", Result.OK, "none seen", means, looked_at=looked_at)


def network_row(host: str, network: Network, exchanges: Sequence[Exchange], *, is_from_settings: bool) -> Row:
    """Return what stands between us and the platform.

    :param is_from_settings: whether the proxy is one of the settings, not of the environment
    """
    source = "the setting proxies" if is_from_settings else "the environment"
    ways = ["no proxy" if network.proxy is None else f"proxy {_address(network.proxy)} of {source}"]
    parts = urlsplit(host)
    if parts.scheme == "https":
        bundle = f"CA bundle {network.verify}" if isinstance(network.verify, str) else "default CA bundle"
        ways.append("certificates are not verified" if network.verify is False else bundle)
    seen = {
        name: one_line(each.headers[name], LONGEST_HEADER)
        for each in exchanges
        for name in INTERMEDIARY_HEADERS
        if name in each.headers
    }
    ways += [f"{name}: {value}" for name, value in seen.items()]
    found = f"{host}: {', '.join(ways)}"
    if parts.scheme == "http" and not _is_near(parts.hostname or ""):
        means = "The token is sent without encryption: everybody on the way can read it."
        return Row(
            "network", Result.TO_DO, found, means, f"Set the host to {host.replace('http:', 'https:')}."
        )
    if parts.scheme == "https" and network.verify is False:
        means = "Whoever intercepts the connection gets the token."
        return Row("network", Result.TO_DO, found, means, "Set verify to the path of the proxy's CA bundle.")
    if seen.get("age", "0") != "0":
        means = "A cache answers in the platform's place, so that states may be old."
        return Row("network", Result.TO_DO, found, means, "Exempt the platform from that cache.")
    return Row("network", Result.OK, found, "Both clients go this way.")


def _address(proxy: str) -> str:
    """Return scheme, host and port of a proxy: its URL may contain a password."""
    parts = urlsplit(proxy)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


def _is_near(host: str) -> bool:
    """Whether a host is this machine or one of its network, as far as its name tells."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host
