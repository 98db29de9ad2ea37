"""Plain values become properties of the right type and shape; setting one writes only what differs."""

from __future__ import annotations

import pytest

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.core.provisioning.instances import change_instance, ensure_instance
from airflow_provider_mics.core.provisioning.plugins import version_properties
from airflow_provider_mics.core.provisioning.properties import (
    properties_by_name,
    property_object,
    property_value,
)

PUT = "PUT /v1/integration_batch_instances/{id}/properties/technical_name={name}"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("s3://bucket", "STRING"),
        ("", "STRING"),
        (True, "BOOLEAN"),
        (False, "BOOLEAN"),
        (0, "INT"),
        (2**31 - 1, "INT"),
        (-(2**31), "INT"),
        (2**31, "LONG"),
        (-(2**31) - 1, "LONG"),
        (2**63 - 1, "LONG"),
        (0.5, "DOUBLE"),
        (1.0, "DOUBLE"),
    ],
)
def test_a_plain_value_has_the_type_of_its_python_type(value, kind):
    made = property_object("parameter", value, origin="PLUGIN")
    assert made == {
        "technical_name": "parameter",
        "property_type": kind,
        "origin": "PLUGIN",
        "writable": True,
        "deletable": True,
        "value": {"value": value},
    }
    assert type(made["value"]["value"]) is type(value)


@pytest.mark.parametrize("value", [None, [1], ("a",), object(), 2**63, float("nan"), float("inf")])
def test_a_value_that_no_property_can_hold_is_refused_with_its_name(value):
    with pytest.raises(MicsError, match="parameter"):
        property_object("parameter", value, origin="PLUGIN")


def test_a_whole_property_may_leave_out_what_follows_from_the_rest():
    made = property_object(
        "endpoint", {"property_type": "URL", "value": "https://a.example"}, origin="PLUGIN"
    )
    assert made["value"] == {"url": "https://a.example"}
    assert made["origin"] == "PLUGIN"
    assert made["writable"] is True
    kept = property_object("x", {"value": {"value": 3}, "origin": "INSTANCE", "note": "n"}, origin="PLUGIN")
    assert kept["property_type"] == "INT"
    assert kept["origin"] == "INSTANCE"
    assert kept["note"] == "n"


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("STRING", "a", {"value": "a"}),
        ("STRING", 42, {"value": "42"}),
        ("STRING", None, {"value": None}),
        ("INT", "5", {"value": 5}),
        ("INT", 5.0, {"value": 5}),
        ("LONG", str(2**40), {"value": 2**40}),
        ("DOUBLE", 1, {"value": 1.0}),
        ("DOUBLE", "1e3", {"value": 1000.0}),
        ("BOOLEAN", "True", {"value": True}),
        ("BOOLEAN", " false ", {"value": False}),
        ("URL", "https://a.example", {"url": "https://a.example"}),
        ("URL", {"url": "https://a.example"}, {"url": "https://a.example"}),
        ("DATA_FILE", "mics://f", {"uri": "mics://f"}),
        ("RECOMMENDER", "12", {"recommender_id": "12"}),
        ("ASSET_FILE", {"asset_id": "1", "path": "/a"}, {"asset_id": "1", "path": "/a"}),
        ("ASSET", {"asset_id": "1", "file_path": "/a"}, {"asset_id": "1", "file_path": "/a"}),
        ("AD_LAYOUT", {"id": "1", "version": "2"}, {"id": "1", "version": "2"}),
        ("STYLE_SHEET", {"id": "1", "version": "2"}, {"id": "1", "version": "2"}),
        ("DATAMART_ID", "1162", {"value": "1162"}),
        ("NEVER_SEEN", {"whatever": [1]}, {"whatever": [1]}),
        ("NEVER_SEEN", [1], {"value": [1]}),
    ],
)
def test_the_shape_of_a_value_follows_the_type(kind, given, value):
    assert property_value("parameter", kind, given) == value


