"""Rows that are made anew only where something changed: of a thousand, few do from one look to the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.core.planning.cron_ticks import Cron
from airflow_provider_mics.core.planning.tick_search import ticks_after
from airflow_provider_mics.page.batches import Batch, Dag, Source, batch_of, dags_by_instance
from airflow_provider_mics.page.drift import SETTLED_AFTER
from airflow_provider_mics.page.marks import RunLinks
from airflow_provider_mics.page.platform_reading import SHOWN, PlatformState


@dataclass(frozen=True)
class _Kept:
    """A row, what it was made of, and until when it holds (UTC); None for as long as that does not change."""

    instance: Instance | None
    executions: tuple[Execution, ...]
    made_of: tuple[object, ...]
    until: datetime | None
    batch: Batch


class KeptBatches:
    """The rows of all organisations. A row that has not changed is the same object as before."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Source, str, str | None], _Kept] = {}

    def get(
        self, source: Source, state: PlatformState, dags: Iterable[Dag], links: RunLinks, now: datetime
    ) -> list[Batch]:
        """Return a row for each DAG of an organisation, and for each instance without a DAG.

        :param dags: those of this organisation
        """
        known = {key: each for key, each in self._kept.items() if key[0] == source}
        kept = {}
        for instance_id, dag in dags_by_instance(state, dags):
            key = source, instance_id, None if dag is None else dag.dag_id
            kept[key] = self._row(known.get(key), source, state, instance_id, dag, links, now)
        self._kept = {key: each for key, each in self._kept.items() if key not in known} | kept
        return [each.batch for each in kept.values()]

    def _row(
        self,
        known: _Kept | None,
        source: Source,
        state: PlatformState,
        instance_id: str,
        dag: Dag | None,
        links: RunLinks,
        now: datetime,
    ) -> _Kept:
        instance, executions = state.instances.get(instance_id), state.executions.get(instance_id, ())
        history = state.history(instance_id)
        read_at = state.read_at if history is None else history.read_at
        made_of = (
            dag,
            tuple(links.get(each.id) for each in executions[:SHOWN]),
            state.timezone,
            state.user_id,
            None if history is None else history.known_since,
            state.instances_read_at is None,
            # The duration of what runs grows from one reading to the next.
            None if all(each.is_over for each in executions[:SHOWN]) else read_at,
        )
        if (
            known is not None
            and known.instance is instance
            and known.executions is executions
            and known.made_of == made_of
            and (known.until is None or now < known.until)
        ):
            return known
        batch = batch_of(source, state, instance_id, dag, links, now)
        return _Kept(instance, executions, made_of, _holds_until(batch, read_at or now), batch)


def _holds_until(batch: Batch, read_at: datetime) -> datetime | None:
    """Return until when a row holds if nothing is read anew; None if time does not change it."""
    ends = [] if batch.platform_tick is None else [batch.platform_tick]
    if batch.platform_tick is not None and batch.instance is not None:
        # The earliest tick of which what was read cannot tell yet whether it was missed.
        cron = Cron(batch.instance.cron or "", batch.timezone)
        ends += [each + SETTLED_AFTER for each in ticks_after(cron, read_at - SETTLED_AFTER, 1)]
    return min(ends, default=None)
