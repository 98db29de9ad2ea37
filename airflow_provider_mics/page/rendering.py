"""HTML of the page. Everything that the platform sends is escaped by Jinja2, and no style or script is in the HTML."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from airflow_provider_mics.api.console import instance_page
from airflow_provider_mics.core.planning.cron_ticks import Cron
from airflow_provider_mics.core.planning.tick_search import ticks_after
from airflow_provider_mics.page.batches import Batch
from airflow_provider_mics.page.charts import BAR_WIDTH, GAP, HEIGHT, bars
from airflow_provider_mics.page.details import message_of, property_text
from airflow_provider_mics.page.marks import FiredBy, Mark, RunLink
from airflow_provider_mics.page.platform_reading import SHOWN, PlatformState
from airflow_provider_mics.page.queries import LAST, STATUSES, Query
from airflow_provider_mics.page.texts import age_text, duration_text, moment_text, short_moment_text

NEXT_TICKS = 10
INVENTORY_IS_OLD_AFTER = timedelta(minutes=15)
"""Three times the age at which the DAG factory refreshes its inventory by default."""
MOST_ROWS = 10_000
"""Rows that are kept as HTML, of 2 to 3 KB each."""
CHART_WIDTH = SHOWN * (BAR_WIDTH + GAP) - GAP


@dataclass(frozen=True)
class View:
    """Who looks at the page, from where and when.

    ``root`` is the path of the page and ``airflow`` that of Airflow, both without a slash at their end.
    """

    root: str
    airflow: str
    zone: tzinfo
    zone_name: str
    now: datetime
    user: str

    def short(self, moment: datetime | None) -> str:
        return short_moment_text(moment, self.zone, self.now)

    def full(self, moment: datetime | None) -> str:
        return moment_text(moment, self.zone)

    def age(self, moment: datetime) -> str:
        return age_text(self.now - moment)

    def dag_url(self, dag_id: str) -> str:
        return f"{self.airflow}/dags/{quote(dag_id, safe='')}"

    def run_url(self, mark: Mark) -> str | None:
        return None if mark.run is None else self.run_url_of(mark.run)

    def run_url_of(self, run: RunLink) -> str:
        return f"{self.dag_url(run.dag_id)}/runs/{quote(run.run_id, safe='')}"

    def mark_title(self, mark: Mark) -> str:
        """Return what a mark means, in words."""
        parts = [self.short(mark.moment), str(mark.execution.status).lower(), duration_text(mark.duration)]
        parts.append(f"fired by {mark.fired_by}")
        if mark.run is not None and mark.fired_by is not FiredBy.AIRFLOW:
            parts.append("run in Airflow")
        return ", ".join(parts)


class Pages:
    """The templates, compiled once."""

    def __init__(self) -> None:
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.globals |= {
            "duration_text": duration_text,
            "bars_of": _bars_of,
            "chart_title": _chart_title,
            "chart_width": CHART_WIDTH,
            "chart_height": HEIGHT,
            "statuses": STATUSES,
            "lasts": LAST,
            "marks_html": marks_html,
            "message_of": message_of,
            "property_text": property_text,
            "SHOWN": SHOWN,
        }
        self._environment = environment
        self._rows: OrderedDict[Any, tuple[Batch, Markup]] = OrderedDict()
        self._lock = threading.Lock()

    def row(self, view: View, batch: Batch, *, may_act: bool) -> Markup:
        """Return the row of a batch in the list. It is kept for as long as the batch is the same object."""
        look = view.root, view.airflow, view.zone_name, view.now.astimezone(view.zone).date(), may_act
        key = batch.source, batch.path, look
        batch_then, row = self._rows.get(key, (None, Markup("")))
        if batch_then is not batch:
            row = Markup(self.render("row.html", view, batch=batch, may_act=may_act))  # noqa: S704 - of a template
        with self._lock:
            self._rows[key] = batch, row
            self._rows.move_to_end(key)
            if len(self._rows) > MOST_ROWS:
                self._rows.popitem(last=False)
        return row

    def render(self, template: str, view: View, **values: Any) -> str:
        """Return the HTML of a template."""
        return self._environment.get_template(template).render(view=view, **values)


def marks_html(view: View, marks: Iterable[Mark]) -> Markup:
    """Return marks as HTML. A template takes several times as long, and a list has ten thousand of them."""
    return Markup("").join(_mark_html(view, each) for each in marks)


def _mark_html(view: View, mark: Mark) -> Markup:
    title, url = escape(view.mark_title(mark)), view.run_url(mark)
    if url is None:
        return Markup(f'<i class="m {mark.state}" role="img" title="{title}"></i>')  # noqa: S704 - escaped
    attributes = f'data-top tabindex="-1" href="{escape(url)}" title="{title}"'
    return Markup(f'<a class="m {mark.state}" {attributes}></a>')  # noqa: S704 - escaped


def _bars_of(batch: Batch) -> str:
    return bars([mark.duration for mark in batch.marks], SHOWN)


def _chart_title(batch: Batch) -> str:
    known = [mark.duration for mark in batch.marks if mark.duration is not None]
    if not known:
        return "no durations yet"
    return f"durations from {duration_text(min(known))} to {duration_text(max(known))}"


def notices_of(states: Mapping[Any, PlatformState | None], view: View) -> list[tuple[str, str]]:
    """Return what is to be said of the organisations as a whole: outages, and old inventories."""
    found = []
    for source, state in states.items():
        name = f"Connection {source.conn_id}"
        if source.organisation_id is not None:
            name += f", organisation {source.organisation_id}"
        if state is None:
            found.append(
                ("warning", f"{name}: the platform's answer is being waited for. Reload in a moment.")
            )
            continue
        if state.failure is not None:
            shown = (
                "There is no earlier state."
                if not state.instances
                else "What is shown is the DAG factory's last inventory."
                if state.read_at is None and state.instances_read_at is None
                else f"What is shown is of {view.full(state.read_at or state.instances_read_at)} "
                f"({view.age(state.read_at or state.instances_read_at or view.now)})."
            )
            found.append(
                ("error", f"{name}: mediarithmics does not answer as expected. {shown} {state.failure}")
            )
        if state.inventory_at is not None and view.now - state.inventory_at > INVENTORY_IS_OLD_AFTER:
            text = (
                f"{name}: the DAG factory's inventory is of {view.full(state.inventory_at)} "
                f"({view.age(state.inventory_at)}): changes on the platform since then have not reached the DAGs."
            )
            found.append(("warning", text))
    return found


def read_text(states: Iterable[PlatformState | None], view: View) -> str:
    """Return of when the state is."""
    moments = [state.read_at for state in states if state is not None and state.read_at is not None]
    if not moments:
        return "not read yet"
    oldest = min(moments)
    return f"State of {oldest.astimezone(view.zone):%H:%M:%S} ({view.age(oldest)})"


def list_values(batches: list[Batch], chosen: list[Batch], query: Query) -> dict[str, Any]:
    """Return what the list shows beside its rows."""
    return {
        "batches": chosen,
        "total": len(batches),
        "query": query,
        "plugins": sorted({each.plugin for each in batches if each.plugin}),
        "drifting": sum(bool(each.drift) for each in batches),
        "failing": sum(each.last is not None and each.last.state == "failed" for each in batches),
        "running": sum(each.last is not None and each.last.state == "running" for each in batches),
    }


def next_ticks(batch: Batch, now: datetime) -> list[datetime]:
    """Return the next ticks of a batch's cron, also while it is paused."""
    if batch.instance is None or not batch.instance.cron:
        return []
    return ticks_after(Cron(batch.instance.cron, batch.timezone), now.astimezone(UTC), NEXT_TICKS)


def console_page_of(batch: Batch, state: PlatformState | None) -> str | None:
    """Return the URL of an instance's page on the mediarithmics console."""
    if (
        state is None
        or state.organisation_id is None
        or not state.console_url.startswith(("https://", "http://"))
    ):
        return None
    return instance_page(state.console_url, state.organisation_id, batch.instance_id)
