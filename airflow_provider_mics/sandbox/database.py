"""The SQLite file that stores everything the platform knows. A killed process loses nothing that it has answered."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA_VERSION = 1
SCHEMA = f"""
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE plugins (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation_id TEXT NOT NULL,
    plugin_type TEXT NOT NULL,
    group_id TEXT NOT NULL,
    artifact_id TEXT NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (group_id, artifact_id)
);
CREATE TABLE versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    plugin_id INTEGER NOT NULL,
    number TEXT NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (plugin_id, number)
);
CREATE TABLE instances (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation_id TEXT NOT NULL,
    plugin_id INTEGER NOT NULL,
    cron TEXT,
    cron_status TEXT,
    archived INTEGER NOT NULL,
    executions_created INTEGER NOT NULL,
    next_tick_ms INTEGER,
    deleted_ms INTEGER,
    document TEXT NOT NULL
);
CREATE INDEX instances_of_organisation ON instances (organisation_id, deleted_ms, id);
CREATE INDEX instances_by_tick ON instances (next_tick_ms) WHERE next_tick_ms IS NOT NULL;
CREATE TABLE instance_properties (
    instance_id INTEGER NOT NULL,
    technical_name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (instance_id, technical_name)
);
CREATE TABLE executions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id INTEGER NOT NULL,
    organisation_id TEXT NOT NULL,
    execution_type TEXT NOT NULL,
    expected_ms INTEGER NOT NULL,
    created_real_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    duration_ms INTEGER,
    stop_ms INTEGER,
    deleted_ms INTEGER,
    document TEXT NOT NULL
);
CREATE INDEX executions_of_organisation ON executions (organisation_id, deleted_ms, id);
CREATE INDEX executions_of_instance ON executions (instance_id, deleted_ms, id);
CREATE INDEX executions_by_tick ON executions (instance_id, expected_ms);
PRAGMA user_version = {SCHEMA_VERSION};
"""
"""The columns are the fields that queries need. All other fields of a record are in its ``document`` (see `Table`)."""

ORDERS = {
    "newest": "id DESC",
    "oldest": "id",
    # A multiplicative hash: shuffled, but in the same order for every page.
    "random": "(id * 2654435761) % 4294967291",
    "unstable": "RANDOM()",
}

Record = TypeVar("Record", bound="DataclassInstance")
Condition = tuple[str, *tuple[Any, ...]]
"""A condition in SQL, followed by the values of its ``?``."""


class UnusableFileError(Exception):
    """A file that cannot be used as database. Its text is one line for the user."""


@dataclass(frozen=True)
class Page:
    """A part of a list: ``max_results`` items (None: all) after the first ``first_result``, in a named order."""

    first_result: int = 0
    max_results: int | None = None
    order: str = "newest"


class Database:
    """One connection to the file. The whole server runs in one thread, so nothing here takes a lock."""

    def __init__(self, path: Path) -> None:
        try:
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            # NORMAL is safe when the process is killed: the operating system has all that was committed.
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -65536"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._create_schema()
        except (sqlite3.Error, UnusableFileError) as error:
            raise UnusableFileError(f"cannot use {path} as database: {error}") from None

    def close(self) -> None:
        self._connection.close()

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def number(self, sql: str, *values: Any) -> int:
        """Return the single number that a query yields."""
        return int(self._connection.execute(sql, values).fetchone()[0])

    def execute(self, sql: str, *values: Any) -> int | None:
        """Run a statement and return the id of the row that it inserted."""
        return self._connection.execute(sql, values).lastrowid

    def execute_many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all statements of a block or none. An inner block is part of the outer one."""
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

    def load_setting(self, name: str) -> Any:
        """Return a saved setting, or None."""
        row = self.row("SELECT value FROM settings WHERE name = ?", name)
        return None if row is None else json.loads(row["value"])

    def save_setting(self, name: str, value: Any) -> None:
        self.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", name, json.dumps(value))

    def _create_schema(self) -> None:
        version = self.number("PRAGMA user_version")
        if self.row("SELECT 1 FROM sqlite_master") is None:
            self._connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
        elif version != SCHEMA_VERSION:
            raise UnusableFileError(
                f"its schema version is {version}, not {SCHEMA_VERSION}: delete it or choose another file"
            )


