"""docs/doctor.md: its examples print what it shows, and it names every option, variable and row."""

from __future__ import annotations

import pytest

from airflow_provider_mics.doctor.checks import writes
from airflow_provider_mics.doctor.checks.platform_readings import CHECKS
from airflow_provider_mics.doctor.settings import VARIABLES
from tests.doctor.documented import PAGE, Example, examples, rows_of

TEXT = PAGE.read_text()
EXAMPLES = list(examples(TEXT))


@pytest.mark.parametrize("example", EXAMPLES, ids=["wrong zone", "little", "other settings"])
def test_an_example_prints_what_the_page_shows(example: Example) -> None:
    printed = example.run()
    assert rows_of(printed) == rows_of(example.output)
    assert len(rows_of(printed)) > 15
    # The last line says what there is to do.
    assert printed.splitlines()[-1] == example.output.splitlines()[-1]
    assert {len(line) <= 120 for line in TEXT.splitlines() if not line.startswith("|")} == {True}


def test_the_page_names_every_row_variable_and_option() -> None:
    rows = TEXT.partition("## The rows")[2].partition("## Examples")[0]
    for check in (*CHECKS, *writes.CHECKS):
        assert check in rows
    for name in VARIABLES:
        assert f"`MICS_{name}`" in TEXT
    for option in ("--conn-id", "--json", "--snapshot", "--allow-writes", "--instance", "--time-limit"):
        assert option in TEXT
