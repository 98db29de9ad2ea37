"""The command line: its options, its variables, its table, its JSON and its exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_mics.doctor.__main__ import main
from airflow_provider_mics.doctor.checks.platform_readings import CHECKS
from airflow_provider_mics.doctor.checks.rows import Result, Row
from airflow_provider_mics.doctor.report import Report
from airflow_provider_mics.doctor.settings import VARIABLES
from airflow_provider_mics.runtime.connection import KNOWN_KEYS
from tests.doctor.runs import TOKEN, Doctor
from tests.sandbox_server import SandboxServer

ROOT = Path(__file__).resolve().parents[2]


def report(*results: Result) -> Report:
    rows = tuple(Row(f"check {number}", each, "found") for number, each in enumerate(results))
    return Report("https://api.mediarithmics.com", "1185", "UTC", rows, 3)


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([Result.OK], 0),
        ([Result.OK, Result.NOTE, Result.UNKNOWN], 0),
        ([Result.OK, Result.TO_DO], 1),
        ([Result.TO_DO, Result.NOT_ASKED], 2),
        ([Result.NOT_ASKED], 2),
    ],
)
def test_the_exit_status_is_that_of_the_worst_row(results: list[Result], status: int) -> None:
    assert report(*results).exit_status == status
    assert json.loads(report(*results).to_json())["exit_status"] == status


def test_the_command_runs_as_a_module_without_airflow(platform: SandboxServer) -> None:
    variables = {"MICS_HOST": platform.url, "MICS_TOKEN": TOKEN, "MICS_ORGANISATION_ID": "1185"}
    done = subprocess.run(
        [sys.executable, "-m", "airflow_provider_mics.doctor"],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Set timezone to" in done.stdout
    assert done.stdout.rstrip().endswith("to do: time zone (exit status 1)")
    assert done.stderr == ""
    assert TOKEN not in done.stdout


def test_the_table_has_each_row_with_its_meaning_and_its_setting(doctor: Doctor) -> None:
    doctor.set(TIMEZONE=None)
    status, out = doctor.table()
    assert status == 1
    first = re.compile(r"^(\S.{14,15})  (ok|note|unknown|to do|not asked) ", re.MULTILINE)
    shown = [check.strip() for check, _ in first.findall(out)]
    assert {"settings", "token", "organisation", "network", "clock", "latency", "rate limits"} <= set(shown)
    # A long name is wrapped.
    assert {check for check in CHECKS if len(check) <= 16} <= set(shown)
    head = out.splitlines()[2]
    assert head.split("  ")[0] == "check"
    assert "what it means" in head
    assert "what to set or do" in head


@pytest.mark.parametrize("width", [40, 140])
def test_no_line_of_the_table_is_wider_than_the_terminal(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    _, out = doctor.table()
    table = out.splitlines()[2:-1]
    assert max(map(len, table)) <= max(width, 100)


def test_a_row_of_others_text_stays_in_its_cell() -> None:
    row = Row("names", Result.TO_DO, "a\nb\x1b[31m\tc " + "x" * 5000, "m", "s")
    cleaned = Report("http://h", "1", "UTC", (row,), 1).without("secret")
    table = cleaned.to_table(120)
    assert "\x1b" not in table
    assert max(map(len, table.splitlines()[2:-1])) <= 120


def test_a_secret_is_redacted_wherever_it_stands() -> None:
    row = Row("token", Result.NOT_ASKED, "found s3cr3t", "means s3cr3t", "set s3cr3t", "looked at s3cr3t")
    cleaned = Report("http://h/s3cr3t", "1", "UTC", (row,), 1).without("s3cr3t")
    assert "s3cr3t" not in cleaned.to_json() + cleaned.to_table(120)


def test_help_names_every_option_variable_and_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for option in ("--conn-id", "--snapshot", "--json", "--allow-writes", "--instance", "--time-limit"):
        assert option in text
    for name in VARIABLES:
        assert f"MICS_{name}" in text
    assert re.findall(r"^  (\d)  ", text, re.MULTILINE) == ["0", "1", "2"]
    assert max(map(len, text.splitlines())) <= 120


def test_there_is_a_variable_for_each_setting_that_the_doctor_uses() -> None:
    assert {name.lower() for name in VARIABLES} == {"token", "host", *KNOWN_KEYS} - {"console_url"}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"TOKEN": None},
            "nothing to ask with: give --conn-id ID for a connection of Airflow, or set MICS_TOKEN",
        ),
        ({"TOKEN": " "}, "nothing to ask with"),
        ({"TIMEZONE": "Europe/Pari"}, "MICS_TIMEZONE 'Europe/Pari': give an IANA name"),
        ({"READ_TIMEOUT": "soon"}, "MICS_READ_TIMEOUT 'soon': give a number of seconds above 0"),
        ({"PROXIES": "[1]"}, "the address for http"),
        ({"PROXIES": "{broken"}, "MICS_PROXIES: give a URL"),
        ({"HOST": "api.mediarithmics.com"}, "MICS_HOST: host 'api.mediarithmics.com' has no scheme"),
        ({"VERIFY": "/no/such/bundle"}, "MICS_VERIFY: verify '/no/such/bundle' is not a readable CA bundle"),
        ({"SIZE_FIELDS": "both"}, "MICS_SIZE_FIELDS: size_fields 'both' is not one of documented, console"),
        ({"TOKEN": "a token with spaces"}, "MICS_TOKEN: the API token contains a space"),
    ],
)
def test_a_variable_that_cannot_be_used_is_one_line(
    doctor: Doctor, variables: dict[str, str | None], sentence: str
) -> None:
    doctor.set(**variables)
    run = doctor.run()
    assert (run.status, run.out) == (2, "")
    assert run.err.startswith("error: ")
    assert sentence in run.err
    assert run.err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ORGANIZATION_ID", "MICS_ORGANISATION_ID"),
        ("ORG_ID", "MICS_ORGANISATION_ID"),
        ("TIME_ZONE", "MICS_TIMEZONE"),
        ("ORGANISATION", "MICS_ORGANISATION_ID"),
        ("ORGANISATIONID", "MICS_ORGANISATION_ID"),
        ("READ_TIMEOUTS", "MICS_READ_TIMEOUT"),
        ("SIZE_FIELD", "MICS_SIZE_FIELDS"),
    ],
)
def test_a_misspelled_variable_is_named(doctor: Doctor, name: str, meant: str) -> None:
    doctor.set(**{name: "1185"})
    run = doctor.run()
    assert run.status == 1
    assert run.of("settings") == ("to do", f"MICS_{name}: did you mean {meant}?")


@pytest.mark.parametrize(
    "name",
    [
        "CHAOS",
        "VERSION",
        "PROFILE",
        "PORT",
        "USER",
        "TIMEOUT",
        "REGION",
        "TOKENS",
        "SIZE",
        "PROXY_HOST",
        "ENV",
    ],
)
def test_a_variable_of_another_program_is_none_of_ours(doctor: Doctor, name: str) -> None:
    doctor.set(**{name: "full"})
    assert doctor.run().of("settings")[0] == "ok"


def test_a_connection_needs_airflow(doctor: Doctor) -> None:
    run = doctor.run("--conn-id", "mics_default")
    assert run.status == 2
    assert "--conn-id needs Airflow, which is not installed here" in run.err


@pytest.mark.parametrize("limit", ["0", "-1", "x", "nan"])
def test_a_time_limit_is_a_number_of_seconds(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--time-limit", limit])
    assert "--time-limit" in capsys.readouterr().err


class TestSnapshot:
    def test_a_place_that_can_be_written_is_left_as_it_was(self, doctor: Doctor, tmp_path: Path) -> None:
        run = doctor.run("--snapshot", str(tmp_path / "inventory.jsonl"))
        assert run.status == 0
        assert run.of("snapshot")[0] == "ok"
        assert "there is none yet" in run.of("snapshot")[1]
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_missing_is_said_and_not_made(self, doctor: Doctor, tmp_path: Path) -> None:
        run = doctor.run("--snapshot", str(tmp_path / "typo" / "a" / "inventory.jsonl"))
        assert (run.status, run.of("snapshot")[0]) == (0, "note")
        assert run.of("snapshot")[1].endswith("its folder does not exist yet")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_written_is_left_without_folders(
        self, doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: Path, content: bytes) -> None:
            raise PermissionError(str(path))

        monkeypatch.setattr(Path, "write_bytes", refuse)
        run = doctor.run("--snapshot", str(tmp_path / "typo" / "inventory.jsonl"))
        assert run.of("snapshot")[0] == "to do"
        assert list(tmp_path.iterdir()) == []

    def test_a_snapshot_that_is_there_is_not_touched(self, doctor: Doctor, tmp_path: Path) -> None:
        place = tmp_path / "inventory.jsonl"
        place.write_bytes(b"not a snapshot")
        run = doctor.run("--snapshot", f"file://{place}")
        assert "what is there cannot be read" in run.of("snapshot")[1]
        assert place.read_bytes() == b"not a snapshot"
        assert [each.name for each in tmp_path.iterdir()] == ["inventory.jsonl"]

    def test_a_place_that_cannot_be_written_is_named(self, doctor: Doctor, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        place = tmp_path / "file" / "inventory.jsonl"
        run = doctor.run("--snapshot", str(place))
        assert (run.status, run.of("snapshot")[0]) == (1, "to do")
        assert str(place) in run.of("snapshot")[1]
        assert "snapshot=" in run.rows["snapshot"]["set"]

    def test_an_object_store_needs_airflow(self, doctor: Doctor) -> None:
        run = doctor.run("--snapshot", "s3://bucket/inventory.jsonl")
        assert (run.status, run.of("snapshot")[0]) == (0, "unknown")
        assert "No module named 'airflow'" in run.of("snapshot")[1]
