"""A list of the platform as a function over calls, in all the forms that it might have."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mics.api.calls import Call
from tests.flow_driver import ok

MOST_REQUESTS = 20_000


@dataclass
class ListServer:
    """Give it to `FlowDriver`. ``between`` is called before each page but the first, and may change ``ids``."""

    ids: list[int]
    says_total: bool = True
    lies_by: int = 0
    paginates: bool = True
    ignores_first_result: bool = False
    cap: int | None = None
    echoes: str | None = "given"
    echoes_first_result: bool = True
    shuffles: random.Random | None = None
    numbers: bool = False
    between: Callable[[ListServer], None] | None = None
    requests: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, call: Call[Any]) -> dict[str, Any]:
        start, asked = call.query["first_result"], call.query["max_results"]
        if self.requests and self.between is not None:
            self.between(self)
        self.requests.append((start, asked))
        assert len(self.requests) <= MOST_REQUESTS
        if self.shuffles is not None:
            self.shuffles.shuffle(self.ids)
        return self._page(start, asked)

    def _page(self, start: int, asked: int) -> dict[str, Any]:
        given = min(asked, self.cap or asked)
        if not self.paginates:
            start, given = 0, len(self.ids)
        elif self.ignores_first_result:
            start = 0
        wrapper: dict[str, Any] = {}
        if self.echoes_first_result:
            wrapper["first_result"] = start
        if self.echoes is not None:
            wrapper["max_results"] = {"given": given, "asked": asked, "twenty": 20}[self.echoes]
        if self.says_total:
            wrapper["total"] = max(0, len(self.ids) + self.lies_by)
        return ok([self._item(each) for each in self.ids[start : start + given]], **wrapper)

    def _item(self, number: int) -> dict[str, Any]:
        return {"id": number if self.numbers else str(number)}


def numbers_of(items: Iterable[Any]) -> list[int]:
    return [int(item.id) for item in items]
