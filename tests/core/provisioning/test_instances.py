"""An instance is created once, changed where it differs, and deleted without complaint."""

from __future__ import annotations

import pytest

from airflow_provider_mics.api.cron_syntax import cron_warning
from airflow_provider_mics.api.errors import MicsError, MicsNotFoundError
from airflow_provider_mics.core.provisioning.instances import (
    change_instance,
    checked_fields,
    ensure_instance,
    ensure_instance_deleted,
)
from tests.core.provisioning.driven_flows import Flows

CRON = {"cron": "30 5 * * 1,6", "cron_status": "ACTIVE"}


def get(platform, instance_id):
    return platform.call("GET", f"integration_batch_instances/{instance_id}")


def puts(platform):
    return platform.counters().get("PUT /v1/integration_batch_instances/{id}", 0)


def test_an_instance_is_created_once_and_then_found(ensure, listed, flows, platform, plugin):
    first = ensure(fields=CRON | {"cpu_size": "MEDIUM", "ram_size": "XL"}, version="1.0.0")
    again = ensure(fields=CRON | {"cpu_size": "MEDIUM", "ram_size": "XL"}, version="1.0.0")
    assert (first.outcome, again.outcome) == ("created", "found")
    assert [each["id"] for each in listed()] == [first.resource.id] == [again.resource.id]
    there = get(platform, first.resource.id)
    assert there["version_value"] == "1.0.0"
    assert (there["cpu_size"], there["ram_size"], there["disk_size"]) == ("MEDIUM", "EXTRA_LARGE", "LOW")
    assert (there["cron"], there["cron_status"]) == ("30 5 * * 1,6", "ACTIVE")
    assert f"as {first.resource.id}, with the cron '30 5 * * 1,6', ACTIVE" in flows.lines
    assert "nothing to update" in flows.lines
    assert puts(platform) == 0


def test_what_differs_is_changed_and_shown(ensure, flows, platform):
    made = ensure()
    changed = ensure(fields=CRON | {"cpu_size": "LARGE"}, version="1.0.0")
    assert changed.outcome == "updated"
    assert changed.resource.id == made.resource.id
    assert (
        "cron: None -> '30 5 * * 1,6'; cron_status: None -> 'ACTIVE'; cpu_size: 'LOW' -> 'LARGE'"
        in flows.lines
    )
    assert "version_value: '1.1.0' -> '1.0.0'" in flows.lines
    assert get(platform, made.resource.id)["version_value"] == "1.0.0"


def test_what_is_not_said_stays_as_a_person_made_it(ensure, platform):
    made = ensure(fields=CRON | {"disk_size": "LARGE"}, version="1.0.0")
    ensure()
    assert puts(platform) == 0
    ensure(fields={"cron": None, "cron_status": None})
    there = get(platform, made.resource.id)
    assert (there["cron"], there["cron_status"]) == (None, None)
    assert (there["disk_size"], there["version_value"]) == ("LARGE", "1.0.0")


def test_skip_takes_it_as_it_is_and_fail_refuses_it(ensure, platform):
    made = ensure()
    assert ensure(fields=CRON, properties={"max_rows": 7}, if_exists="skip").outcome == "found"
    assert get(platform, made.resource.id)["cron"] is None
    assert puts(platform) == 0
    with pytest.raises(MicsError, match=f"already exists as {made.resource.id}"):
        ensure(if_exists="fail")
    assert ensure("another", if_exists="fail").outcome == "created"


def test_the_same_name_of_another_plugin_is_another_instance(ensure, flows, platform, plugin):
    body = {
        "organisation_id": platform.organisation_id,
        "group_id": f"{plugin.group_id}.more",
        "artifact_id": plugin.artifact_id,
        "plugin_type": "INTEGRATION_BATCH",
    }
    other = platform.call("POST", "plugins", body)["id"]
    version = {"version_id": "1.0.0", "plugin_properties": []}
    version["plugin_properties"] = platform.call(
        "GET", f"plugins/{plugin.id}/versions/{plugin.versions['1.0.0']}/properties"
    )
    platform.call("POST", f"plugins/{other}/versions", version)
    platform.quirks(list_filters=False)
    first = ensure()
    second = flows.run(ensure_instance(body["group_id"], plugin.artifact_id, "nightly"))
    assert second.outcome == "created"
    assert ensure().resource.id == first.resource.id


