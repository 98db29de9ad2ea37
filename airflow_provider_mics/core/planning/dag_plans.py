"""What DAG an instance becomes, as a value: users can replace a plan without touching Airflow."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from unicodedata import combining, normalize
from zlib import crc32

from airflow_provider_mics.api.console import instance_page
from airflow_provider_mics.api.field_types import CronStatus
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.text import one_line
from airflow_provider_mics.core.planning.cron_ticks import Cron, CronPeriod
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.core.planning.plan_fields import field_problem

DAG_ID_STEM = "mics_integration_batch_"
"""What a DAG id has before the instance's id, and after the prefix that a user chose."""
LONGEST_PREFIX = 25
LONGEST_NAME = 250
LONGEST_VALUE = 250
LONGEST_TAG = 100
LONGEST_REASON = 500
TAG = "mediarithmics"
PAUSED_TAG = "cron paused"
INVALID_CRON_TAG = "invalid-cron"
CANNOT_BE_PLANNED_TAG = "cannot-be-planned"
_PREFIX = re.compile(rf"[A-Za-z0-9_.-]{{0,{LONGEST_PREFIX}}}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")
_ESCAPED_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|~"})


@dataclass(frozen=True)
class DagPlan:
    """The DAG that an instance becomes.

    ``cron`` is the schedule, or None for manual runs only. ``timezone`` (IANA name) is the time zone of the cron.
    ``schedule_since`` is the moment since which the schedule is in force: earlier ticks never run. ``cron_periods``
    say when which cron of the instance was in force, by which past executions are judged. ``problem`` is the
    reason why the instance has no DAG as configured, or None. All text must be the same at each parse while the
    instance does not change: any difference makes a new version of the DAG.
    """

    dag_id: str
    instance_id: str
    display_name: str
    description: str = ""
    doc_md: str = ""
    tags: tuple[str, ...] = ()
    cron: str | None = None
    timezone: str = "UTC"
    schedule_since: datetime | None = None
    cron_periods: tuple[CronPeriod, ...] = field(default=(), compare=False)
    console_page: str | None = None
    problem: str | None = None


Planner = Callable[[Inventory, Instance], DagPlan]


def is_id(text: str) -> bool:
    """Whether a text can be the id of an instance, and be sent in a request."""
    return _ID.fullmatch(text) is not None


def dag_id_of(instance_id: str) -> str:
    """Return the DAG id of an instance. It depends on the instance's id only, so a renamed instance keeps its DAG."""
    if is_id(instance_id):
        return f"{DAG_ID_STEM}{instance_id}"
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", instance_id)[:100]
    return f"{DAG_ID_STEM}{readable}.{crc32(instance_id.encode('utf-8', 'replace')):08x}"


def instance_id_of(dag_id: str, prefix: str = "") -> str | None:
    """Return the instance id in a DAG id that `dag_id_of` made, with a prefix before it, or None for other DAG ids."""
    stem = prefix + DAG_ID_STEM
    instance_id = dag_id.removeprefix(stem)
    return instance_id if dag_id.startswith(stem) and is_id(instance_id) else None


def is_prefix(text: object) -> bool:
    """Whether a text can be the beginning of DAG ids, asset URIs and tags."""
    return isinstance(text, str) and _PREFIX.fullmatch(text) is not None


def prefixed(plan: DagPlan, prefix: str) -> DagPlan:
    """Return the plan with a prefix before its DAG id, and a tag with it."""
    if not prefix:
        return plan
    return replace(plan, dag_id=prefix + plan.dag_id, tags=_tags(*plan.tags, prefix + TAG))


def plan_instance(inventory: Inventory, instance: Instance) -> DagPlan:
    """Return the default plan of an instance.

    To customize a plan, start from this one: ``replace(plan_instance(inventory, instance), tags=("mine",))``.
    """
    plan = _unscheduled(inventory, instance)
    problem = _problem_of(instance, inventory.timezone)
    if problem is not None:
        return _with_problem(plan, *problem)
    if not instance.cron or instance.archived:
        return replace(plan, description="Integration batch without a schedule: it runs by hand.")
    cron = Cron(instance.cron, inventory.timezone)
    if instance.cron_status == CronStatus.PAUSED:
        return _tagged(
            replace(plan, description=f"Integration batch, paused; cron {_shown(cron)}."), PAUSED_TAG
        )
    return replace(
        plan,
        description=f"Integration batch; cron {_shown(cron)}."
        + (f" It {cron.warning}." if cron.warning else ""),
        doc_md=plan.doc_md + (f"\n**Warning**: its cron {cron.warning}.\n" if cron.warning else ""),
        cron=cron.normalised,
        schedule_since=inventory.schedule_since.get(instance.id),
        cron_periods=inventory.cron_periods.get(instance.id, ()),
    )


def _problem_of(instance: Instance, timezone: str) -> tuple[str, str] | None:
    """Return the tag and the reason if the instance cannot become a DAG as configured."""
    if not is_id(instance.id):
        return (
            CANNOT_BE_PLANNED_TAG,
            f"its id {one_line(instance.id, LONGEST_TAG)!r} is none that the platform gives",
        )
    if not instance.cron or instance.archived:
        return None
    cron = Cron(instance.cron, timezone)
    if cron.problem is not None:
        return INVALID_CRON_TAG, f"its cron {_shown(cron)} {cron.problem}"
    if instance.cron_status not in (CronStatus.ACTIVE, CronStatus.PAUSED):
        return CANNOT_BE_PLANNED_TAG, f"its cron {_shown(cron)} has the unknown status {instance.cron_status}"
    return None


def _shown(cron: Cron) -> str:
    return f"{one_line(cron.expression, LONGEST_TAG)} ({cron.timezone})"


