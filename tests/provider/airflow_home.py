"""A throw-away AIRFLOW_HOME: what it needs in the environment, and its migrated SQLite database."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

MIGRATION_LIMIT_SECONDS = 180
PROJECT = Path(__file__).resolve().parents[2]


def settings_of(home: Path) -> dict[str, str]:
    """The Airflow settings that make ``home`` the only place a process reads and writes."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",  # 2.11 would call home
    }


def set_for_this_process(home: Path) -> None:
    """Replaces every Airflow setting of the machine. To be called before Airflow is imported, which reads them then."""
    for inherited in [key for key in os.environ if key.startswith("AIRFLOW")]:
        del os.environ[inherited]
    os.environ.update(settings_of(home))


def environ_for(home: Path) -> dict[str, str]:
    """The variables for another process: those of this one, its connections among them, on another home."""
    path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, **settings_of(home), "PYTHONPATH": path}


def migrate(home: Path) -> None:
    """Makes the database. Takes some seconds, so it is done once and copied afterwards."""
    (home / "dags").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        check=False,
        env=environ_for(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MIGRATION_LIMIT_SECONDS,
    )
    if done.returncode:
        msg = f"airflow db migrate ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        raise RuntimeError(msg)


def copy_of(migrated: Path, home: Path) -> Path:
    """A home of its own for one test, with its own database and an empty dags folder."""
    (home / "dags").mkdir(parents=True)
    for name in ("airflow.db", "airflow.cfg"):
        shutil.copy2(migrated / name, home / name)
    return home