def test_one_that_a_person_archived_stays_so_unless_it_is_asked_for(ensure, platform, flows):
    """Its cron would fire again."""
    made = ensure(fields=CRON)
    flows.run(change_instance(made.resource.id, fields={"archived": True}))
    assert (ensure(fields=CRON).outcome, ensure(fields=CRON).resource.id) == ("found", made.resource.id)
    assert get(platform, made.resource.id)["archived"] is True
    assert any(
        "is archived and stays archived: set archived=False to restore it" in line for line in flows.warnings
    )
    again = ensure(fields={**CRON, "archived": False})
    assert (again.outcome, again.resource.id) == ("updated", made.resource.id)
    assert "archived: True -> False" in flows.lines
    assert get(platform, made.resource.id)["archived"] is False
    assert get(platform, ensure("hidden", fields={"archived": True}).resource.id)["archived"] is True


def test_a_live_one_goes_before_an_archived_one_of_the_same_name(ensure, flows):
    archived = ensure().resource.id
    flows.run(change_instance(archived, fields={"archived": True, "name": "old"}))
    live = ensure().resource.id
    flows.run(change_instance(archived, fields={"name": "nightly"}))
    assert ensure().resource.id == live


def test_an_organisation_that_is_a_number_is_the_same_as_its_text(ensure, platform):
    """Native rendering makes a number of it."""
    made = ensure(organisation_id=platform.organisation_id)
    again = ensure(organisation_id=int(platform.organisation_id))
    assert (again.outcome, again.resource.id) == ("found", made.resource.id)


@pytest.mark.parametrize("nothing", ["None", " None ", "", False, ["a"]])
@pytest.mark.parametrize("argument", ["group_id", "artifact_id", "name", "version"])
def test_an_instance_of_nothing_is_refused_before_anything_is_sent(flows, platform, argument, nothing):
    names = {"group_id": "a", "artifact_id": "b", "name": "c"} | {argument: nothing}
    platform.reset_counters()
    with pytest.raises(MicsError, match=rf"^{argument} .*: give a text, such as '"):
        flows.run(ensure_instance(**names))
    assert platform.counters() == {}


def test_spaces_around_what_names_an_instance_make_no_second_one(flows, listed, plugin):
    names = [plugin.group_id, plugin.artifact_id, "nightly"]
    made = flows.run(ensure_instance(*names, version="1.0.0"))
    again = flows.run(ensure_instance(*(f" {each}\n" for each in names), version=" 1.0.0 "))
    assert (again.outcome, again.resource.id) == ("found", made.resource.id)
    number = flows.run(ensure_instance(*names[:2], 42))
    assert flows.run(ensure_instance(*names[:2], "42")).resource.id == number.resource.id
    assert len(listed()) == 2


def test_spaces_within_a_cron_are_no_difference(ensure, flows, platform):
    spaced = CRON | {"cron": " 30  5 * *\t1,6 "}
    made = ensure(fields=spaced)
    assert get(platform, made.resource.id)["cron"] == CRON["cron"]
    assert ensure(fields=spaced).outcome == "found"
    by_hand = get(platform, made.resource.id) | spaced
    platform.call("PUT", f"integration_batch_instances/{made.resource.id}", by_hand)
    platform.reset_counters()
    assert ensure(fields=CRON).outcome == "found"
    assert flows.run(change_instance(made.resource.id, fields={"cron": "30  5 * * 1,6"})).outcome == "found"
    assert puts(platform) == 0


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"cron": "0 5 * * *"}, "without cron_status"),
        ({"cron": "0 5 * * * *", "cron_status": "ACTIVE"}, "6 field"),
        ({"cpu_size": "ENORMOUS"}, "cpu_size 'ENORMOUS'"),
    ],
)
def test_a_field_that_cannot_be_is_refused_before_anything_is_sent(ensure, platform, fields, hint):
    platform.reset_counters()
    with pytest.raises(MicsError, match=hint):
        ensure(fields=fields)
    with pytest.raises(MicsError, match="max_rows is given twice"):
        ensure(properties=[{"technical_name": "max_rows", "value": 1}] * 2)
    assert platform.counters() == {}