@pytest.mark.parametrize(
    ("kind", "given", "hint"),
    [
        ("INT", "five", "the given Python str does not fit"),
        ("INT", 2**31, "does not fit"),
        ("INT", 1.5, "does not fit"),
        ("INT", True, "does not fit"),
        ("LONG", 2**63, "does not fit"),
        ("DOUBLE", "nan", "does not fit"),
        ("DOUBLE", False, "does not fit"),
        ("BOOLEAN", 1, "does not fit"),
        ("BOOLEAN", "yes", "does not fit"),
        ("STRING", True, "does not fit"),
        ("STRING", ["a"], "does not fit"),
        ("STRING", {"values": "a"}, "its value needs value"),
        ("URL", {"value": "https://a.example"}, "its value needs url"),
        ("ASSET_FILE", "/a.csv", "as an object of original_name, asset_id, path"),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_refused(kind, given, hint):
    with pytest.raises(MicsError, match=hint) as refused:
        property_value("parameter", kind, given)
    assert "parameter" in str(refused.value)
    assert kind in str(refused.value)


def test_properties_can_be_named_values_or_a_list_of_objects():
    assert properties_by_name({"a": 1, "b": "x"}) == {"a": 1, "b": "x"}
    whole = {"technical_name": "a", "property_type": "INT", "value": {"value": 1}}
    assert properties_by_name([whole]) == {"a": whole}
    assert properties_by_name(None) == {}
    for wrong, hint in (
        ([whole, {"value": 1}], r"item 2 of the list .*needs a technical_name"),
        (["a"], "needs a technical_name"),
        ([whole, whole], "a is given twice"),
        ({"b": whole}, "b is given with the technical_name 'a'"),
        ("a=1", "an object of names and values"),
        (7, "an object of names and values"),
    ):
        with pytest.raises(MicsError, match=hint):
            properties_by_name(wrong)


@pytest.mark.parametrize(
    "read",
    [
        lambda: properties_by_name([{"name": "db_password", "value": "S3CR3T"}]),
        lambda: properties_by_name(["S3CR3T"]),
        lambda: properties_by_name('{"db_password": "S3CR3T"}'),
        lambda: property_object("api_token", ["S3CR3T"], origin="PLUGIN"),
        lambda: property_value("api_token", "INT", "S3CR3T"),
        lambda: property_value("api_token", "STRING", ["S3CR3T"]),
        lambda: property_value("api_token", "URL", {"value": "S3CR3T"}),
    ],
)
def test_a_refusal_never_shows_a_value_since_it_may_be_a_secret(read):
    with pytest.raises(MicsError, match=r"propert(y|ies)") as refused:
        read()
    assert "S3CR3T" not in str(refused.value)


def test_a_version_always_has_a_provider_and_a_name():
    made = {each["technical_name"]: each for each in version_properties(None, provider="acme", name="Import")}
    assert set(made) == {"provider", "name"}
    for each in made.values():
        assert each["property_type"] == "STRING"
        assert each["origin"] == "PLUGIN_STATIC"
        assert not each["writable"]
        assert not each["deletable"]
    assert made["provider"]["value"] == {"value": "acme"}
    given = version_properties({"name": "Other", "path": "s3://a"}, provider="acme", name="Import")
    assert [(each["technical_name"], each["origin"]) for each in given] == [
        ("path", "PLUGIN"),
        ("provider", "PLUGIN_STATIC"),
        ("name", "PLUGIN_STATIC"),
    ]
    assert given[-1]["value"] == {"value": "Other"}


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
    assert changed.outcome == "updated"
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
    assert set_properties({"max_rows": 11, "ratio": "0.5"}).outcome == "found"
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
    with pytest.raises(MicsError, match="new_one: a Python NoneType has no property type"):
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
    assert set_properties({"fixed": "x"}).outcome == "found"
    with pytest.raises(MicsError, match=r"fixed of instance .* is read-only \(origin PLUGIN_STATIC\)"):
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
