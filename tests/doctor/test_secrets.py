"""No part of the token is printed, wherever a server repeats it and wherever a text is cut."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from airflow_provider_mics.api.text import FEWEST_TELLING, one_line, redact_cut
from airflow_provider_mics.doctor.checks.rows import Result, Row
from airflow_provider_mics.doctor.report import Report
from tests.doctor.runs import Doctor
from tests.sandbox_server import SandboxServer

LONG = "api:kkkkkkkkkkkkkkkkkkkkkkkkkkkkkk+" + "0123456789/" * 8 + "=="
PIECE = 8


@pytest.fixture
def doctor_with_long_token(platform: SandboxServer, doctor: Doctor) -> Doctor:
    platform.set_tokens({LONG: ["1185"]})
    doctor.set(TOKEN=LONG)
    return doctor


def pieces(text: str) -> list[str]:
    """The pieces of the token in a text."""
    return [LONG[at : at + PIECE] for at in range(len(LONG) - PIECE) if LONG[at : at + PIECE] in text]


@pytest.mark.parametrize("header", ["x-ratelimit-key", "via", "x-cache", "x-served-by"])
@pytest.mark.parametrize("value", [LONG, f"key={LONG}", f"{'x' * 50} {LONG}", quote(LONG, safe="")])
def test_a_header_that_repeats_it(
    platform: SandboxServer, doctor_with_long_token: Doctor, header: str, value: str
) -> None:
    page = json.dumps({"status": "ok", "data": [], "total": 0})
    parameters = {"status": 200, "body": page, "headers": {header: value}}
    platform.faults([{"kind": "body", "path": "integration_batch_instances$", "parameters": parameters}])
    run = doctor_with_long_token.run()
    assert header in run.out
    assert pieces(run.out + run.err) == []


@pytest.mark.parametrize("before", ["", "copy of ", "x" * 30, "x" * 50])
def test_an_item_that_repeats_it(
    platform: SandboxServer, doctor_with_long_token: Doctor, before: str
) -> None:
    text = before + LONG
    items = [
        {"id": "1", "name": text, "cron": text, "cron_status": text},
        {"id": "2", "name": text, "cron": "0 3 * * *", "cron_status": text},
        {text: "no id"},
    ]
    page = json.dumps({"status": "ok", "data": items, "total": 3})
    listed = json.dumps({"status": "ok", "data": [{"id": text, "status": text}], "total": 1})
    platform.faults(
        [
            {
                "kind": "body",
                "path": "integration_batch_instances$",
                "parameters": {"status": 200, "body": page},
            },
            {"kind": "body", "path": "executions", "parameters": {"status": 200, "body": listed}},
        ]
    )
    run = doctor_with_long_token.run("--allow-writes", "--instance", "4107")
    assert run.of("crons")[0] == "to do"
    assert pieces(run.out + run.err) == []


@pytest.mark.parametrize("longest", range(1, 130))
def test_a_cut_text_shows_a_few_characters_at_most(longest: int) -> None:
    cut = redact_cut(one_line(f"key {LONG} of it", longest), LONG)
    assert LONG[:FEWEST_TELLING] not in cut
    row = Row("names", Result.TO_DO, one_line(f"key {LONG}", longest) + ", and more")
    assert LONG[:FEWEST_TELLING] not in Report("http://h", "1", "UTC", (row,), 1).without(LONG).to_json()


@pytest.mark.parametrize("text", ["Nightly import…", "a…b…", "…", "", "apis…"])
def test_other_cut_texts_stay(text: str) -> None:
    assert redact_cut(text, LONG) == text
