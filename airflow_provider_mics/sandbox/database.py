"""The SQLite file that holds everything the platform knows: what was answered is in it, whatever kills the process."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS plugins (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation_id TEXT NOT NULL,
    plugin_type TEXT NOT NULL,
    group_id TEXT NOT NULL,
    artifact_id TEXT NOT NULL,
    current_version_id INTEGER,
    extra TEXT NOT NULL DEFAULT '{}',
    UNIQUE (group_id, artifact_id)
);
CREATE TABLE IF NOT EXISTS versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    plugin_id INTEGER NOT NULL REFERENCES plugins (id),
    number TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'DRAFT',
    build_tag TEXT,
    max_qps INTEGER,
    maintainer_id TEXT,
    properties TEXT NOT NULL,
    extra TEXT NOT NULL DEFAULT '{}',
    UNIQUE (plugin_id, number)
);
CREATE TABLE IF NOT EXISTS instances (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation_id TEXT NOT NULL,
    plugin_id INTEGER NOT NULL REFERENCES plugins (id),
    version_id INTEGER NOT NULL REFERENCES versions (id),
    name TEXT NOT NULL,
    cron TEXT,
    cron_status TEXT,
    archived INTEGER NOT NULL,
    cpu_size TEXT NOT NULL,
    ram_size TEXT NOT NULL,
    disk_size TEXT NOT NULL,
    creation_ts INTEGER NOT NULL,
    created_by TEXT,
    last_modified_ts INTEGER NOT NULL,
    last_modified_by TEXT,
    extra TEXT NOT NULL DEFAULT '{}',
    executions_created INTEGER NOT NULL DEFAULT 0,
    next_tick_ms INTEGER,
    deleted_ms INTEGER
);
CREATE INDEX IF NOT EXISTS instances_of_organisation ON instances (organisation_id, deleted_ms, id);
CREATE INDEX IF NOT EXISTS instances_by_tick ON instances (next_tick_ms) WHERE next_tick_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS instance_properties (
    instance_id INTEGER NOT NULL REFERENCES instances (id),
    technical_name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (instance_id, technical_name)
);
CREATE TABLE IF NOT EXISTS executions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id INTEGER NOT NULL REFERENCES instances (id),
    organisation_id TEXT NOT NULL,
    execution_type TEXT NOT NULL,
    expected_ms INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    created_real_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    user_id TEXT,
    turn INTEGER NOT NULL DEFAULT 0,
    starts_ms INTEGER NOT NULL,
    duration_ms INTEGER,
    succeeds INTEGER NOT NULL,
    num_tasks INTEGER NOT NULL,
    error_message TEXT NOT NULL,
    result TEXT NOT NULL DEFAULT 'null',
    stopped_ms INTEGER,
    stopped_as TEXT,
    deleted_ms INTEGER,
    extra TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS executions_of_organisation ON executions (organisation_id, deleted_ms, id);
CREATE INDEX IF NOT EXISTS executions_of_instance ON executions (instance_id, deleted_ms, id);
CREATE INDEX IF NOT EXISTS executions_by_tick ON executions (instance_id, expected_ms);
"""


class UnusableFileError(Exception):
    """A file that cannot hold the database; one line for a person."""


class Database:
    """One connection to the file. All of the server runs in one thread, so nothing here takes a lock."""

    def __init__(self, path: Path) -> None:
        try:
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            # A killed process loses nothing with NORMAL: what was committed, the operating system has.
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -65536"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise UnusableFileError(f"cannot use {path} as database: {error}") from None

    def close(self) -> None:
        self._connection.close()

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return found

    def number(self, sql: str, *values: Any) -> int:
        """The single number that a query gives."""
        return int(self._connection.execute(sql, values).fetchone()[0])

    def execute(self, sql: str, *values: Any) -> None:
        self._connection.execute(sql, values)

    def insert(self, table: str, values: dict[str, Any]) -> int:
        """Insert a row and give its id."""
        columns = ", ".join(values)
        marks = ", ".join("?" * len(values))
        cursor = self._connection.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608  names are ours
            tuple(values.values()),
        )
        return cursor.lastrowid or 0

    def insert_many(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Insert rows that have the same columns."""
        if not rows:
            return
        columns = ", ".join(rows[0])
        marks = ", ".join("?" * len(rows[0]))
        self._connection.executemany(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608  names are ours
            [tuple(row.values()) for row in rows],
        )

    def update(self, table: str, row_id: int, values: dict[str, Any]) -> None:
        assignments = ", ".join(f"{column} = ?" for column in values)
        self._connection.execute(
            f"UPDATE {table} SET {assignments} WHERE id = ?",  # noqa: S608  names are ours
            (*values.values(), row_id),
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is done inside; an inner one is part of the outer."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def setting(self, name: str) -> Any:
        """A kept setting, None where there is none."""
        row = self.row("SELECT value FROM settings WHERE name = ?", name)
        return None if row is None else json.loads(row["value"])

    def keep_setting(self, name: str, value: Any) -> None:
        self.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", name, json.dumps(value))
