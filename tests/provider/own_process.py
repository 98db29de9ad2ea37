"""Runs a piece of Python in a process of its own, where no test has imported or looked at anything before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from local_airflow.home import environ_for

MARK = "<<"
"""Before what the piece prints: Airflow may print lines of its own."""


def printed_by(source: str, airflow_home: Path, *arguments: str) -> str:
    """Return what the piece prints after `MARK`."""
    done = subprocess.run(
        [sys.executable, "-c", source, *arguments],
        env=environ_for(airflow_home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert MARK in done.stdout, done.stderr[-2000:]
    return done.stdout.partition(MARK)[2]
