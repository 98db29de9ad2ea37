"""Under every quirk of the sandbox, alone and together, the report is complete and names what the platform does."""

from __future__ import annotations

import random
from typing import Any, get_args

import pytest

from airflow_provider_mics.sandbox.quirks import Quirks
from tests.doctor.runs import Doctor
from tests.sandbox_server import SandboxServer

NO_PLACE = "snapshot"
"""Without Airflow and without --snapshot, nobody knows where it is."""


def test_a_platform_without_quirks_is_fine(doctor: Doctor) -> None:
    run = doctor.run()
    assert run.results(NO_PLACE) == {}
    assert run.status == 0
    assert run.document["exit_status"] == 0
    assert run.of("token") == ("ok", "of airflow+1007@example.com")
    assert run.of("organisation") == ("ok", "1185 (Acme Retail)")
    assert run.of("time zone") == ("ok", "Europe/Paris matches all")
    assert "41 ticks of 6 instances" in run.rows["time zone"]["looked_at"]


NOTES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"sizes_in_answers": "console"}, "size names", "to do", "console (execution_container_cpu_size)"),
    ({"sizes_in_answers": "both"}, "size names", "note", "execution_container_cpu_size"),
    ({"ids_as_numbers": True}, "spellings", "note", "ids are numbers"),
    ({"succeeded_as": "SUCCESS"}, "spellings", "note", "statuses SUCCESS"),
    ({"succeeded_as": "DONE"}, "spellings", "to do", "unknown statuses DONE"),
    ({"dates_as": "seconds"}, "dates", "note", "epoch seconds"),
    ({"dates_as": "iso"}, "dates", "note", "ISO 8601"),
    ({"dates_as": "iso_without_offset"}, "dates", "to do", "without a time zone"),
    ({"sparse_executions": "optional"}, "what lists show", "note", "lacks creation date"),
    ({"sparse_executions": "all"}, "what lists show", "to do", "lacks creation date, expected start, type"),
    ({"null_executions": "all"}, "what lists show", "to do", "lacks creation date, expected start, type"),
    ({"list_order": "oldest"}, "list order", "note", "oldest first"),
    ({"list_order": "random"}, "list order", "note", "none"),
    ({"list_order": "unstable"}, "list order", "note", "none: it changes from request to request"),
    ({"lists_have_total": False}, "total", "note", "instances: none, executions: none"),
    ({"lists_paginated": False}, "largest page", "note", "first_result and max_results are ignored"),
    ({"max_results_cap": 30}, "largest page", "note", "executions: pages of at most 30"),
    ({"max_results_cap": 30, "max_results_echo": "asked"}, "largest page", "note", "at most 30"),
    ({"max_results_cap": 30, "lists_have_total": False}, "largest page", "note", "at most 30"),
    ({"max_results_cap": 5}, "largest page", "to do", "instances: pages of at most 5"),
    ({"max_results_cap": 1}, "largest page", "to do", "instances: pages of at most 1"),
    ({"organisation_executions": "404"}, "organisation's executions", "note", "no such route"),
    ({"organisation_executions": "405"}, "organisation's executions", "note", "no such route"),
    ({"execution_get": "404"}, "get by id", "note", "no such route (HTTP 404)"),
    ({"execution_get": "405"}, "get by id", "note", "no such route (HTTP 405)"),
    ({"connected_user": "404"}, "token", "note", "does not have the route connected_user"),
    ({"connected_user": "405"}, "token", "note", "does not have the route connected_user"),
    ({"errors_as": "html"}, "404", "note", "missing instance: 404 without the platform's wrapper"),
    ({"errors_as": "text"}, "404", "note", "404 without the platform's wrapper"),
    ({"errors_as": "bare_json"}, "404", "note", "404 without the platform's wrapper"),
    ({"errors_with_status_200": True}, "404", "note", "missing instance: 200 in the platform's wrapper"),
    ({"errors_as": "html", "errors_with_status_200": True}, "404", "note", "missing instance: unreadable"),
    ({"clock_offset_s": 60}, "clock", "note", "1 min ahead"),
    ({"clock_offset_s": -3600}, "clock", "to do", "1 h 00 min behind"),
]


@pytest.mark.parametrize(
    ("quirks", "check", "result", "found"),
    NOTES,
    ids=[",".join(f"{name}={value}" for name, value in quirks.items()) for quirks, *_ in NOTES],
)
def test_what_the_platform_does_has_its_row(
    platform: SandboxServer, doctor: Doctor, quirks: dict[str, Any], check: str, result: str, found: str
) -> None:
    platform.quirks(**quirks)
    run = doctor.run()
    assert run.rows[check]["result"] == result
    assert found in run.rows[check]["found"]
    assert run.rows[check]["means"]
    if result == "to do":
        assert run.rows[check]["set"]
        assert run.status == 1
    assert "not asked" not in run.results().values()
    shows_no_ticks = "all" in quirks.values() or "iso_without_offset" in quirks.values()
    assert run.rows["time zone"]["result"] == ("unknown" if shows_no_ticks else "ok")
    # A date that cannot be read is one that a list does not show.
    others = run.results(NO_PLACE, check, "what lists show" if check == "dates" else "")
    assert "to do" not in others.values()


OPTIONS: dict[str, list[Any]] = {
    "pending_as": ["SCHEDULED"],
    "running_as": ["STARTED"],
    "succeeded_as": ["SUCCESS"],
    "failed_as": ["LOST"],
    "canceled_as": ["CANCELLED"],
    "unknown_status_s": [3600],
    "unknown_status": ["WARMING_UP"],
    "default_max_results": [1],
    "max_results_cap": [1, 7],
    "cancel_takes_s": [1],
    "creates_ahead_s": [3600],
    "platform_late_s": [300],
    "missed_tick_grace_s": [0],
    "clock_offset_s": [-90, 4000],
    "start_latency_s": [5],
}
"""Values of the quirks whose type has no list of them."""


def values_of(name: str) -> list[Any]:
    """The values of a quirk but its default."""
    field = Quirks.model_fields[name]
    choices = OPTIONS.get(name) or list(get_args(field.annotation)) or [True, False]
    return [value for value in choices if value != field.default]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in Quirks.model_fields
        for value in values_of(name)
        # Those above need no second run.
        if {name: value} not in [quirks for quirks, *_ in NOTES]
    ],
)
def test_under_each_quirk_the_report_is_complete(
    platform: SandboxServer, doctor: Doctor, name: str, value: Any
) -> None:
    platform.quirks(**{name: value})
    run = doctor.run()
    assert run.status in (0, 1)
    assert "not asked" not in run.results().values()
    assert run.rows["time zone"]["result"] in ("ok", "unknown")
    if name in ("creates_ahead_s", "platform_late_s", "platform_silent"):
        return
    assert run.rows["time zone"]["result"] == "ok"


@pytest.mark.parametrize("seed", range(12))
def test_under_quirks_together_the_report_is_complete(
    platform: SandboxServer, doctor: Doctor, seed: int
) -> None:
    draw = random.Random(seed)
    chosen = {name: draw.choice(values_of(name)) for name in Quirks.model_fields if draw.random() < 0.35}
    platform.quirks(**chosen)
    run = doctor.run()
    assert run.status in (0, 1), (chosen, run.results(), run.err)
    assert "not asked" not in run.results().values(), (chosen, run.out)
    assert run.rows["time zone"]["result"] in ("ok", "unknown", "note"), (chosen, run.rows["time zone"])
