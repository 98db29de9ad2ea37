"""How the platform lists: ``total``, paging, the largest page, the order, and what cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE
from airflow_provider_mics.doctor.checks.rows import Result, Row, counted
from airflow_provider_mics.doctor.checks.samples import FEWEST_FOR_AN_ORDER, Sample, order_of

Samples = Mapping[str, Sample[Any]]
"""By what they are lists of: ``instances``, ``executions``."""
SMALL_PAGE = 20
"""Largest pages below this make every poll take many requests."""


def total_row(samples: Samples) -> Row:
    """Return whether lists have a ``total``."""
    by_list = {name: sample.total for name, sample in samples.items() if sample.pages}
    if not by_list:
        return Row("total", Result.UNKNOWN, "no list could be read")
    found = ", ".join(
        f"{name}: {'none' if total is None else f'{total:,}'}" for name, total in by_list.items()
    )
    small = [name for name, sample in samples.items() if _total_is(sample) == "too small"]
    large = [name for name, sample in samples.items() if _total_is(sample) == "too large"]
    wrong = [f"of {' and '.join(small)} is smaller"] if small else []
    wrong += [f"of {' and '.join(large)} is larger"] if large else []
    if wrong:
        means = f"The total {', that '.join(wrong)} than what the list gave: it is not relied on."
        return Row("total", Result.NOTE, found, means)
    if None in by_list.values():
        means = (
            "A list without total is read until a page brings nothing new; its far end is found by doubling."
        )
        return Row("total", Result.NOTE, found, means)
    return Row("total", Result.OK, found, "A list's length is known after its first page.")


def _total_is(sample: Sample[Any]) -> Literal["right", "too small", "too large"]:
    """Compare the ``total`` of a list with what it gave; it is right where nothing contradicts it."""
    if sample.total is None:
        return "right"
    if max(sample.known, sample.length or 0) > sample.total:
        return "too small"
    return "too large" if sample.length is not None and sample.length < sample.total else "right"


def paging_row(samples: Samples) -> Row:
    """Return the largest page, and whether ``first_result`` and ``max_results`` are applied."""
    found, caps, unpaged = [], [], []
    for name, sample in samples.items():
        if not sample.pages:
            continue
        first = sample.pages[0]
        if sample.ignores_paging:
            unpaged.append(name)
            found.append(f"{name}: first_result and max_results are ignored")
        elif (cap := _cap_of(sample)) is not None:
            caps.append(cap)
            found.append(f"{name}: pages of at most {cap}")
        else:
            found.append(f"{name}: up to {first.size} in one page")
    text = f"{', '.join(found)} ({LARGE_PAGE_SIZE} were asked for)"
    if not found:
        return Row("largest page", Result.UNKNOWN, "no list could be read")
    if unpaged:
        means = "Each request for a list gets all of it: the longer the history, the slower every poll."
        return Row("largest page", Result.NOTE, text, means)
    if caps and min(caps) < SMALL_PAGE:
        means = "Lists are read in many small requests: a refresh of the inventory takes several parses."
        advice = "Raise the factory's refresh interval (ttl), and ask the vendor for larger pages."
        return Row("largest page", Result.TO_DO, text, means, advice)
    if caps:
        return Row("largest page", Result.NOTE, text, "Lists are read in pages of that size.")
    return Row("largest page", Result.OK, text, "No cap was met.")


def _cap_of(sample: Sample[Any]) -> int | None:
    """Return the platform's largest page, or None if no page shows it."""
    first = sample.pages[0]
    # What a later page gave is certain; a total may count more than there is.
    if 0 < first.size < LARGE_PAGE_SIZE and sample.known > first.size:
        return first.size
    echoed = first.max_results
    return echoed if echoed is not None and 0 < echoed < LARGE_PAGE_SIZE and first.size <= echoed else None


def order_row(executions: Sample[Execution] | None, again: list[str]) -> Row:
    """Return the order of executions.

    :param again: the ids of the first page, asked for a second time
    """
    if executions is None or not executions.pages:
        return Row("list order", Result.UNKNOWN, "no list of executions could be read")
    first = [value for value, _ in executions.pages[0].data]
    looked_at = counted(len(first), "execution")
    order = order_of(first)
    known = {each.id for each in first}
    common = [each for each in again if each in known]
    is_unstable = common != [each.id for each in first if each.id in set(common)]
    if order == "unknown":
        means = f"An order shows in {FEWEST_FOR_AN_ORDER} executions at least."
        return Row("list order", Result.UNKNOWN, "too few executions", means, looked_at=looked_at)
    if is_unstable:
        means = "Two requests give two orders: to look for an execution, an instance's whole list is read."
        return Row(
            "list order", Result.NOTE, "none: it changes from request to request", means, looked_at=looked_at
        )
    if order == "newest first":
        means = "Polls and searches read the first pages only."
        return Row("list order", Result.OK, order, means, looked_at=looked_at)
    if order == "oldest first":
        means = "Polls and searches read from the far end."
        return Row("list order", Result.NOTE, order, means, looked_at=looked_at)
    means = "To look for an execution, an instance's whole list is read."
    return Row("list order", Result.NOTE, "none", means, looked_at=looked_at)


def unreadable_row(samples: Samples) -> Row | None:
    """Return a row for items that cannot be read, or None if all can."""
    found = [
        f"{each.unreadable} of the {name} that were listed"
        for name, each in samples.items()
        if each.unreadable
    ]
    if not found:
        return None
    means = "They are left out: an instance among them has no DAG, an execution is asked for by its id."
    return Row(
        "unreadable items",
        Result.TO_DO,
        ", ".join(found),
        means,
        "Look for instances without a usable id on the platform, and report them to the vendor.",
    )