class Table(Generic[Record]):
    """A table whose rows are records, that is values of one dataclass with an ``id``.

    Fields that are named like a column of the table are stored there, all others in the JSON object of the column
    ``document``. So the dataclass is the only list of the fields.
    """

    def __init__(self, database: Database, name: str, record: type[Record]) -> None:
        self._database = database
        self._name = name
        self._record = record
        # The schema names the id first and the document last.
        *self._columns, document = [row["name"] for row in database.rows(f"PRAGMA table_info({name})")]
        # SQLite stores booleans as 0 and 1.
        self._flags = [
            each.name for each in fields(record) if each.type == "bool" and each.name in self._columns
        ]
        columns, marks = ", ".join([*self._columns, document]), ", ".join("?" * (len(self._columns) + 1))
        self._insert = f"INSERT INTO {name} ({columns}) VALUES ({marks})"  # noqa: S608

    def find(self, *conditions: Condition) -> Record | None:
        """Return a record that meets the conditions, or None."""
        where, values = _where(conditions)
        row = self._database.row(f"SELECT * FROM {self._name}{where} LIMIT 1", *values)  # noqa: S608
        return None if row is None else self._load(row)

    def select(self, *conditions: Condition, order: str = "id") -> list[Record]:
        """Return the records that meet the conditions."""
        where, values = _where(conditions)
        query = f"SELECT * FROM {self._name}{where} ORDER BY {order}"  # noqa: S608
        return [self._load(row) for row in self._database.rows(query, *values)]

    def page(self, page: Page, *conditions: Condition) -> tuple[list[Record], int]:
        """Return a page of the records that meet the conditions, and the number of these records."""
        where, values = _where(conditions)
        limit = -1 if page.max_results is None else page.max_results
        query = f"SELECT * FROM {self._name}{where} ORDER BY {ORDERS[page.order]} LIMIT ? OFFSET ?"  # noqa: S608
        rows = self._database.rows(query, *values, limit, page.first_result)
        total = self._database.number(f"SELECT COUNT(*) FROM {self._name}{where}", *values)  # noqa: S608
        return [self._load(row) for row in rows], total

    def insert(self, record: Record) -> int:
        """Store a record and return its id: the one that it has, or a new one where that is 0."""
        return self._database.execute(self._insert, *self._row(record)) or 0

    def insert_many(self, records: Iterable[Record]) -> None:
        self._database.execute_many(self._insert, map(self._row, records))

    def update(self, record_id: int, **changes: Any) -> None:
        """Change some fields of a stored record."""
        columns = {name: value for name, value in changes.items() if name in self._columns}
        if len(columns) < len(changes):
            record = self.find(("id = ?", record_id))
            if record is None:
                raise LookupError(f"no row {record_id} in table {self._name}")
            columns["document"] = self._document(replace(record, **changes))
        assignments = ", ".join(f"{column} = ?" for column in columns)
        query = f"UPDATE {self._name} SET {assignments} WHERE id = ?"  # noqa: S608
        self._database.execute(query, *columns.values(), record_id)

    def _row(self, record: Record) -> tuple[Any, ...]:
        values = vars(record)
        # SQLite gives an id to a row without one.
        row_id, *others = [values[column] for column in self._columns]
        return (row_id or None, *others, self._document(record))

    def _document(self, record: Record) -> str:
        return json.dumps({name: value for name, value in vars(record).items() if name not in self._columns})

    def _load(self, row: sqlite3.Row) -> Record:
        values = dict(row)
        document = json.loads(values.pop("document"))
        for flag in self._flags:
            values[flag] = bool(values[flag])
        return self._record(**values, **document)


def _where(conditions: Iterable[Condition]) -> tuple[str, list[Any]]:
    """Return a WHERE clause, empty without conditions, and the values of its ``?``."""
    conditions = list(conditions)
    clause = " AND ".join(condition[0] for condition in conditions)
    return f" WHERE {clause}" if clause else "", [
        value for condition in conditions for value in condition[1:]
    ]
