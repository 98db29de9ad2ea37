"""An AIRFLOW_HOME of its own: what it needs in the environment, and its migrated SQLite database."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

MIGRATION_LIMIT_SECONDS = 180
LOCK_SECONDS = 15
"""How long SQLite waits for a lock. Not longer: Airflow's web server writes its audit log in its event loop, where it
waits for a lock that another of its requests can only give up once the event loop goes on."""
PROJECT = Path(__file__).resolve().parent.parent


def settings_of(home: Path) -> dict[str, str]:
    """The Airflow settings that make ``home`` the only place that a process reads and writes."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout={LOCK_SECONDS}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",  # 2.11 would send data
    }


def set_for_this_process(home: Path) -> None:
    """Replaces every Airflow setting of the machine. Call it before Airflow is imported: it reads them then."""
    for inherited in [key for key in os.environ if key.startswith("AIRFLOW")]:
        del os.environ[inherited]
    os.environ.update(settings_of(home))


def environ_for(home: Path) -> dict[str, str]:
    """The variables for another process: those of this one, its connections among them, on another home."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    return {**inherited, **settings_of(home), "PYTHONPATH": path}


def migrate(home: Path, database_url: str | None = None) -> None:
    """Make the database. This takes some seconds, so it is done once and copied afterwards.

    :param database_url: SQLAlchemy's URL of an empty database; without it, a SQLite file in ``home``
    :raises RuntimeError: Airflow cannot make it
    """
    (home / "dags").mkdir(parents=True, exist_ok=True)
    environ = environ_for(home)
    if database_url:
        environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = database_url
    else:
        # A log written ahead: readers do not lock out writers, which Airflow does not survive.
        with closing(sqlite3.connect(home / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode=WAL")
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        check=False,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MIGRATION_LIMIT_SECONDS,
    )
    if done.returncode:
        msg = f"airflow db migrate ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        raise RuntimeError(msg)


def copy_of(migrated: Path, home: Path) -> Path:
    """A home with a database of its own and an empty dags folder."""
    (home / "dags").mkdir(parents=True)
    for name in ("airflow.db", "airflow.cfg"):
        shutil.copy2(migrated / name, home / name)
    return home
