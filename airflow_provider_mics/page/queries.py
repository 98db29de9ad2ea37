"""Which batches a list shows, and in which order: all of it is in the URL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from airflow_provider_mics.page.batches import ACTIVE, BY_HAND, GONE, PAUSED, UNKNOWN, Batch

LONGEST_SEARCH = 200
STATUSES = (ACTIVE, PAUSED, BY_HAND, GONE, UNKNOWN)
LAST = ("succeeded", "warned", "failed", "canceled", "running", "pending", "none")
NEVER = datetime.max.replace(tzinfo=UTC)
SORT_KEYS: dict[str, Callable[[Batch], Any]] = {
    "name": lambda batch: (batch.name.casefold(), len(batch.instance_id), batch.instance_id),
    "plugin": lambda batch: batch.plugin.casefold(),
    "status": lambda batch: STATUSES.index(batch.status),
    "next": lambda batch: batch.next_tick or NEVER,
    "last": lambda batch: (batch.last and batch.last.moment) or datetime.min.replace(tzinfo=UTC),
    "duration": lambda batch: batch.last_duration or timedelta(0),
    "drift": lambda batch: -len(batch.drift),
}


@dataclass(frozen=True)
class Query:
    """What a list shows. An empty field selects all.

    ``q`` is searched for in names, ids, plugins, crons and DAG ids; all its words have to occur. ``sort`` is a key of
    `SORT_KEYS`, after a ``-`` in reverse.
    """

    q: str = ""
    status: str = ""
    last: str = ""
    plugin: str = ""
    drift: str = ""
    sort: str = "name"

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Query:
        """Read the parameters of a URL. What means nothing is ignored."""
        given = {each.name: parameters.get(each.name, "").strip()[:LONGEST_SEARCH] for each in fields(cls)}
        return cls(
            q=given["q"],
            status=given["status"] if given["status"] in STATUSES else "",
            last=given["last"] if given["last"] in LAST else "",
            plugin=given["plugin"],
            drift="1" if given["drift"] == "1" else "",
            sort=given["sort"] if given["sort"].removeprefix("-") in SORT_KEYS else "name",
        )

    def url(self, **changes: str) -> str:
        """Return the query of a URL with some fields changed; it has only what differs from the default."""
        query = replace(self, **changes)
        default = Query()
        given = {each.name: getattr(query, each.name) for each in fields(query)}
        return "?" + urlencode(
            {name: value for name, value in given.items() if value != getattr(default, name)}
        )

    def select(self, batches: Iterable[Batch]) -> list[Batch]:
        """Return the batches that are to be shown, in order."""
        words = self.q.casefold().split()
        chosen = [each for each in batches if self._is_chosen(each) and _has_words(each, words)]
        chosen.sort(key=SORT_KEYS["name"])
        return sorted(chosen, key=SORT_KEYS[self.sort.removeprefix("-")], reverse=self.sort.startswith("-"))

    def _is_chosen(self, batch: Batch) -> bool:
        last = "none" if batch.last is None else batch.last.state
        return (
            self.status in ("", batch.status)
            and self.last in ("", last)
            and self.plugin in ("", batch.plugin)
            and (not self.drift or bool(batch.drift))
        )


def _has_words(batch: Batch, words: list[str]) -> bool:
    if not words:
        return True
    cron = batch.instance.cron if batch.instance is not None else None
    dag_id = "" if batch.dag is None else batch.dag.dag_id
    text = " ".join((batch.name, batch.instance_id, batch.plugin, cron or "", dag_id)).casefold()
    return all(word in text for word in words)