def unplanned(inventory: Inventory, instance: Instance, reason: str) -> DagPlan:
    """Return the plan for an instance that cannot become a DAG as configured: no schedule, and the reason."""
    reason = _ADDRESS.sub("0x…", one_line(reason, LONGEST_REASON))
    return _with_problem(_unscheduled(inventory, instance), CANNOT_BE_PLANNED_TAG, reason)


def invalid_cron(plan: DagPlan, reason: str) -> DagPlan:
    """Return the plan without its schedule, which Airflow cannot read, and with the reason."""
    reason = f"its cron {plan.cron} cannot be scheduled on: {_ADDRESS.sub('0x…', one_line(reason, LONGEST_REASON))}"
    return _with_problem(replace(plan, cron=None, schedule_since=None), INVALID_CRON_TAG, reason)


def plan_all(
    inventory: Inventory,
    *,
    plan: Planner = plan_instance,
    select: Callable[[Instance], bool] | None = None,
    dag_id_prefix: str = "",
) -> list[tuple[Instance, DagPlan]]:
    """Return the selected instances with their plans. The plan of one that cannot be planned shows the reason.

    :param dag_id_prefix: what each DAG id begins with, also one from ``plan``
    """
    plans: dict[str, tuple[Instance, DagPlan]] = {}
    for instance in inventory.instances:
        planned = _plan_one(inventory, instance, plan, select)
        if planned is None:
            continue
        planned = prefixed(planned, dag_id_prefix)
        taken = plans.get(planned.dag_id)
        if taken is not None:
            reason = f"the DAG id {planned.dag_id} is taken by instance {taken[0].id}"
            planned = prefixed(unplanned(inventory, instance, reason), dag_id_prefix)
        if planned.dag_id in plans:
            planned = replace(planned, dag_id=f"{planned.dag_id}.{crc32(instance.id.encode()):08x}")
        plans[planned.dag_id] = (instance, planned)
    return list(plans.values())


def _plan_one(
    inventory: Inventory, instance: Instance, plan: Planner, select: Callable[[Instance], bool] | None
) -> DagPlan | None:
    """Return the plan of an instance, or None if it is not selected. An error in a user's function is the reason."""
    doing = "select"
    try:
        if select is not None and not select(instance):
            return None
        doing = "plan"
        planned = plan(inventory, instance)
    except Exception as error:  # noqa: BLE001
        return unplanned(inventory, instance, f"{doing}(...) raised {type(error).__name__}: {error}")
    if not isinstance(planned, DagPlan):
        return unplanned(inventory, instance, f"plan(...) gave {type(planned).__name__}, not a DagPlan")
    problem = field_problem(planned)
    return planned if problem is None else unplanned(inventory, instance, f"plan(...) gave {problem}")


def _unscheduled(inventory: Inventory, instance: Instance) -> DagPlan:
    page = None
    if inventory.organisation_id is not None and is_id(instance.id):
        page = instance_page(inventory.console_url, inventory.organisation_id, instance.id)
    return DagPlan(
        dag_id=dag_id_of(instance.id),
        instance_id=instance.id,
        display_name=one_line(instance.name or "", LONGEST_NAME) or f"Integration batch {instance.id}",
        doc_md=page_of(instance, inventory.timezone, page),
        tags=_tags(TAG, instance.group_id, instance.artifact_id),
        timezone=inventory.timezone,
        console_page=page,
    )


def _with_problem(plan: DagPlan, tag: str, reason: str) -> DagPlan:
    return replace(
        _tagged(plan, tag),
        description=f"No schedule: {reason}.",
        doc_md=f"**No schedule**: {reason}.\n\n{plan.doc_md}",
        problem=reason,
    )


def _tagged(plan: DagPlan, tag: str) -> DagPlan:
    return replace(plan, tags=_tags(*plan.tags, tag))


def _tags(*texts: str | None) -> tuple[str, ...]:
    tags = [one_line(text or "", LONGEST_TAG) for text in texts]
    # MySQL usually takes tags for equal that differ by case or accents, and then stores no DAG of the whole file.
    different = {_folded(tag): tag for tag in reversed(tags) if tag}
    return tuple(sorted(different.values()))


def _folded(tag: str) -> str:
    return "".join(each for each in normalize("NFKD", tag.casefold()) if not combining(each))


def page_of(instance: Instance, timezone: str, console_page: str | None) -> str:
    """Return the documentation of an instance's DAG, in Markdown. Times in it would make new DAG versions."""
    plugin = f"{instance.group_id or '?'} : {instance.artifact_id or '?'}"
    rows = {
        "Instance": instance.id,
        "Plugin": plugin,
        "Version": instance.version_value or instance.version_id,
        "Cron": f"{instance.cron} ({timezone})" if instance.cron else "none: it runs by hand",
        "Status": str(instance.cron_status) if instance.cron_status else None,
        "CPU, RAM, disk": _sizes(instance),
    }
    table = [f"| {name} | {_escaped(value)} |" for name, value in rows.items() if value]
    lines = [f"### {_escaped(instance.name or f'Integration batch {instance.id}')}", ""]
    lines += ["| mediarithmics | |", "|---|---|", *table]
    lines += ["", f"[Open on mediarithmics]({console_page})"] if console_page else []
    return "\n".join(lines) + "\n"


def _sizes(instance: Instance) -> str | None:
    sizes = (instance.cpu_size, instance.ram_size, instance.disk_size)
    return ", ".join(str(size or "?") for size in sizes) if any(sizes) else None


def _escaped(text: str) -> str:
    return one_line(text, LONGEST_VALUE).translate(_ESCAPED_MARKS)