def test_a_version_that_does_not_exist_is_refused_with_those_that_do(ensure, listed):
    with pytest.raises(MicsError, match=r"no version 3.0.0: it has 1.0.0, 1.1.0"):
        ensure(version="3.0.0")
    assert listed() == []


def test_every_minute_is_warned_of_once(ensure, flows):
    schedule = {"cron": "* * * * *", "cron_status": "PAUSED"}
    for tries in (1, 2):
        ensure(fields=schedule)
        warned = [line for line in flows.warnings if "writes '* * * * *' for 'no schedule'" in line]
        assert len(warned) == tries


@pytest.mark.parametrize(
    "quirks",
    [
        {"sizes_in_answers": "console", "sizes_accepted": "both"},
        {"sizes_in_answers": "both"},
        {"put_semantics": "merge"},
        {"ids_as_numbers": True},
        {"extra_fields": True},
        {"lists_have_total": False, "max_results_cap": 2},
        {"list_filters": False, "list_order": "unstable"},
    ],
    ids=",".join,
)
def test_an_instance_is_created_found_and_changed_on_any_platform(ensure, listed, platform, quirks):
    platform.quirks(**quirks)
    made = ensure(fields={"cpu_size": "EXTRA_LARGE"})
    assert ensure(fields={"cpu_size": "EXTRA_LARGE"}).outcome == "found"
    assert ensure(fields=CRON | {"cpu_size": "MEDIUM"}).outcome == "updated"
    platform.quirks(reset=True)
    (there,) = listed()
    assert str(there["id"]) == made.resource.id
    assert (there["cpu_size"], there["cron"]) == ("MEDIUM", "30 5 * * 1,6")


def test_fields_are_checked_before_anything_is_sent():
    assert checked_fields({"cpu_size": "xl", "cron_status": "paused"}, creating=False) == {
        "cpu_size": "EXTRA_LARGE",
        "cron_status": "PAUSED",
    }
    assert checked_fields({"cron": None, "cron_status": None}, creating=False) == {
        "cron": None,
        "cron_status": None,
    }
    assert checked_fields({}, creating=True) == {}
    for fields, creating, hint in (
        ({"cron": "0 5 * * *"}, True, "without cron_status"),
        ({"cron_status": "ACTIVE"}, True, "without cron"),
        ({"cron": "0 5 * *", "cron_status": "ACTIVE"}, True, "4 field"),
        ({"cron": "0 25 * * *"}, False, "cannot be read"),
        ({"cron": "@daily"}, False, "1 field"),
        ({"cron": None}, False, "give cron=None and cron_status=None"),
        ({"cron_status": None}, False, "give cron=None and cron_status=None"),
        ({"cron_status": "SLEEPING"}, False, "not one of ACTIVE, PAUSED"),
        ({"ram_size": "HUGE"}, False, "not one of LOW, MEDIUM, LARGE, EXTRA_LARGE"),
    ):
        with pytest.raises(MicsError, match=hint):
            checked_fields(fields, creating=creating)


def test_a_cron_of_every_minute_is_warned_of():
    assert "no schedule" in (cron_warning(" *  * * * *") or "")
    assert cron_warning("*/1 * * * *") is None
    assert cron_warning(None) is None


