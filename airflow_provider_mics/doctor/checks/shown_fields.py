"""How the platform spells what it shows: sizes, ids, dates, statuses, and which fields a list has."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_mics.api.field_types import EPOCH_MICROSECONDS, EPOCH_SECONDS, ExecutionType
from airflow_provider_mics.api.models import SIZE_NAMES, Execution, ExecutionParameters, Instance
from airflow_provider_mics.api.text import one_line
from airflow_provider_mics.doctor.checks.rows import Result, Row, counted, names
from airflow_provider_mics.doctor.checks.samples import Raw, Sample

CONSOLE_PREFIX = "execution_container_"
INSTANCE_DATES = ("creation_ts", "last_modified_ts")
EXECUTION_DATES = ("creation_date", "start_date")
UNREADABLE_DATE = "without a time zone, or unreadable"
LONGEST_VALUE = 40


def sizes_row(instances: Sample[Instance], size_fields: str) -> Row:
    """Return under which names instances show their container sizes, and whether the connection writes these."""
    looked_at = instances.looked_at("instances")
    shown = {name for raw in instances.raw for name in raw if name.removeprefix(CONSOLE_PREFIX) in SIZE_NAMES}
    spellings = {"console" if name.startswith(CONSOLE_PREFIX) else "documented" for name in shown}
    if not spellings:
        means = "No instance shows a size."
        return Row("size names", Result.UNKNOWN, "none", means, looked_at=looked_at)
    if len(spellings) == 2:
        means = f"Both names are there. {size_fields!r} is written, which the platform may not read."
        check = "If an instance that Airflow creates has another size than was asked for, set size_fields to the other."
        return Row("size names", Result.NOTE, ", ".join(sorted(shown)), means, check, looked_at)
    spelling = spellings.pop()
    example = min(shown)
    if spelling == size_fields:
        means = "Sizes are written as the platform shows them."
        return Row("size names", Result.OK, f"{spelling} ({example})", means, looked_at=looked_at)
    means = f"Sizes are written under other names ({size_fields}), which the platform may ignore: instances stay LOW."
    return Row(
        "size names",
        Result.TO_DO,
        f"{spelling} ({example})",
        means,
        f"Set size_fields to {spelling}.",
        looked_at,
    )


def dates_row(instances: Iterable[Raw], executions: Iterable[Raw]) -> Row:
    """Return how dates are written."""
    kinds: Counter[str] = Counter()
    for raw in instances:
        kinds.update(_kinds(raw, INSTANCE_DATES))
    for raw in executions:
        kinds.update(_kinds(raw, EXECUTION_DATES))
        parameters = raw.get("parameters")
        kinds.update(_kinds(parameters if isinstance(parameters, Mapping) else {}, ("expected_start_date",)))
    looked_at = counted(sum(kinds.values()), "date")
    found = ", ".join(f"{kind} ({number})" for kind, number in kinds.most_common())
    if not kinds:
        return Row("dates", Result.UNKNOWN, "no item shows a date")
    if kinds[UNREADABLE_DATE]:
        means = "Such a date counts as unknown, so a retry may not recognise its own execution, and creates nothing."
        advice = "Ask the vendor for dates in epoch milliseconds, or ISO 8601 with an offset."
        return Row("dates", Result.TO_DO, found, means, advice, looked_at)
    if any("seconds" in kind and "milli" not in kind and "micro" not in kind for kind in kinds):
        means = (
            "Milliseconds are lost, by which the executions of manual runs differ: the answer to a creation is not "
            "taken to show what was sent."
        )
        return Row("dates", Result.NOTE, found, means, "Check with --allow-writes.", looked_at)
    if kinds.keys() == {"epoch milliseconds"}:
        return Row("dates", Result.OK, found, "As documented.", looked_at=looked_at)
    return Row("dates", Result.NOTE, found, "They are read all the same.", looked_at=looked_at)


def _kinds(raw: Raw, fields: Iterable[str]) -> list[str]:
    return [date_kind(raw[name]) for name in fields if raw.get(name) is not None]


def date_kind(value: Any) -> str:
    """Return the name of the format of a date, such as ``epoch milliseconds``."""
    as_text = isinstance(value, str)
    number = value
    if as_text:
        try:
            number = int(value)
        except ValueError:
            number = None
    if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number):
        suffix = " as text" if as_text else ""
        if abs(int(number)) in EPOCH_SECONDS:
            return f"epoch seconds{suffix}"
        return f"epoch {'microseconds' if abs(int(number)) in EPOCH_MICROSECONDS else 'milliseconds'}{suffix}"
    read = ExecutionParameters.model_validate({"expected_start_date": value})
    if read.expected_start_date is None:
        return UNREADABLE_DATE
    return "ISO 8601 to the second" if read.moment_is_rounded else "ISO 8601"


def spelling_row(instances: Sequence[Raw], executions: Sequence[tuple[Execution, Raw]]) -> Row:
    """Return which ids, statuses and types are spelled otherwise than expected."""
    raws = [*instances, *(raw for _, raw in executions)]
    values = [value for value, _ in executions]
    looked_at = counted(len(raws), "item")
    unknown = Counter(
        one_line(str(each.status), LONGEST_VALUE) for each in values if not each.status_is_known
    )
    types = {
        one_line(str(kind), LONGEST_VALUE)
        for each in values
        if (kind := each.execution_type) is not None and not isinstance(kind, ExecutionType)
    }
    found = [f"statuses {names(sorted(unknown))}"] if unknown else []
    found += [f"execution types {names(sorted(types))}"] if types else []
    if found:
        means = "An unknown status is no end: a task that sees one goes on waiting, with a warning."
        advice = "Report the words, with this version, to the provider's maintainers."
        return Row("spellings", Result.TO_DO, f"unknown {', '.join(found)}", means, advice, looked_at)
    differing = ["ids are numbers"] if any(isinstance(raw.get("id"), int) for raw in raws) else []
    synonyms = {str(raw["status"]) for _, raw in executions if raw.get("status") in ("SUCCESS", "CANCELLED")}
    differing += [f"statuses {names(sorted(synonyms))}"] if synonyms else []
    if differing:
        return Row(
            "spellings", Result.NOTE, ", ".join(differing), "They are read alike.", looked_at=looked_at
        )
    return Row("spellings", Result.OK, "all words are known", "", looked_at=looked_at)


FIELDS: dict[str, Callable[[Execution], object]] = {
    "type": lambda each: each.execution_type,
    "expected start": lambda each: each.expected_start_date,
    "creation date": lambda each: each.creation_date,
    "instance": lambda each: each.instance_id,
}
"""What of an execution tells whose it is."""


def shown_fields(execution: Execution) -> set[str]:
    """Return which of `FIELDS` an execution shows."""
    return {name for name, of in FIELDS.items() if of(execution) is not None}


def listed_fields_row(
    of_instances: Sequence[Execution], of_organisation: Sequence[Execution], by_id: Execution | None
) -> Row:
    """Return what lists show of their executions, compared with one that was asked for by its id.

    :param of_instances: executions from the lists of their instances, in which exactly-once searches
    :param of_organisation: executions from the organisation's list, which polls read
    """
    check = "what lists show"
    looked_at = counted(len(of_instances) + len(of_organisation), "listed execution")
    if not of_instances and not of_organisation:
        return Row(check, Result.UNKNOWN, "there are no executions", looked_at=looked_at)
    lists = {"an instance's list": of_instances, "the organisation's list": of_organisation}
    missing = {name: _missing(executions) for name, executions in lists.items()}
    missing["an instance's list"].discard("instance")
    found = "; ".join(f"{name} lacks {names(sorted(fields))}" for name, fields in missing.items() if fields)
    lacking = {"type", "expected start"} & missing["an instance's list"]
    if not found:
        means = "A list alone tells whose an execution is."
        return Row(check, Result.OK, ", ".join(FIELDS), means, looked_at=looked_at)
    if not lacking:
        means = "Enough to recognise an execution. What is missing is asked for by id where it matters."
        return Row(check, Result.NOTE, found, means, looked_at=looked_at)
    if by_id is not None and lacking <= shown_fields(by_id):
        means = "Candidates are asked for by their ids, 50 at most: submissions take more requests."
        return Row(check, Result.NOTE, found, means, looked_at=looked_at)
    means = (
        "Not even a request by id shows it, so no execution can be recognised: with any other execution since the "
        "run began, nothing is created and the task fails."
    )
    advice = (
        "Ask the vendor to show parameters.execution_type and parameters.expected_start_date to this token."
    )
    return Row(check, Result.TO_DO, found, means, advice, looked_at)


def _missing(executions: Sequence[Execution]) -> set[str]:
    """Return the fields that some of the executions do not show."""
    return {name for each in executions for name in FIELDS.keys() - shown_fields(each)}
