"""Warnings about the DAG files of a large account, each of which is logged once and not at each parse."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from airflow_provider_mics.core.planning.shards import Shard, incomplete_files
from airflow_provider_mics.core.planning.snapshots import LocalFile

MOST_DAGS = 500
"""A file with more DAGs should be split. Airflow stores the DAGs of a file in one transaction, and schedules none of
them meanwhile."""
REMEMBERED = 50
"""How many warnings are not logged again."""
logger = logging.getLogger(__name__)


def warning_of(dags: int, mics_conn_id: str, shard: Shard | None, file: Path | None) -> str:
    """Return what is wrong with a DAG file, or an empty text.

    :param dags: how many DAGs it has of this connection
    :param file: the file, if the shard was named by it
    """
    if file is not None:
        with suppress(OSError):
            problem = incomplete_files(file, [each.name for each in file.parent.iterdir()])
            if problem is not None:
                return f"Connection {mics_conn_id!r}, shard {shard}: {problem}."
    if dags <= MOST_DAGS:
        return ""
    name = "" if shard is None else f", shard {shard},"
    return (
        f"Connection {mics_conn_id!r}{name} has {dags} DAGs in one DAG file. Airflow creates no runs while it stores "
        f"them: split the file, so that none has more than {MOST_DAGS} (docs/large-accounts.md)."
    )


def warn_once(memory: Path, warning: str) -> None:
    """Log a warning, unless a parse on this machine has logged the same one.

    :param memory: the file that has the last warnings, one a line
    """
    try:
        logged = memory.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        logged = []
    if not warning or warning in logged:
        return
    logger.warning("%s", warning)
    with suppress(OSError):
        LocalFile(memory).write_bytes("\n".join([*logged, warning][-REMEMBERED:]).encode())
