"""What a batch does when it runs, as its instance's ``sandbox.*`` properties tell.

``sandbox.duration_s``     seconds it takes (5)
``sandbox.outcome``        ``succeed`` (the default), ``fail``, ``hang``; or a list of them, taken in turn
``sandbox.error_message``  what a failure says
``sandbox.result``         what a success gives
``sandbox.num_tasks``      how many tasks it counts (10)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OUTCOMES = ("succeed", "fail", "hang")


@dataclass(frozen=True)
class Behaviour:
    """What one execution will do. ``duration_ms`` is None where it never ends by itself."""

    duration_ms: int | None
    succeeds: bool
    num_tasks: int
    error_message: str
    result: Any


def behaviour(properties: Mapping[str, Any], turn: int) -> Behaviour:
    """What the ``turn``-th execution (from 0) does, with these values by the technical names of properties.

    A value that makes no sense is read as its default: a batch must run whatever its parameters are.
    """
    outcomes = _outcomes(properties.get("sandbox.outcome"))
    outcome = outcomes[turn % len(outcomes)]
    duration_s = _number(properties.get("sandbox.duration_s"), 5.0)
    return Behaviour(
        duration_ms=None if outcome == "hang" else int(duration_s * 1000),
        succeeds=outcome == "succeed",
        num_tasks=int(_number(properties.get("sandbox.num_tasks"), 10)),
        error_message=str(properties.get("sandbox.error_message") or "the script ended with exit code 1"),
        result=_json_or_text(properties.get("sandbox.result")),
    )


def _outcomes(value: Any) -> list[str]:
    read = _json_or_text(value)
    words = read if isinstance(read, list) else str(read or "").split(",")
    known = [word for word in (str(each).strip().lower() for each in words) if word in OUTCOMES]
    return known or ["succeed"]


def _number(value: Any, default: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return default
    return number if 0 <= number < 1e9 else default


def _json_or_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
