"""Fault plans: which requests meet which fault, the same ones again for the same seed.

A plan is a list of rules. Every request is shown to all of them, in order; the first that strikes has it. What each
kind of fault does is said in `fault_injection.py`.
"""

from __future__ import annotations

import base64
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

Kind = Literal[
    "refuse", "drop_before", "drop_after", "timeout_before", "timeout_after", "429", "500", "502", "503", "504", "html",
    "cut_json", "slow", "duplicate", "error_200", "stale_list", "body",
]  # fmt: skip


class UnknownFaultError(ValueError):
    """A plan that cannot be read; one line for a person."""


class FaultParameters(BaseModel):
    """What a kind of fault can be told. Times are real seconds."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(
        60,
        ge=0,
        description="refuse: the outage; timeout_*: the silence; stale_list: the age from which a list shows",
    )
    spread: bool = Field(
        False, description="stale_list: each execution takes another share of the seconds, by its id"
    )
    work_done: bool = Field(
        False, description="429, 5xx, html, error_200, body: the request is carried out first"
    )
    retry_after: str | None = Field(None, description="429, 5xx: value of the Retry-After header")
    variant: Literal["closed", "complete"] = Field(
        "closed",
        description="cut_json: the connection closes early, or the shorter body comes as if it were whole",
    )
    share: float = Field(0.5, ge=0, le=1, description="cut_json: how much of the body comes")
    bytes_at_a_time: int = Field(16, ge=1, description="slow: bytes in each piece")
    delay_s: float = Field(0.02, ge=0, description="slow: seconds between pieces")
    status: int = Field(502, ge=0, le=9999, description="html, body: the HTTP status")
    headers: list[tuple[str, str]] = Field(default=[], description="body: headers, as pairs or as an object")
    body: str = Field("", description="body: what is sent, as text")
    body_base64: str | None = Field(None, description="body: what is sent, as any bytes")
    raw_base64: str | None = Field(
        None, description="body: all that is sent, the status line and headers included"
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
        """All that goes over the wire for a fault of kind ``body``; the connection closes after it."""
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
    """One kind of fault and the requests that it strikes: all that match, unless told otherwise."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[Kind, BeforeValidator(lambda kind: str(kind) if isinstance(kind, int) else kind)]
    method: str | None = Field(None, description="only requests of this method")
    path: str | None = Field(None, description="only requests in whose path this regular expression is found")
    probability: float = Field(1.0, ge=0, le=1, description="the share of matching requests that it strikes")
    times: int | None = Field(None, ge=0, description="how many requests it strikes at most")
    after: int = Field(0, ge=0, description="how many matching requests it lets pass first")
    parameters: FaultParameters = FaultParameters()

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
class _ArmedRule:
    rule: FaultRule
    random: random.Random
    seen: int = 0
    injected: int = 0

    def strikes(self) -> bool:
        """Whether the next matching request is to be struck. It always rolls: no rule disturbs another."""
        self.seen += 1
        rolled = self.random.random() < self.rule.probability
        spent = self.rule.times is not None and self.injected >= self.rule.times
        return rolled and self.seen > self.rule.after and not spent


@dataclass
class Strikes:
    """What meets one request: at most one fault, and possibly a list that is behind."""

    fault: FaultRule | None = None
    stale_list: FaultRule | None = None


@dataclass
class FaultPlan:
    """The rules in force, and how often each kind struck since the counts were last cleared."""

    seed: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    _armed: list[_ArmedRule] = field(default_factory=list)

    def arm(self, rules: Sequence[FaultRule], seed: int) -> None:
        """Put these rules in force in place of the present ones, each from its beginning."""
        self.seed = seed
        # A generator for each rule: a change to one rule does not change whom the others strike.
        self._armed = [
            _ArmedRule(rule, random.Random(f"{seed}/{place}"))  # noqa: S311  faults, not secrets
            for place, rule in enumerate(rules)
        ]

    def clear(self) -> None:
        """No more faults, and no counts."""
        self._armed = []
        self.injected.clear()

    def strikes(self, method: str, path: str) -> Strikes:
        """What is to meet this request."""
        strikes = Strikes()
        for armed in self._armed:
            if not armed.rule.matches(method, path) or not armed.strikes():
                continue
            if armed.rule.kind == "stale_list":
                strikes.stale_list = armed.rule
            elif strikes.fault is None:
                strikes.fault = armed.rule
            else:
                continue
            armed.injected += 1
            self.injected[armed.rule.kind] += 1
        return strikes

    def report(self) -> dict[str, Any]:
        """The plan in force, and its counts."""
        rules = [
            {**armed.rule.model_dump(exclude_unset=True), "seen": armed.seen, "injected": armed.injected}
            for armed in self._armed
        ]
        return {"seed": self.seed, "rules": rules, "injected": dict(self.injected)}


def fault_rules(plan: Any) -> list[FaultRule]:
    """The rules of a plan: a rule, or a list of them.

    :raises UnknownFaultError: it cannot be read
    """
    try:
        return [FaultRule.model_validate(rule) for rule in (plan if isinstance(plan, list) else [plan])]
    except ValidationError as invalid:
        problem = invalid.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the rule"
        raise UnknownFaultError(f"fault {where}: {problem['msg']}, not {problem['input']!r}") from None
