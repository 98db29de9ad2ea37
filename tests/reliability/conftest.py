"""The fault laboratory: its figures at the end of a run, and an Airflow home of its own where there is an Airflow.

``make chaos`` runs the long form (``MICS_TESTS=full``), ``make test`` a short one of the same tests.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from local_airflow.home import migrate, set_for_this_process

HAS_AIRFLOW = importlib.util.find_spec("airflow") is not None
AIRFLOW_LINE = metadata.version("apache-airflow").partition(".")[0] if HAS_AIRFLOW else ""

# Airflow reads its settings when it is imported; the tests beside these may have set a home already.
if HAS_AIRFLOW and "airflow-home-" not in os.environ.get("AIRFLOW_HOME", ""):
    set_for_this_process(Path(tempfile.mkdtemp(prefix="airflow-home-")))

Tell = Callable[[str], None]
asks_nothing_of_airflow = pytest.mark.skipif(
    AIRFLOW_LINE == "2", reason="asks nothing of Airflow: see Airflow 3"
)
"""For long tests that would do the same on every line of Airflow."""


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Show figures at the end of the run, whoever captures what the test prints."""
    return lambda text: record_property("figures", text)


@pytest.fixture(scope="session")
def migrated_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AIRFLOW_HOME with a migrated database, to be copied."""
    home = tmp_path_factory.mktemp("airflow") / "migrated"
    migrate(home)
    return home


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [each for name in ("passed", "failed") for each in terminalreporter.stats.get(name, [])]
    for report in reports:
        for name, text in getattr(report, "user_properties", []):
            if name == "figures":
                terminalreporter.write_sep("-", report.nodeid.rsplit("::", 1)[-1])
                terminalreporter.write_line(str(text))
