"""Instances that need attention: crons that are read differently, and names that collide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from airflow_provider_mics.api.cron_syntax import cron_problem, cron_warning
from airflow_provider_mics.api.field_types import CronStatus
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.text import one_line
from airflow_provider_mics.doctor.checks.rows import Result, Row, counted, names

LONGEST_NAME = 60
SHOWN = 10
"""How many instances a row names."""


def label(instance: Instance) -> str:
    """Return an instance's id and name: ``4101 (Store sales feed)``."""
    return f"{instance.id} ({one_line(instance.name or 'no name', LONGEST_NAME)})"


def crons_row(instances: Sequence[Instance], looked_at: str) -> Row:
    """Return the crons that Airflow does not schedule, and those that look like a mistake."""
    with_cron = [each for each in instances if each.cron and not each.archived]
    looked_at = f"{counted(len(with_cron), 'cron')} of {looked_at}"
    unscheduled = [
        f"{label(each)}: {one_line(each.cron or '', LONGEST_NAME)!r} {problem}"
        for each in with_cron
        if (problem := cron_problem(each.cron or "")) is not None
    ]
    unscheduled += [
        f"{label(each)}: has the unknown status {one_line(str(each.cron_status), LONGEST_NAME)}"
        for each in with_cron
        if not isinstance(each.cron_status, CronStatus) and cron_problem(each.cron or "") is None
    ]
    doubtful = [
        f"{label(each)}: {each.cron!r} {warning}"
        for each in with_cron
        if each.is_active and (warning := cron_warning(each.cron)) is not None
    ]
    if unscheduled:
        means = (
            "Their DAGs have no schedule, and the tag invalid-cron or cannot-be-planned. The platform goes on firing "
            "those that are active."
        )
        advice = "Write these crons on the platform as each line says."
        return Row("crons", Result.TO_DO, _listed([*unscheduled, *doubtful]), means, advice, looked_at)
    if doubtful:
        means = "Airflow runs them every minute, as the platform does."
        advice = "If no schedule is meant, remove the cron on the platform."
        return Row("crons", Result.TO_DO, _listed(doubtful), means, advice, looked_at)
    means = "crond, croniter and Airflow read them alike."
    return Row("crons", Result.OK, "all can be scheduled", means, looked_at=looked_at)


def names_row(instances: Sequence[Instance], looked_at: str) -> Row:
    """Return the instances that the operators cannot tell apart by name, and those that people cannot."""
    alive = [each for each in instances if not each.archived]
    same_key = _groups((each, (each.group_id, each.artifact_id, (each.name or "").strip())) for each in alive)
    if same_key:
        means = (
            "MicsCreateInstanceOperator finds an instance by plugin and name. Of several it takes the oldest, which "
            "may be the wrong one."
        )
        advice = "Rename or archive all but one on the platform."
        found = _listed([f"{name!r} is the name of {ids}" for name, ids in same_key])
        return Row("names", Result.TO_DO, found, means, advice, looked_at)
    same_name = _groups((each, ((each.name or "").strip().casefold(),)) for each in alive if each.name)
    if same_name:
        found = _listed([f"{name!r} is the name of {ids}" for name, ids in same_name])
        means = "Their DAGs look alike in the list. Ids keep them apart, and so do the tags of their plugins."
        return Row("names", Result.NOTE, found, means, looked_at=looked_at)
    return Row("names", Result.OK, "all differ", "Operators find each by its name.", looked_at=looked_at)


def _groups(keyed: Iterable[tuple[Instance, tuple[str | None, ...]]]) -> list[tuple[str, str]]:
    """Return the name and the ids of the instances with one key, where there are several."""
    groups: dict[tuple[str | None, ...], list[Instance]] = defaultdict(list)
    for instance, key in keyed:
        groups[key].append(instance)
    return [
        (one_line(group[0].name or "", LONGEST_NAME), names([each.id for each in group]))
        for group in groups.values()
        if len(group) > 1
    ]


def _listed(lines: list[str]) -> str:
    more = len(lines) - SHOWN
    return "; ".join(lines[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
