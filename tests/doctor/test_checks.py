"""What the checks conclude from what they see, at the edges that the sandbox does not have."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mics.api.errors import MicsConnectionError
from airflow_provider_mics.api.models import ConnectedUser, Execution, ExecutionParameters, Instance
from airflow_provider_mics.api.network import Network
from airflow_provider_mics.doctor.checks.access import Access, access_rows
from airflow_provider_mics.doctor.checks.instances import crons_row, names_row
from airflow_provider_mics.doctor.checks.samples import order_of
from airflow_provider_mics.doctor.checks.shown_fields import UNREADABLE_DATE, date_kind
from airflow_provider_mics.doctor.checks.transfers import (
    Exchange,
    clock_row,
    latency_row,
    network_row,
    rate_limit_row,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def instance(number: int, name: str, artifact: str = "a", **fields: Any) -> Instance:
    return Instance(id=str(number), name=name, group_id="g", artifact_id=artifact, **fields)


def exchange(
    seconds: float = 0.1, status: int | None = 200, ahead: float | None = 0, **headers: str
) -> Exchange:
    date = None if ahead is None else (NOON + timedelta(seconds=seconds / 2 + ahead)).replace(microsecond=0)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Exchange("blocking", "GET /v1/x", NOON, seconds, status, named, date)


@pytest.mark.parametrize(
    ("ahead", "result"),
    [
        (0, "ok"),
        (4, "ok"),
        (-4, "ok"),
        (30, "note"),
        (-240, "note"),
        (301, "to do"),
        (-7200, "to do"),
        (None, "note"),
    ],
)
def test_the_clock_of_the_platform(ahead: float | None, result: str) -> None:
    assert clock_row([exchange(ahead=ahead)] * 3).result == result


def test_one_cached_date_among_many_does_not_count() -> None:
    assert clock_row([exchange(), exchange(), exchange(), exchange(ahead=-9000)]).result == "ok"


def test_answers_that_nearly_timed_out_need_a_longer_timeout() -> None:
    row = latency_row([exchange(0.1), exchange(6.0)], read_timeout=10)
    assert (row.result, row.set) == ("to do", "Set read_timeout to 60.")
    assert latency_row([exchange(3.0)] * 3, read_timeout=60).result == "note"
    assert latency_row([exchange(0.1), exchange(0.1, status=None)], read_timeout=60).result == "note"
    assert latency_row([exchange(0.1, status=None)], read_timeout=60).result == "not asked"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"x_ratelimit_remaining": "7"}, "x-ratelimit-remaining: 7"),
        ({"ratelimit": '"default";r=50;t=30'}, 'ratelimit: "default";r=50;t=30'),
        ({"retry_after": "3"}, "retry-after: 3"),
        ({"x_rate_limit_limit": "100"}, "x-rate-limit-limit: 100"),
    ],
)
def test_headers_of_rate_limits_are_shown(headers: dict[str, str], found: str) -> None:
    row = rate_limit_row([exchange(), exchange(**headers)])
    assert (row.result, row.found) == ("note", found)


@pytest.mark.parametrize(
    ("host", "network", "headers", "result"),
    [
        ("https://api.mediarithmics.com", Network(None, True), {}, "ok"),
        ("https://api.mediarithmics.com", Network("http://u:p@proxy:3128", "/etc/bundle.pem"), {}, "ok"),
        ("https://api.mediarithmics.com", Network(None, False), {}, "to do"),
        ("http://api.mediarithmics.com", Network(None, True), {}, "to do"),
        ("http://127.0.0.1:8480", Network(None, True), {}, "ok"),
        ("http://localhost:8480", Network(None, True), {}, "ok"),
        ("http://sandbox:8480", Network(None, True), {}, "ok"),
        ("https://api.mediarithmics.com", Network(None, True), {"age": "120"}, "to do"),
        ("https://api.mediarithmics.com", Network(None, True), {"age": "0", "via": "1.1 x"}, "ok"),
    ],
)
def test_what_stands_between(host: str, network: Network, headers: dict[str, str], result: str) -> None:
    row = network_row(host, network, [exchange(**headers)], is_from_settings=True)
    assert row.result == result
    assert "u:p" not in row.found
    assert bool(row.set) == (result == "to do")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1_767_225_600_457, "epoch milliseconds"),
        ("1767225600457", "epoch milliseconds as text"),
        (1_767_225_600, "epoch seconds"),
        (1_767_225_600.5, "epoch seconds"),
        (1_767_225_600_457_000, "epoch microseconds"),
        ("2026-01-01T00:00:00.457Z", "ISO 8601"),
        ("2026-01-01T00:00:00+01:00", "ISO 8601 to the second"),
        ("2026-01-01T00:00:00.457", UNREADABLE_DATE),
        ("2026-01-01", UNREADABLE_DATE),
        ("yesterday", UNREADABLE_DATE),
        ("", UNREADABLE_DATE),
        (float("inf"), UNREADABLE_DATE),
        (float("nan"), UNREADABLE_DATE),
        (True, UNREADABLE_DATE),
        ([], UNREADABLE_DATE),
        ({"epoch": 1}, UNREADABLE_DATE),
    ],
)
def test_the_format_of_a_date_has_a_name(value: Any, kind: str) -> None:
    assert date_kind(value) == kind


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@given(JSON)
def test_a_date_is_named_readable_only_if_the_models_read_it(value: Any) -> None:
    read = ExecutionParameters.model_validate({"expected_start_date": value}).expected_start_date
    if date_kind(value) == UNREADABLE_DATE:
        assert read is None


@given(st.lists(st.integers(0, 50), min_size=3, max_size=8))
def test_an_order_is_that_of_the_dates(minutes: list[int]) -> None:
    executions = [
        Execution(id=str(number), status="FAILED", creation_date=NOON + timedelta(minutes=minute))
        for number, minute in enumerate(minutes)
    ]
    order = order_of(executions)
    if order == "unknown":
        assert len(set(minutes)) < 3
    elif order == "none":
        assert minutes not in (sorted(minutes), sorted(minutes, reverse=True))
    else:
        assert minutes == sorted(minutes, reverse=order == "newest first")


def test_crons_that_are_read_differently_come_with_their_spelling() -> None:
    row = crons_row(
        [
            instance(1, "fine", cron="0 3 * * *", cron_status="ACTIVE"),
            instance(2, "step", cron="5/15 * * * *", cron_status="ACTIVE"),
            instance(3, "archived", cron="nonsense", cron_status="ACTIVE", archived=True),
            instance(4, "paused", cron="0 0 */2 * 1", cron_status="PAUSED"),
            instance(5, "status", cron="0 3 * * *", cron_status="SLEEPING"),
        ],
        "all 5 instances",
    )
    assert row.result == "to do"
    assert "2 (step): '5/15 * * * *' has '5/15' in its minutes" in row.found
    assert "write 5-59/15 or 5" in row.found
    assert "4 (paused)" in row.found
    assert "5 (status): has the unknown status SLEEPING" in row.found
    assert "fine" not in row.found
    assert "archived" not in row.found
    assert row.looked_at == "4 crons of all 5 instances"


def test_a_cron_of_every_minute_is_doubted() -> None:
    row = crons_row([instance(1, "all", cron="* * * * *", cron_status="ACTIVE")], "all 1 instances")
    assert row.result == "to do"
    assert "no schedule" in row.found
    paused = crons_row([instance(1, "all", cron="* * * * *", cron_status="PAUSED")], "all 1 instances")
    assert paused.result == "ok"


def test_names_that_collide() -> None:
    same = [instance(1, "import"), instance(2, " import "), instance(3, "export")]
    row = names_row(same, "all 3 instances")
    assert (row.result, row.found) == ("to do", "'import' is the name of 1, 2")
    of_two_plugins = [instance(1, "import"), instance(2, "Import", "b")]
    assert names_row(of_two_plugins, "all").result == "note"
    archived = [instance(1, "import"), instance(2, "import", archived=True)]
    assert names_row(archived, "all").result == "ok"


def test_many_collisions_are_counted_and_not_all_named() -> None:
    row = names_row([instance(number, f"batch {number // 2}") for number in range(100)], "all")
    assert row.found.endswith("; and 40 more")


USER = ConnectedUser.model_validate(
    {"email": "a@b.c", "workspaces": [{"organisation_id": 1185, "organisation_name": "Acme"}, None, {"x": 1}]}
)


def test_an_async_client_that_fails_alone_is_named() -> None:
    problem = MicsConnectionError("no response: certificate")
    [token] = access_rows("1185", Access(USER), Access(problem=problem))
    assert token.result == "not asked"
    assert token.found == "in the async client: no response: certificate"
    token, organisation = access_rows("1185", Access(USER), Access(USER, problem=problem))
    assert (token.result, organisation.result) == ("ok", "not asked")


def test_an_organisation_that_is_read_but_is_not_the_users_is_noted() -> None:
    _, organisation = access_rows("77", Access(USER), Access(USER))
    assert (organisation.result, organisation.set) == ("note", "Check that 77 is meant, not 1185 (Acme).")
    _, organisation = access_rows("1185", Access(USER), Access(USER))
    assert (organisation.result, organisation.found) == ("ok", "1185 (Acme)")


@pytest.mark.parametrize("workspaces", [None, 7, "x", {}, [[]], [{"organisation_id": None}]])
def test_a_user_without_readable_organisations_has_none(workspaces: Any) -> None:
    assert ConnectedUser.model_validate({"id": "1", "workspaces": workspaces}).organisations == {}


def test_this_machine_is_near() -> None:
    host = f"http://{socket.gethostbyname('localhost')}"
    assert network_row(host, Network(None, True), [], is_from_settings=False).result == "ok"
