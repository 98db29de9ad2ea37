"""Runs the command of the doctor in this process, and reads what it printed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_mics.doctor.__main__ import main

TOKEN = "a-token/that+must==stay.secret"
TOKENS = {TOKEN: ["1185", "1186"]}
ZONE = "Europe/Paris"


@dataclass(frozen=True)
class Run:
    """``rows`` by their check."""

    status: int
    document: dict[str, Any]
    out: str
    err: str

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["check"]: row for row in self.document.get("rows", [])}

    def results(self, *but: str) -> dict[str, str]:
        """The results that are not ``ok``, but those of some checks."""
        return {
            check: row["result"]
            for check, row in self.rows.items()
            if row["result"] != "ok" and check not in but
        }

    def of(self, check: str) -> tuple[str, str]:
        row = self.rows[check]
        return row["result"], row["found"]


class Doctor:
    """Its settings are environment variables. Whatever it prints, the token is not in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def set(self, **variables: str | None) -> None:
        for name, value in variables.items():
            if value is None:
                self._monkeypatch.delenv(f"MICS_{name}", raising=False)
            else:
                self._monkeypatch.setenv(f"MICS_{name}", value)

    def run(self, *arguments: str) -> Run:
        status = main(["--json", *arguments])
        out, err = self._capsys.readouterr()
        assert TOKEN not in out + err
        return Run(status, json.loads(out) if out else {}, out, err)

    def table(self, *arguments: str) -> tuple[int, str]:
        status = main(arguments)
        out, err = self._capsys.readouterr()
        assert TOKEN not in out + err
        return status, out
