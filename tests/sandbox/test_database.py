from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from airflow_provider_mics.sandbox.database import Database, Page, Table, UnusableFileError
from airflow_provider_mics.sandbox.instances import Instance


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "sandbox.sqlite")
    yield database
    database.close()


def instance(name: str = "a") -> Instance:
    return Instance(
        organisation_id="1185",
        plugin_id=1,
        version_id=2,
        name=name,
        archived=True,
        creation_ts=3,
        last_modified_ts=4,
        extra={"x": [None, True, "é"]},
    )


def test_a_record_is_read_as_it_was_stored(database: Database) -> None:
    table = Table(database, "instances", Instance)
    stored = replace(instance(), id=table.insert(instance()))
    read = table.find(("id = ?", stored.id))
    assert read == stored
    assert set(vars(read)) == {each.name for each in fields(Instance)}


@pytest.mark.parametrize("changes", [{"cron": "* * * * *"}, {"name": "b"}, {"archived": False, "extra": {}}])
def test_an_update_changes_nothing_else(database: Database, changes: dict[str, object]) -> None:
    table = Table(database, "instances", Instance)
    stored = replace(instance(), id=table.insert(instance()))
    table.update(stored.id, **changes)
    assert table.find(("id = ?", stored.id)) == replace(stored, **changes)  # type: ignore[arg-type]


def test_a_field_that_does_not_exist_cannot_be_updated(database: Database) -> None:
    table = Table(database, "instances", Instance)
    with pytest.raises(TypeError):
        table.update(table.insert(instance()), no_such_field=1)


def test_a_series_differs_only_in_the_changed_columns(database: Database) -> None:
    table = Table(database, "instances", Instance)
    table.insert_series(instance(), ({"executions_created": number} for number in range(3)))
    records, total = table.page(Page(order="oldest"), ("organisation_id = ?", "1185"))
    assert total == 3
    assert records == [replace(instance(), id=number + 1, executions_created=number) for number in range(3)]


def test_a_failed_transaction_changes_nothing(database: Database) -> None:
    table = Table(database, "instances", Instance)
    with pytest.raises(sqlite3.IntegrityError), database.transaction():
        table.insert_many([replace(instance(), id=1), replace(instance(), id=1)])
    assert table.select() == []


def test_a_file_with_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE executions (id INTEGER PRIMARY KEY)")
    with pytest.raises(UnusableFileError) as raised:
        Database(path)
    assert str(raised.value) == (
        f"cannot use {path} as database: its schema version is 0, not 1: delete it or choose another file"
    )
