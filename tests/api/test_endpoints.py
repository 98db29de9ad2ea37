"""Both clients, past every endpoint, on a platform with each quirk alone and with all together."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_mics.sandbox.quirks import Quirks
from tests.api.both_clients import client_of
from tests.api.journey import Journey

OTHERS: dict[str, list[Any]] = {
    "sizes_in_answers": ["console", "both"],
    "sizes_accepted": ["documented", "console"],
    "ids_as_numbers": [True],
    "job_type": ["BATCH_INTEGRATION"],
    "pending_as": ["SCHEDULED", "WAITING_DEPENDENT_JOB"],
    "running_as": ["Running"],
    "succeeded_as": ["SUCCESS"],
    "failed_as": ["LOST", "EXECUTOR_NOT_RESPONDING"],
    "canceled_as": ["CANCELLED"],
    "unknown_status_s": [0.2],
    "unknown_status": ["IN_LIMBO"],
    "sparse_executions": ["optional", "all"],
    "null_executions": ["optional", "all"],
    "extra_fields": [True],
    "execution_error": ["string"],
    "task_counts": ["string", "null"],
    "list_order": ["oldest", "random", "unstable"],
    "lists_have_total": [False],
    "total_shown": ["text", "of_page", "too_small", "too_large"],
    "past_the_end": ["400", "404", "416"],
    "dates_as": ["seconds", "iso", "iso_without_offset"],
    "lists_paginated": [False],
    "default_max_results": [1],
    "max_results_cap": [1, 2, 3],
    "max_results_echo": ["asked"],
    "archived_in_lists": [False],
    "list_filters": [False],
    "organisation_executions": ["404", "405"],
    "execution_get": ["404", "405"],
    "execution_put": ["404", "405"],
    "execution_delete": ["404", "405"],
    "cancel_action": ["404", "405"],
    "connected_user": ["404", "405"],
    "put_semantics": ["merge"],
    "cancel_answer": ["text", "empty"],
    "cancel_running": [False],
    "cancel_takes_s": [0.2],
    "delete_running": ["hides", "refused"],
    "delete_answer": ["empty"],
    "cron_validation": [False],
    "errors_as": ["html", "text", "bare_json"],
    "errors_with_status_200": [True],
    "creates_ahead_s": [60],
    "platform_silent": [True],
    "platform_late_s": [60],
    "missed_tick_grace_s": [0],
    "pausing_cancels": [False],
    "repeated_hour": ["second"],
    "skips_planned_ticks": [True],
    "clock_offset_s": [-90, 90],
    "start_latency_s": [0.2],
}
ALONE = [{name: value} for name, values in OTHERS.items() for value in values]
FIRST = {name: values[0] for name, values in OTHERS.items()}
LAST = {name: values[-1] for name, values in OTHERS.items()}
TOGETHER = {
    "the first of each": FIRST | {"errors_as": "bare_json"},
    "the last of each": LAST | {"errors_as": "json", "list_order": "random"},
    "the first of each, errors with their status": FIRST | {"errors_with_status_200": False},
    "the last of each, errors in text": LAST | {"errors_as": "text", "errors_with_status_200": False},
}


def named(quirks: dict[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in quirks.items())


def walk(platform: Any, kind: Any, quirks: dict[str, Any]) -> None:
    platform.quirks(**quirks)
    size_fields = "console" if quirks.get("sizes_accepted") == "console" else "documented"
    with client_of(
        kind, platform.url, platform.token, platform.organisation_id, size_fields=size_fields
    ) as client:
        Journey(client, quirks).walk()


def test_past_every_endpoint(platform, kind):
    walk(platform, kind, {})


@pytest.mark.parametrize("quirks", ALONE, ids=named)
def test_past_every_endpoint_under_each_quirk_alone(platform, kind, quirks):
    walk(platform, kind, quirks)


@pytest.mark.parametrize("quirks", TOGETHER.values(), ids=TOGETHER.keys())
def test_past_every_endpoint_under_all_quirks_together(platform, kind, quirks):
    walk(platform, kind, quirks)


def test_no_quirk_is_forgotten_here():
    """A new quirk of the sandbox belongs into `OTHERS`, with the values that are not its default."""
    assert set(OTHERS) == set(Quirks.model_fields)
