"""What the page shows, for all viewers: rows are made once, and each viewer sees those that he may."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable
from datetime import UTC, datetime

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.page.airflow_state import AirflowState, read_airflow, sources_of
from airflow_provider_mics.page.batches import Batch, Source, with_each_instance_once, without_links_to
from airflow_provider_mics.page.connections import read_source, run
from airflow_provider_mics.page.details import Details, read_details
from airflow_provider_mics.page.kept_batches import KeptBatches
from airflow_provider_mics.page.marks import RunLink
from airflow_provider_mics.page.permissions import Viewer
from airflow_provider_mics.page.platform_reading import PlatformState
from airflow_provider_mics.page.shared_readings import SharedReadings

States = dict[Source, PlatformState | None]


class AirflowNotReadError(Exception):
    """Airflow's database has not been read yet: without it, every instance would seem to have no DAG."""


class Site:
    """The page in one process of Airflow's API server."""

    def __init__(self) -> None:
        self._airflow = SharedReadings[None, AirflowState](lambda _, previous: read_airflow(previous))
        self._states = SharedReadings[Source, PlatformState](read_source, outdated=PlatformState.outdated)
        self._details = SharedReadings[tuple[Source, str], Details](_read_details)
        self._kept = KeptBatches()
        self._lock = threading.Lock()

    def look(self, viewer: Viewer) -> tuple[list[Batch], States]:
        """Return the batches that a user may see, and the states of all organisations that he sees one of.

        :raises AirflowNotReadError: which DAGs there are is not known yet
        """
        airflow = self._airflow.get(None)
        if airflow is None:
            raise AirflowNotReadError
        states: States = self._states.get_all(sources_of(airflow.dags))
        rows: dict[Source, list[Batch]] = {}
        for source, state in states.items():
            dags = [each for each in airflow.dags if each.source == source]
            with self._lock:
                rows[source] = self._kept.get(
                    source, state or PlatformState(), dags, airflow.links, datetime.now(UTC)
                )
        organisations = {source: _organisation_of(source, state) for source, state in states.items()}
        own = [each for each in with_each_instance_once(rows, organisations) if viewer.may_see(each)]
        shown = {each.source for each in own}
        seen = {
            source: state
            for source, state in states.items()
            if source in shown or viewer.may_see_connection(source.conn_id)
        }
        return [without_links_to(each, viewer.readable_dags) for each in own], seen

    def details(self, batch: Batch) -> Details:
        """Return what a batch's own page shows beyond its row."""
        return self._details.get((batch.source, batch.instance_id)) or Details()

    def links_of(self, viewer: Viewer, execution_ids: Iterable[str]) -> dict[str, list[RunLink]]:
        """Return the runs in Airflow of some executions, as far as a user may see them."""
        links = (self._airflow.get(None) or AirflowState()).links
        return {
            key: [each for each in links.get(key, ()) if each.dag_id in viewer.readable_dags]
            for key in execution_ids
        }

    def expire(self, batch: Batch) -> None:
        """Have the next viewer see what an action changed."""
        self._airflow.expire(None)
        self._states.expire(batch.source)
        self._details.expire((batch.source, batch.instance_id))


def _organisation_of(source: Source, state: PlatformState | None) -> Hashable:
    """Return what two sources of one organisation have in common; the source itself while that is not known."""
    return (state.host, state.organisation_id) if state is not None and state.host else source


def _read_details(key: tuple[Source, str], previous: Details | None) -> Details:
    source, instance_id = key
    known = previous or Details()
    try:
        return run(source, read_details(instance_id, known))
    except MicsError as error:
        return known.failed(str(error))
