"""The state of a submission that an outage may interrupt: plain JSON, so that it survives a deferral."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from airflow_provider_mics.core.exactly_once.submission import Interruption

WORKER_PATIENCE = timedelta(seconds=20)
"""How long a deferrable task asks on in a worker: most outages are over by then, and a deferral costs seconds too."""


@dataclass(frozen=True)
class PendingSubmission:
    """A submission that is not done yet.

    :param give_up_at: when an outage is not tolerated any longer, in epoch seconds (UTC)
    :param grace_is_over: the platform's time to create the tick's execution is over
    :param attempt: how often an outage has interrupted it
    """

    give_up_at: float
    grace_is_over: bool = False
    attempt: int = 0
    interruption: Interruption = field(default_factory=Interruption)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the result of `to_json`."""
        pending = cls(**{name: value[name] for name in ("give_up_at", "grace_is_over", "attempt")})
        return replace(pending, interruption=Interruption(value["known_ids"], value["created_id"]))

    def to_json(self) -> dict[str, Any]:
        return {
            "give_up_at": self.give_up_at,
            "grace_is_over": self.grace_is_over,
            "attempt": self.attempt,
            "known_ids": self.interruption.known_ids,
            "created_id": self.interruption.created_id,
        }

    def left(self, now: datetime) -> timedelta:
        return max(timedelta(0), timedelta(seconds=self.give_up_at - now.timestamp()))

    def is_over(self, now: datetime) -> bool:
        """Whether the time for an outage is over."""
        return not self.left(now)

    def patience(self, now: datetime, *, holds_worker: bool) -> timedelta:
        """How long to ask on in an outage now."""
        return self.left(now) if holds_worker else min(self.left(now), WORKER_PATIENCE)
