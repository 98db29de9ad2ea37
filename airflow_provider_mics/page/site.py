"""What the page shows, for all viewers: rows are made once, and each viewer sees those that he may."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.page.airflow_state import AirflowState, sources_of
from airflow_provider_mics.page.batches import Batch, Dag, Source, batches_of, without_links_to
from airflow_provider_mics.page.connections import read_source, run
from airflow_provider_mics.page.details import Details, read_details
from airflow_provider_mics.page.marks import RunLink, RunLinks
from airflow_provider_mics.page.permissions import Viewer
from airflow_provider_mics.page.platform_reading import PlatformState
from airflow_provider_mics.page.shared_readings import SharedReadings

if TYPE_CHECKING:
    from collections.abc import Iterable

ROWS_KEPT_FOR = 10.0
"""Seconds for which rows are kept that were made of the same states: ticks pass, and executions go on running."""
States = dict[Source, PlatformState | None]


@dataclass(frozen=True)
class _Rows:
    """The rows of one organisation, and what they were made of."""

    state: PlatformState | None
    dags: tuple[Dag, ...]
    links: RunLinks
    made_at: float
    batches: list[Batch]


class Site:
    """The page in one process of Airflow's API server."""

    def __init__(self) -> None:
        self.airflow = AirflowState()
        self._states = SharedReadings[Source, PlatformState](read_source)
        self._details = SharedReadings[tuple[Source, str], Details](_read_details)
        self._rows: dict[Source, _Rows] = {}
        self._lock = threading.Lock()

    def look(self, viewer: Viewer) -> tuple[list[Batch], States]:
        """Return the batches that a user may see, and the states of all organisations that he sees one of."""
        dags, links = self.airflow.read()
        states: States = {source: self._states.get(source) for source in sources_of(dags)}
        batches: list[Batch] = []
        seen: States = {}
        for source, state in states.items():
            rows = self._rows_of(source, state, dags, links)
            own = [each for each in rows if viewer.may_see(each)]
            batches += (without_links_to(each, viewer.readable_dags) for each in own)
            if own or viewer.may_see_connection(source.conn_id):
                seen[source] = state
        return batches, seen

    def details(self, batch: Batch) -> Details:
        """Return what a batch's own page shows beyond its row."""
        return self._details.get((batch.source, batch.instance_id)) or Details()

    def links_of(self, viewer: Viewer, execution_ids: Iterable[str]) -> dict[str, list[RunLink]]:
        """Return the runs in Airflow of some executions, as far as a user may see them."""
        found = self.airflow.links_of(execution_ids)
        return {
            key: [each for each in links if each.dag_id in viewer.readable_dags]
            for key, links in found.items()
        }

    def expire(self, batch: Batch) -> None:
        """Have the next viewer see what an action changed."""
        self.airflow.expire()
        self._states.expire(batch.source)
        self._details.expire((batch.source, batch.instance_id))

    def _rows_of(
        self, source: Source, state: PlatformState | None, dags: tuple[Dag, ...], links: RunLinks
    ) -> list[Batch]:
        with self._lock:
            rows, now = self._rows.get(source), time.monotonic()
            is_same = rows is not None and (rows.state is state and rows.dags is dags and rows.links is links)
            if rows is None or not is_same or now - rows.made_at > ROWS_KEPT_FOR:
                batches = _batches_of(source, state, dags, links)
                rows = self._rows[source] = _Rows(state, dags, links, now, batches)
            return rows.batches


def _batches_of(
    source: Source, state: PlatformState | None, dags: Iterable[Dag], links: RunLinks
) -> list[Batch]:
    own = [each for each in dags if each.source == source]
    return batches_of(source, state or PlatformState(), own, links, datetime.now(UTC))


def _read_details(key: tuple[Source, str], previous: Details | None) -> Details:
    source, instance_id = key
    known = previous or Details()
    try:
        return run(source, read_details(instance_id, known))
    except MicsError as error:
        return known.failed(str(error))
