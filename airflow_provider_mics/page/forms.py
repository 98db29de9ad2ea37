"""What a user is asked to confirm, and what the form that comes back orders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from airflow_provider_mics.api.field_types import from_milliseconds, milliseconds
from airflow_provider_mics.core.planning.cron_ticks import zone_of
from airflow_provider_mics.core.planning.dag_plans import is_id
from airflow_provider_mics.page.actions import Order
from airflow_provider_mics.page.batches import Batch
from airflow_provider_mics.page.permissions import Viewer

OLDEST_FORM = timedelta(hours=12)
"""A form that was made earlier is refused: what it showed may not hold any more."""
FURTHEST_START = timedelta(days=3653)
"""How far ahead a start may be; ten years. What is further ahead is a mistake."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far the clocks of two API servers may be apart."""
_REQUEST_ID = re.compile(r"[0-9a-f]{16}")


class UnusableFormError(Exception):
    """A form cannot be used; the message says what is wrong, and that nothing was done."""


def order_of(name: str, form: Mapping[str, str], batch: Batch, viewer: Viewer, now: datetime) -> Order:
    """Return what a form orders.

    :param name: of the action
    :raises UnusableFormError: a field is missing, too old or cannot be read
    """
    request_id = form.get("request_id", "")
    if _REQUEST_ID.fullmatch(request_id) is None:
        raise UnusableFormError("The form has no request id. Nothing was done: open it again.")
    asked_at = _asked_at(form.get("asked_at", ""))
    if asked_at is None or not now - OLDEST_FORM <= asked_at <= now + CLOCK_TOLERANCE:
        raise UnusableFormError("The form is too old. Nothing was done: open it again.")
    start = None
    if name == "run_at":
        start = _moment_in(form.get("start", ""), form.get("zone", ""))
        if start is None:
            raise UnusableFormError(
                "The start is no date and time that exists in its time zone. Nothing was done."
            )
        if start - now > FURTHEST_START:
            raise UnusableFormError("The start is more than ten years ahead. Nothing was done.")
    execution_id = None
    if name == "cancel":
        execution_id = form.get("execution_id", "")
        if not is_id(execution_id):
            raise UnusableFormError("The form names no execution. Nothing was done.")
    return Order(batch, viewer, request_id, asked_at, start, execution_id)


def _asked_at(text: str) -> datetime | None:
    try:
        return from_milliseconds(int(text)) if text.isdecimal() and text.isascii() else None
    except (OverflowError, ValueError):
        return None


def _moment_in(text: str, zone_name: str) -> datetime | None:
    """Return a local time of a form in UTC. One that clocks skip does not exist; of one that is repeated, the first."""
    zone = zone_of(zone_name)
    try:
        local = datetime.fromisoformat(text)
        if zone is None or local.tzinfo is not None:
            return None
        moment = local.replace(tzinfo=zone).astimezone(UTC)
        return moment if moment.astimezone(zone).replace(tzinfo=None) == local else None
    except (ValueError, OverflowError):
        return None


def asked_at_value(now: datetime) -> str:
    """Return the field that says when a form was made."""
    return str(milliseconds(now))


def start_value(now: datetime, zone_name: str) -> str:
    """Return a start for the form: the next full hour."""
    local = now.astimezone(zone_of(zone_name)) + timedelta(hours=1)
    return f"{local:%Y-%m-%dT%H:00}"


def sentences_of(name: str, batch: Batch, execution_id: str | None) -> list[str]:
    """Return what an action does, for the user to confirm."""
    dag = batch.dag
    if name in ("run", "run_at"):
        if dag is None:
            without = "There is no DAG, so Airflow does not know of it."
            return [f"An execution of instance {batch.instance_id} is created on the platform. {without}"]
        sentences = [
            f"A run of the DAG {dag.dag_id} starts the batch, so Airflow shows it and waits for its end."
        ]
        if dag.is_paused:
            sentences.append("The DAG is off: its run waits until the DAG is switched on.")
        if batch.unfinished:
            sentences.append("An execution is not over yet.")
        return sentences
    return {
        "pause": [
            "The platform stops firing the cron, and upcoming executions are canceled. Running ones go on.",
            "The DAG loses its schedule when the inventory is refreshed. The batch can still be run by hand.",
        ],
        "resume": ["The platform fires the cron from its next tick on. Missed ticks are not made up."],
        "cancel": [
            (
                f"The platform is asked to cancel execution {execution_id}. A task in Airflow that waits for it fails "
                "without retries."
            )
        ],
        "dag_on": [f"Airflow makes the scheduled runs of {'' if dag is None else dag.dag_id} again."],
        "dag_off": [
            f"Airflow makes no scheduled runs of {'' if dag is None else dag.dag_id} any more.",
            "The platform goes on firing the cron. To stop it, pause the batch.",
        ],
    }[name]
