"""How long after its tick the platform creates an execution, and so how long a task has to wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from airflow_provider_mics.api.outages import readable
from airflow_provider_mics.core.exactly_once.cron_evidence import EXCEPTIONS
from airflow_provider_mics.core.exactly_once.handover import DEFAULT_PLATFORM_GRACE
from airflow_provider_mics.doctor.checks.rows import Result, Row, counted
from airflow_provider_mics.doctor.checks.timezones import Evidence


def grace_row(evidence: Sequence[Evidence], looked_at: str) -> Row:
    """Return how long after its tick the platform creates an execution."""
    check = "platform_grace"
    late = sorted(
        ((lateness, each.instance.id) for each in evidence for lateness in each.latenesses), reverse=True
    )
    looked_at = (
        f"{counted(len(late), 'tick')} of {counted(len({key for _, key in late}), 'instance')}; {looked_at}"
    )
    if not late:
        means = "No execution shows how long after its tick the platform creates it."
        return Row(check, Result.UNKNOWN, "no evidence", means, looked_at=looked_at)
    latest, slowest = late[0]
    if latest <= timedelta(0):
        found = f"executions are created {readable(-latest)} before their tick, or earlier"
        return Row(check, Result.OK, found, "Airflow adopts each at its tick.", looked_at=looked_at)
    found = f"executions are created at the latest {readable(latest)} after their tick (instance {slowest})"
    default = readable(DEFAULT_PLATFORM_GRACE)
    if latest <= DEFAULT_PLATFORM_GRACE:
        means = f"Airflow leaves the platform {default} for each tick, and adopts its execution."
        return Row(check, Result.OK, found, means, looked_at=looked_at)
    too_late = sum(lateness > DEFAULT_PLATFORM_GRACE for lateness, _ in late)
    if too_late <= EXCEPTIONS * len(late):
        means = f"Only {counted(too_late, 'tick')} of these came later than the default of {default}."
        return Row(check, Result.NOTE, found, means, looked_at=looked_at)
    means = (
        f"With the default of {default}, Airflow creates an execution before the platform does. If Airflow created "
        "these, since the platform does not fire, nothing ran twice."
    )
    usual, _ = late[int(EXCEPTIONS * len(late))]
    minutes = -(-usual * 1.5 // timedelta(minutes=1))
    if usual < latest:
        means += f" All but the slowest quarter came within {readable(usual)}."
    advice = f"Set platform_grace to timedelta(minutes={minutes:g}); to timedelta(0) if the platform fires nothing."
    return Row(check, Result.TO_DO, found, means, advice, looked_at)
