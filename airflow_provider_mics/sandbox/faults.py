"""Fault plans: which request gets which fault. The same seed selects the same requests.

A plan is a list of rules. The first rule that applies to a request determines its fault. What each kind of
fault does is in `fault_injection`.
"""

from __future__ import annotations

import base64
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

Kind = Literal[
    "refuse", "drop_before", "drop_after", "timeout_before", "timeout_after", "429", "500", "502", "503", "504", "html",
    "cut_json", "slow", "duplicate", "error_200", "stale_list", "body", "401", "403", "gateway", "login",
]  # fmt: skip


class InvalidFaultError(ValueError):
    """An invalid fault plan. Its text is one line for the user."""


class FaultParameters(BaseModel):
    """Parameters of a fault. Times are real seconds."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(
        60,
        ge=0,
        description="refuse: time offline; timeout_*: delay; stale_list: age from which a list has an execution",
    )
    spread: bool = Field(
        False, description="stale_list: each execution has its own share of the seconds, by its id"
    )
    work_done: bool = Field(
        False, description="4xx, 5xx, html, gateway, login, error_200, body: the request is processed first"
    )
    retry_after: str | None = Field(None, description="4xx, 5xx: value of the Retry-After header")
    variant: Literal["closed", "complete"] = Field(
        "closed",
        description="cut_json: the connection closes early, or Content-Length is that of the shorter body",
    )
    share: float = Field(0.5, ge=0, le=1, description="cut_json: the part of the body that is sent")
    bytes_at_a_time: int = Field(16, ge=1, description="slow: bytes in each chunk")
    delay_s: float = Field(0.02, ge=0, description="slow: seconds before each chunk")
    status: int = Field(502, ge=0, le=9999, description="html, gateway, body: the HTTP status")
    headers: list[tuple[str, str]] = Field(default=[], description="body: headers, as pairs or as an object")
    body: str = Field("", description="body: the body, as text")
    body_base64: str | None = Field(None, description="body: the body, as bytes in base64")
    raw_base64: str | None = Field(
        None, description="body: the whole answer with status line and headers, as bytes in base64"
    )

    @field_validator("headers", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        return list(value.items()) if isinstance(value, dict) else value

    @field_validator("retry_after", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) else value

    @field_validator("body_base64", "raw_base64")
    @classmethod
    def _decodable(cls, value: str | None) -> str | None:
        base64.b64decode(value or "", validate=True)
        return value

    @property
    def raw_answer(self) -> bytes:
        """The bytes that a fault of kind ``body`` sends. The connection is closed after them."""
        if self.raw_base64 is not None:
            return base64.b64decode(self.raw_base64)
        body = self.body.encode() if self.body_base64 is None else base64.b64decode(self.body_base64)
        names = {name.lower() for name, _ in self.headers}
        headers = [("Content-Type", "application/json")] if "content-type" not in names else []
        if not names & {"content-length", "transfer-encoding"}:
            headers.append(("Content-Length", str(len(body))))
        lines = [f"HTTP/1.1 {self.status} Injected", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in [*headers, *self.headers]]
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


class FaultRule(BaseModel):
    """A kind of fault and the requests that get it: all requests unless limited."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[Kind, BeforeValidator(lambda kind: str(kind) if isinstance(kind, int) else kind)] = Field(
        description="required, see below"
    )
    method: str | None = Field(None, description="only requests with this method")
    path: str | None = Field(None, description="only requests in whose path this regular expression is found")
    probability: float = Field(
        1.0, ge=0, le=1, description="share of the matching requests that get the fault"
    )
    times: int | None = Field(None, ge=0, description="largest number of requests that get the fault")
    after: int = Field(0, ge=0, description="number of matching requests that are skipped first")
    begins_after_s: float = Field(
        0, ge=0, description="real seconds after the rule was set from which it applies"
    )
    ends_after_s: float | None = Field(
        None, ge=0, description="real seconds after the rule was set from which it no longer applies"
    )
    parameters: FaultParameters = Field(FaultParameters(), description="a JSON object, see below")

    @field_validator("path")
    @classmethod
    def _compilable(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return value

    def matches(self, method: str, path: str) -> bool:
        if self.method is not None and self.method.upper() != method:
            return False
        if self.kind == "stale_list" and not (
            method == "GET" and path.endswith(("/executions", ".executions"))
        ):
            return False
        return self.path is None or re.search(self.path, path) is not None


@dataclass
class _ActiveRule:
    rule: FaultRule
    random: random.Random
    set_at: float
    seen: int = 0
    injected: int = 0

    def applies_to_next(self) -> bool:
        """Count a matching request, and return whether it gets the fault."""
        self.seen += 1
        # Draws for every request, so that ``after`` and ``times`` do not change what the seed selects.
        is_drawn = self.random.random() < self.rule.probability
        is_used_up = self.rule.times is not None and self.injected >= self.rule.times
        age, end = time.monotonic() - self.set_at, self.rule.ends_after_s
        is_now = age >= self.rule.begins_after_s and (end is None or age < end)
        return is_drawn and is_now and self.seen > self.rule.after and not is_used_up


@dataclass
class Matches:
    """The rules that apply to one request: at most one fault, and at most one ``stale_list``."""

    fault: FaultRule | None = None
    stale_list: FaultRule | None = None


@dataclass
class FaultPlan:
    """The active rules, and how many faults of each kind were injected since the counts were cleared."""

    seed: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    _rules: list[_ActiveRule] = field(default_factory=list)

    def replace_rules(self, rules: Sequence[FaultRule], seed: int) -> None:
        """Replace the active rules. Each new one counts its requests from 0."""
        self.seed = seed
        # One generator for each rule, so that a change to one does not change what the others select.
        self._rules = [
            _ActiveRule(rule, random.Random(f"{seed}/{place}"), time.monotonic())  # noqa: S311  faults, not secrets
            for place, rule in enumerate(rules)
        ]

    def clear(self) -> None:
        """Remove all rules and counts."""
        self._rules = []
        self.injected.clear()

    def match(self, method: str, path: str) -> Matches:
        """Count a request, and return the rules that apply to it."""
        matches = Matches()
        for active in self._rules:
            if not active.rule.matches(method, path) or not active.applies_to_next():
                continue
            if active.rule.kind == "stale_list":
                matches.stale_list = active.rule
            elif matches.fault is None:
                matches.fault = active.rule
            else:
                continue
            active.injected += 1
            self.injected[active.rule.kind] += 1
        return matches

    def report(self) -> dict[str, Any]:
        """Return the active rules and the counts as JSON."""
        rules = [
            {**active.rule.model_dump(exclude_unset=True), "seen": active.seen, "injected": active.injected}
            for active in self._rules
        ]
        return {"seed": self.seed, "rules": rules, "injected": dict(self.injected)}


def fault_rules(plan: Any) -> list[FaultRule]:
    """Parse the JSON of a plan: one rule, or a list of rules.

    :raises InvalidFaultError: invalid rule
    """
    try:
        return [FaultRule.model_validate(rule) for rule in (plan if isinstance(plan, list) else [plan])]
    except ValidationError as invalid:
        problem = invalid.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the rule"
        raise InvalidFaultError(f"fault {where}: {problem['msg']}, not {problem['input']!r}") from None
