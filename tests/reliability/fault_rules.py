"""What the laboratory's network and platform do to requests, at a given rate."""

from __future__ import annotations

from typing import Any

from tests.reliability.lab_time import LabTime

REFUSED_SHARE = 0.1
"""The part of all faults that are refused connections; the sandbox cannot play that one, a closed port can."""
READ_TIMEOUT = 60.0
"""Seconds of the laboratory after which a client gives up on an answer."""
STALE = ((0.3, 5.0), (0.5, 2.5))
"""Lists come from replicas: so many of them (of those left) lag behind by so many seconds."""

REFUSED_TOKEN = {
    "status": 401,
    "body": '{"status": "error", "error": "token refused", "error_id": "lab-401"}',
}
"""A platform whose token service has a bad moment refuses good tokens, in its own words."""


def sandbox_rules(lab: LabTime, rate: float) -> list[dict[str, Any]]:
    """Rules for the sandbox that strike this share of all requests: each kind alike, but more POSTs come twice."""
    kinds = _kinds(lab)
    twice: list[tuple[str, dict[str, Any]]] = [("duplicate", {})] * 3
    rate *= 1 - REFUSED_SHARE
    return [
        *_alike("POST", [*kinds, *twice], rate),
        *_alike("GET", kinds, rate),
        *stale_lists(lab),
    ]


def _alike(method: str, kinds: list[tuple[str, dict[str, Any]]], rate: float) -> list[dict[str, Any]]:
    """The first rule that strikes has the request, so later ones must strike more of what is left."""
    share = rate / len(kinds)
    return [
        {"kind": kind, "method": method, "probability": share / (1 - share * place), "parameters": parameters}
        for place, (kind, parameters) in enumerate(kinds)
    ]


def stale_lists(lab: LabTime) -> list[dict[str, Any]]:
    return [
        {"kind": "stale_list", "probability": share, "parameters": {"seconds": lab.real(seconds)}}
        for share, seconds in STALE
    ]


def _kinds(lab: LabTime) -> list[tuple[str, dict[str, Any]]]:
    silence = {"seconds": lab.real(1.2 * READ_TIMEOUT)}
    done: dict[str, Any] = {"work_done": True}
    return [
        ("drop_before", {}),
        ("drop_after", {}),
        ("timeout_before", silence),
        ("timeout_after", silence),
        ("429", {}),
        ("429", {"retry_after": 3}),
        ("500", {}),
        ("500", done),
        ("502", done),
        ("503", {}),
        ("503", {"retry_after": 2}),
        ("504", done),
        ("html", done),
        ("html", {"status": 200}),
        ("html", {"status": 404}),
        ("gateway", {"status": 403}),
        ("gateway", {"status": 405, **done}),
        ("body", REFUSED_TOKEN),
        ("login", {}),
        ("login", done),
        ("cut_json", {}),
        ("cut_json", {"variant": "complete"}),
        ("slow", {"bytes_at_a_time": 128, "delay_s": 0.002}),
        ("duplicate", {}),
        ("error_200", {}),
        ("error_200", done),
    ]
