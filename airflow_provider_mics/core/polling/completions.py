"""Noticing that executions of an instance have ended, each once, also over a restart of the one who watches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from airflow_provider_mics.api.calls import Flow
from airflow_provider_mics.api.executions import list_executions
from airflow_provider_mics.api.field_types import EPOCH, from_milliseconds, milliseconds
from airflow_provider_mics.api.models import Execution

STRAGGLING = timedelta(hours=1)

"""For so long after an end, an earlier one may still show: executions end in any order, and lists lag behind."""


SORTED_BY_CHANCE = 20

"""So many executions in a row from new to old are taken for the order of their list."""


@dataclass(frozen=True)
class Noticed:
    """What of an instance's history has been noticed. It stays small, however long the history is.

    ``ended`` are the ends from ``since`` on, by execution id; what ended before is old, unless it was open until now.
    """

    since: datetime
    ended: Mapping[str, datetime]
    still_open: frozenset[str]

    @classmethod
    def all_of(cls, executions: Sequence[Execution]) -> Self:
        """What there is to notice in a history that is seen for the first time: none of it is news."""
        return cls(EPOCH, {}, frozenset()).plus(executions)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what `to_json` gave.

        :raises Exception: it is something else
        """
        ended = {str(name): from_milliseconds(end) for name, end in value["ended"].items()}
        return cls(from_milliseconds(value["since"]), ended, frozenset(map(str, value["still_open"])))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, which is the same for the same state."""
        return {
            "since": milliseconds(self.since),
            "ended": {name: milliseconds(end) for name, end in sorted(self.ended.items())},
            "still_open": sorted(self.still_open),
        }

    def news_in(self, executions: Sequence[Execution]) -> tuple[list[Execution], Self]:
        """Those that have ended since, the earliest first, and what has been noticed now."""
        news = [each for each in executions if each.is_over and self._is_news(each)]
        return sorted(news, key=_ended_at), self.plus(executions)

    def _is_news(self, execution: Execution) -> bool:
        if execution.id in self.still_open:
            return True
        return _ended_at(execution) >= self.since and execution.id not in self.ended

    def plus(self, executions: Sequence[Execution]) -> Self:
        """What has been noticed once these were seen too."""
        ended = dict(self.ended)
        for each in executions:
            if each.is_over:
                # One that was open until now has ended now, whatever the platform says, or adds later.
                end = _ended_at(each)
                ended[each.id] = max(end, self.since) if each.id in self.still_open else end
        since = max([self.since, *(end - STRAGGLING for end in ended.values())])
        still_open = frozenset(each.id for each in executions if not each.is_over)
        return type(self)(since, {name: end for name, end in ended.items() if end >= since}, still_open)


def where_news_can_be(instance_id: str, noticed: Noticed | None) -> Flow[list[Execution]]:
    """The executions of an instance, as far as any of them can be news; all, where nothing has been noticed yet."""
    until = None if noticed is None else _OnlyOldFollows(noticed).after
    return list_executions(instance_id, until=until)


class _OnlyOldFollows:
    """Whether nothing but old executions can follow in a list, which only one that goes from new to old tells."""

    def __init__(self, noticed: Noticed) -> None:
        self._noticed = noticed
        self._met: set[str] = set()
        self._moments: list[datetime] = []
        self._is_sorted = True

    def after(self, execution: Execution) -> bool:
        created = execution.creation_date or EPOCH
        self._is_sorted = self._is_sorted and created <= min(self._moments[-1:], default=created)
        self._moments.append(created)
        self._met.add(execution.id)
        return (
            self._is_sorted
            and len(self._moments) >= SORTED_BY_CHANCE
            and self._moments[0] > created
            and created < self._noticed.since
            and self._noticed.still_open <= self._met
        )


def _ended_at(execution: Execution) -> datetime:
    """When it ended; where the platform does not say, when it began, the nearest there is."""
    return execution.end_date or execution.start_date or execution.creation_date or EPOCH
