"""Setting a property keeps what it is, and writes only what differs."""

from __future__ import annotations

import pytest

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.core.provisioning.instances import change_instance, ensure_instance

PUT = "PUT /v1/integration_batch_instances/{id}/properties/technical_name={name}"


@pytest.fixture
def instance(flows, plugin):
    return flows.run(ensure_instance(plugin.group_id, plugin.artifact_id, "nightly")).resource


@pytest.fixture
def set_properties(flows, instance):
    return lambda properties: flows.run(change_instance(instance.id, properties=properties))


@pytest.fixture
def properties(platform, instance):
    def properties():
        listed = platform.call(
            "GET", f"integration_batch_instances/{instance.id}/properties", max_results=1000
        )
        return {each["technical_name"]: each for each in listed}

    return properties


def test_a_value_keeps_the_type_and_the_shape_of_its_property(set_properties, properties, flows):
    before = properties()
    changed = set_properties(
        {
            "import_path": "s3://new",
            "max_rows": "500",
            "ratio": 2,
            "dry_run": False,
            "endpoint": "https://new.example",
            "file": "mics://data_file/b",
            "asset": {"original_name": "b.csv", "asset_id": "2", "path": "/b.csv"},
        }
    )
    assert changed.how == "updated"
    after = properties()
    assert {name: each["value"] for name, each in after.items()} == {
        "import_path": {"value": "s3://new"},
        "max_rows": {"value": 500},
        "ratio": {"value": 2.0},
        "dry_run": {"value": False},
        "endpoint": {"url": "https://new.example"},
        "file": {"uri": "mics://data_file/b"},
        "asset": {"original_name": "b.csv", "asset_id": "2", "path": "/b.csv"},
    }
    for name, each in after.items():
        assert {key: each[key] for key in each if key != "value"} == {
            key: before[name][key] for key in before[name] if key != "value"
        }
    assert "import_path: 's3://nowhere' -> 's3://new'; max_rows: 10 -> 500" in flows.lines
    assert "endpoint: 'https://old.example' -> 'https://new.example'" in flows.lines


def test_only_what_differs_is_written(set_properties, platform):
    set_properties({"max_rows": 11, "import_path": "s3://nowhere", "dry_run": True})
    assert platform.counters()[PUT] == 1
    assert set_properties({"max_rows": 11, "ratio": "0.5"}).how == "found"
    assert platform.counters()[PUT] == 1


def test_an_unknown_name_becomes_a_property_of_the_instance(set_properties, properties):
    set_properties({"sandbox.duration_s": 3, "note": "hello", "limit": 2**33})
    made = properties()
    assert made["sandbox.duration_s"]["property_type"] == "INT"
    assert made["note"]["value"] == {"value": "hello"}
    assert made["limit"]["property_type"] == "LONG"
    assert {made[name]["origin"] for name in ("note", "limit")} == {"INSTANCE"}


def test_a_name_with_any_sign_is_written_under_that_name(set_properties, properties):
    set_properties({"a/b?c=d e#f%é": 1})
    assert properties()["a/b?c=d e#f%é"]["value"] == {"value": 1}


def test_a_whole_property_may_change_the_type(set_properties, properties):
    set_properties([{"technical_name": "max_rows", "property_type": "STRING", "value": {"value": "many"}}])
    assert properties()["max_rows"]["property_type"] == "STRING"
    assert properties()["max_rows"]["origin"] == "PLUGIN"


def test_nothing_is_written_where_one_value_does_not_fit(set_properties, platform):
    with pytest.raises(MicsError, match="max_rows is of type INT: the given Python str does not fit"):
        set_properties({"import_path": "s3://new", "max_rows": "many"})
    with pytest.raises(MicsError, match="new_one: a Python NoneType does not tell its type"):
        set_properties({"import_path": "s3://new", "new_one": None})
    assert PUT not in platform.counters()


def test_what_belongs_to_the_version_cannot_be_written(set_properties, platform, instance):
    path = f"integration_batch_instances/{instance.id}/properties/technical_name=fixed"
    document = {
        "technical_name": "fixed",
        "value": {"value": "x"},
        "writable": False,
        "origin": "PLUGIN_STATIC",
    }
    platform.call("PUT", path, document)
    assert set_properties({"fixed": "x"}).how == "found"
    with pytest.raises(MicsError, match=r"fixed of instance .* cannot be written \(origin PLUGIN_STATIC\)"):
        set_properties({"fixed": "y"})


def test_a_secret_does_not_reach_the_log(set_properties, flows):
    set_properties({"sftp_password": "hunter2"})
    assert "sftp_password: *** -> ***" in flows.lines
    assert "hunter2" not in flows.lines


@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "502"])
def test_a_lost_answer_to_a_property_is_repeated(set_properties, properties, platform, kind):
    platform.faults([{"kind": kind, "method": "PUT", "path": "properties", "times": 2}])
    set_properties({"max_rows": 12, "ratio": 0.25})
    assert properties()["max_rows"]["value"] == {"value": 12}
    assert properties()["ratio"]["value"] == {"value": 0.25}