class TestChanging:
    def test_the_schedule_is_set_changed_and_cleared(self, ensure, flows, platform):
        instance_id = ensure().resource.id
        change = lambda **fields: flows.run(change_instance(instance_id, fields=fields))  # noqa: E731
        assert change(**CRON).resource.is_active
        assert change(cron="30 * * * *").resource.cron_status == "ACTIVE"
        assert "cron: '30 5 * * 1,6' -> '30 * * * *'" in flows.lines
        assert change(cron="30 * * * *").outcome == "found"
        change(cron=None, cron_status=None)
        there = get(platform, instance_id)
        assert (there["cron"], there["cron_status"]) == (None, None)
        with pytest.raises(MicsError, match=r"cron '0 5 .*without cron_status"):
            change(cron="0 5 * * *")
        with pytest.raises(MicsError, match="cron_status 'ACTIVE' is given without cron"):
            change(cron_status="ACTIVE")

    @pytest.mark.parametrize("nothing", [None, "None", " "])
    def test_a_name_is_never_taken_away(self, ensure, flows, platform, nothing):
        instance_id = ensure().resource.id
        with pytest.raises(MicsError, match=r"name .*: give a text"):
            flows.run(change_instance(instance_id, fields={"name": nothing}))
        assert flows.run(change_instance(instance_id, fields={"name": "nightly "})).outcome == "found"
        assert get(platform, instance_id)["name"] == "nightly"

    def test_a_version_is_changed_by_its_number_or_by_its_id(self, ensure, flows, platform, plugin):
        instance_id = ensure(version="1.0.0").resource.id
        flows.run(change_instance(instance_id, version="1.1.0"))
        assert get(platform, instance_id)["version_id"] == plugin.versions["1.1.0"]
        sent = []
        recorded = Flows(platform, before=sent.append)
        recorded.run(change_instance(instance_id, version_id=plugin.versions["1.0.0"]))
        (written,) = [call.body for call in sent if call.method == "PUT"]
        assert written["version_value"] == "1.0.0", "number and id never contradict each other"
        assert get(platform, instance_id)["version_value"] == "1.0.0"

    def test_a_rename_keeps_all_else(self, ensure, flows, platform):
        made = ensure(fields=CRON | {"ram_size": "LARGE"})
        flows.run(change_instance(made.resource.id, fields={"name": "weekly"}))
        before, after = made.resource.to_json(), get(platform, made.resource.id)
        changed = {name for name in after if after[name] != before.get(name)}
        assert changed - {"last_modified_ts"} == {"name"}

    def test_one_that_does_not_exist_is_a_clear_error(self, flows):
        with pytest.raises(MicsNotFoundError, match="999999"):
            flows.run(change_instance("999999", fields={"name": "x"}))


class TestDeleting:
    def test_it_is_deleted_and_given_back_as_it_was(self, ensure, flows, listed):
        made = ensure(fields=CRON)
        deleted = flows.run(ensure_instance_deleted(made.resource.id))
        assert deleted is not None
        assert deleted.cron == "30 5 * * 1,6"
        assert listed() == []

    def test_one_that_is_gone_is_fine_unless_asked_for(self, flows):
        assert flows.run(ensure_instance_deleted("999999")) is None
        assert "nothing to delete" in flows.lines
        with pytest.raises(MicsNotFoundError):
            flows.run(ensure_instance_deleted("999999", missing_ok=False))

    def test_a_lost_answer_is_no_failure_even_where_it_must_exist(self, ensure, flows, platform, listed):
        made = ensure()
        platform.faults([{"kind": "drop_after", "method": "DELETE", "times": 1}])
        assert flows.run(ensure_instance_deleted(made.resource.id, missing_ok=False)) is not None
        assert listed() == []

    def test_a_platform_that_does_not_delete_is_an_error(self, ensure, flows, platform, listed):
        made = ensure()
        parameters = {"status": 405, "body": '{"status": "error", "error": "no such method"}'}
        platform.faults([{"kind": "body", "method": "DELETE", "parameters": parameters}])
        with pytest.raises(MicsError, match="archive it instead"):
            flows.run(ensure_instance_deleted(made.resource.id))
        assert len(listed()) == 1
