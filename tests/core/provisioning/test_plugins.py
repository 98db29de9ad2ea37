"""A plugin and its versions are created once, and what cannot be changed is said clearly."""

from __future__ import annotations

import threading

import pytest

from airflow_provider_mics.api.errors import MicsApiError, MicsError
from airflow_provider_mics.core.provisioning.plugins import (
    ensure_plugin,
    ensure_plugin_version,
    resolve_version,
)
from tests.core.provisioning.conftest import GROUP
from tests.core.provisioning.driven_flows import (
    Flows,
    lose_the_worker_after_its_request,
    with_a_list_behind,
)

PLUGINS = r"/plugins$"
VERSIONS = r"/versions$"


def plugins_named(platform, artifact_id):
    everything = platform.call("GET", "plugins", organisation_id=platform.organisation_id, max_results=1000)
    return [each for each in everything if each["artifact_id"] == artifact_id]


def versions_of(platform, plugin_id):
    return platform.call("GET", f"plugins/{plugin_id}/versions")


def test_a_plugin_is_created_once_and_then_found(flows, platform, artifact_id):
    first = flows.run(ensure_plugin(GROUP, artifact_id))
    again = flows.run(ensure_plugin(GROUP, artifact_id))
    assert (first.outcome, again.outcome) == ("created", "found")
    assert first.resource.id == again.resource.id
    assert first.resource.plugin_type == "INTEGRATION_BATCH"
    assert len(plugins_named(platform, artifact_id)) == 1
    assert f"Created plugin {GROUP}:{artifact_id} as {first.resource.id}" in flows.lines
    assert f"Found plugin {GROUP}:{artifact_id} ({first.resource.id}); it already exists" in flows.lines


def test_a_plugin_of_another_type_is_refused_or_taken_as_asked(flows, artifact_id):
    flows.run(ensure_plugin(GROUP, artifact_id, plugin_type="DATA_CONNECTOR"))
    with pytest.raises(
        MicsError, match=r"plugin_type: 'DATA_CONNECTOR' -> 'INTEGRATION_BATCH'.*another artifact_id"
    ):
        flows.run(ensure_plugin(GROUP, artifact_id))
    taken = flows.run(ensure_plugin(GROUP, artifact_id, if_exists="skip"))
    assert taken.resource.plugin_type == "DATA_CONNECTOR"
    with pytest.raises(MicsError, match="already exists"):
        flows.run(ensure_plugin(GROUP, artifact_id, plugin_type="DATA_CONNECTOR", if_exists="fail"))


@pytest.mark.parametrize(
    "quirks", [{"list_filters": False}, {"ids_as_numbers": True}, {"list_order": "random"}]
)
def test_a_plugin_is_found_on_any_platform(flows, platform, artifact_id, quirks):
    platform.quirks(**quirks)
    flows.run(ensure_plugin(GROUP, f"{artifact_id}-other"))
    flows.run(ensure_plugin(f"{GROUP}.other", artifact_id))
    made = flows.run(ensure_plugin(GROUP, artifact_id))
    assert made.outcome == "created"
    assert flows.run(ensure_plugin(GROUP, artifact_id)).resource.id == made.resource.id


@pytest.mark.parametrize("kind", ["drop_after", "timeout_after", "cut_json", "drop_before", "duplicate"])
def test_a_plugin_is_there_once_whatever_happens_to_its_creation(flows, platform, artifact_id, kind):
    parameters = {"timeout_after": {"seconds": 0}, "cut_json": {"variant": "complete"}}.get(kind, {})
    platform.faults([{"kind": kind, "method": "POST", "path": PLUGINS, "times": 1, "parameters": parameters}])
    before = platform.injected().get(kind, 0)
    made = flows.run(ensure_plugin(GROUP, artifact_id))
    assert platform.injected()[kind] == before + 1
    assert [each["id"] for each in plugins_named(platform, artifact_id)] == [made.resource.id]


def test_a_refusal_to_create_is_raised_as_it_is(flows, platform, artifact_id):
    body = '{"status": "error", "error": "group_id is reserved", "error_id": "e-42"}'
    parameters = {"status": 400, "body": body}
    platform.faults([{"kind": "body", "method": "POST", "path": PLUGINS, "parameters": parameters}])
    with pytest.raises(MicsApiError, match=r"group_id is reserved .*error_id e-42"):
        flows.run(ensure_plugin(GROUP, artifact_id))


def test_a_refusal_because_it_exists_by_now_finds_it_also_where_lists_are_behind(platform, artifact_id):
    """Somebody else creates it after we looked, and the platform's list shows it only some seconds later."""
    body = {"group_id": GROUP, "artifact_id": artifact_id, "plugin_type": "INTEGRATION_BATCH"}
    created = []

    def before(call):
        if call.method == "POST":
            refusal = {"status": 400, "body": '{"status": "error", "error": "artifact_id must be unique"}'}
            platform.faults([{"kind": "body", "method": "POST", "parameters": refusal}])

    def asleep(_):
        platform.faults()
        if not created:
            created.append(
                platform.call("POST", "plugins", {**body, "organisation_id": platform.organisation_id})
            )

    flows = Flows(platform, before=before, asleep=asleep)
    found = flows.run(ensure_plugin(GROUP, artifact_id))
    assert (found.outcome, found.resource.id) == ("found", created[0]["id"])


def test_two_tasks_that_declare_the_same_end_with_the_same(platform, artifact_id):
    """Both have looked before either creates; the platform refuses the second plugin, and the second version."""
    found = in_two_threads(platform, "plugins", lambda flows: flows.run(ensure_plugin(GROUP, artifact_id)))
    assert sorted(each.outcome for each in found) == ["created", "found"]
    assert len({each.resource.id for each in found}) == 1
    plugin_id = found[0].resource.id
    made = in_two_threads(
        platform,
        f"plugins/{plugin_id}/versions",
        lambda flows: flows.run(ensure_plugin_version("1.0.0", plugin_id=plugin_id)),
    )
    assert sorted(each.outcome for each in made) == ["created", "found"]
    assert len({each.resource.id for each in made}) == 1


def in_two_threads(platform, path, do):
    """Let two flows run at once, so that neither creates before both have looked."""
    both_looked = threading.Barrier(2, timeout=20)
    once = threading.local()

    def before(call):
        if call.method == "POST" and call.path == path and not hasattr(once, "met"):
            once.met = True
            both_looked.wait()

    results = []
    threads = [
        threading.Thread(target=lambda: results.append(do(Flows(platform, before=before)))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == 2
    return results


def test_a_version_is_declared_with_plain_values(flows, platform, artifact_id):
    plugin = flows.run(ensure_plugin(GROUP, artifact_id)).resource
    properties = {"import_path": "s3://a", "max_rows": 5, "big": 2**40, "ratio": 0.5, "dry_run": True}
    made = flows.run(
        ensure_plugin_version("1.0.0", group_id=GROUP, artifact_id=artifact_id, properties=properties)
    )
    assert made.outcome == "created"
    listed = platform.call("GET", f"plugins/{plugin.id}/versions/{made.resource.id}/properties")
    types = {each["technical_name"]: (each["property_type"], each["origin"]) for each in listed}
    assert types == {
        "import_path": ("STRING", "PLUGIN"),
        "max_rows": ("INT", "PLUGIN"),
        "big": ("LONG", "PLUGIN"),
        "ratio": ("DOUBLE", "PLUGIN"),
        "dry_run": ("BOOLEAN", "PLUGIN"),
        "provider": ("STRING", "PLUGIN_STATIC"),
        "name": ("STRING", "PLUGIN_STATIC"),
    }
    values = {each["technical_name"]: each["value"]["value"] for each in listed}
    assert values["provider"] == "mediarithmics"
    assert values["name"] == artifact_id


def test_a_version_that_is_as_wanted_is_found_and_another_is_refused_with_a_diff(flows, platform, plugin):
    def ensure(properties, **options):
        return flows.run(
            ensure_plugin_version("2.0.0", plugin_id=plugin.id, properties=properties, **options)
        )

    made = ensure({"import_path": "s3://a", "max_rows": 5})
    assert ensure({"import_path": "s3://a", "max_rows": 5}).resource.id == made.resource.id
    with pytest.raises(MicsError, match=r"import_path: 's3://a' -> 's3://b'.*give it another number"):
        ensure({"import_path": "s3://b", "max_rows": 5})
    with pytest.raises(MicsError, match=r"max_rows: 5 -> 5.5; max_rows.property_type: 'INT' -> 'DOUBLE'"):
        ensure({"import_path": "s3://a", "max_rows": 5.5})
    with pytest.raises(MicsError, match="new_one: None -> 1"):
        ensure({"import_path": "s3://a", "max_rows": 5, "new_one": 1})
    assert ensure({"import_path": "s3://b"}, if_exists="skip").resource.id == made.resource.id
    with pytest.raises(MicsError, match="already exists"):
        ensure({"import_path": "s3://a", "max_rows": 5}, if_exists="fail")
    ensure({"import_path": "s3://a"})
    assert "has additional properties: max_rows" in flows.lines
    assert len([each for each in versions_of(platform, plugin.id) if each["version_id"] == "2.0.0"]) == 1


@pytest.mark.parametrize("number", ["1", "1.0", "v1.0.0", "1.0 .0", "1.0.0-", "latest"])
def test_a_number_that_is_none_is_refused_before_anything_is_sent(flows, platform, number):
    with pytest.raises(MicsError, match="three numbers"):
        flows.run(ensure_plugin_version(number, plugin_id="1"))
    assert platform.counters() == {}


@pytest.mark.parametrize("nothing", ["None", " None ", "", "  ", None, True, ["a"], 1.5])
@pytest.mark.parametrize("argument", ["group_id", "artifact_id", "plugin_type"])
def test_a_plugin_is_never_called_none(flows, platform, argument, nothing):
    """A template of nothing gives the text ``None``, and the platform's API does not delete a plugin."""
    names = {"group_id": GROUP, "artifact_id": "x"} | {argument: nothing}
    with pytest.raises(MicsError, match=rf"^{argument} .*: give a text, such as '"):
        flows.run(ensure_plugin(**names))
    assert platform.counters() == {}


def test_what_names_a_plugin_or_a_version_may_come_as_a_template_gives_it(flows, platform, artifact_id):
    """With spaces of the template's around it, or as a number that native rendering made of it."""
    made = flows.run(ensure_plugin(f" {GROUP}", f"{artifact_id}\n", plugin_type=" INTEGRATION_BATCH "))
    again = flows.run(ensure_plugin(GROUP, artifact_id))
    assert (again.outcome, again.resource.id) == ("found", made.resource.id)
    number = int(f"10{made.resource.id}")
    assert flows.run(ensure_plugin(GROUP, number)).outcome == "created"
    assert flows.run(ensure_plugin(GROUP, str(number))).outcome == "found"
    for version, how in (("1.0.0\n", "created"), ("1.0.0", "found")):
        declared = ensure_plugin_version(version, group_id=GROUP, artifact_id=f"{artifact_id} ")
        assert flows.run(declared).outcome == how


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"number": "None"}, "version 'None'"),
        ({"group_id": "None"}, "group_id 'None'"),
        ({"artifact_id": ""}, "artifact_id ''"),
        ({"group_id": None}, "group_id None"),
        ({"group_id": None, "artifact_id": None}, "plugin_id, group_id and artifact_id are None: give"),
        ({"provider": "None"}, "provider 'None'"),
        ({"name": " "}, "name ' '"),
    ],
    ids=str,
)
def test_a_version_of_nothing_is_refused_before_anything_is_sent(flows, platform, arguments, hint):
    names = {"number": "1.0.0", "group_id": GROUP, "artifact_id": "x"} | arguments
    with pytest.raises(MicsError, match=hint):
        flows.run(ensure_plugin_version(**names))
    assert platform.counters() == {}


def test_a_retry_waits_for_what_the_try_before_it_may_have_created(platform, artifact_id):
    lose_the_worker_after_its_request(platform, ensure_plugin(GROUP, artifact_id))
    flows = with_a_list_behind(platform, PLUGINS, seconds=6)
    plugin_id = flows.run(ensure_plugin(GROUP, artifact_id, is_retry=True)).resource.id
    assert [each["id"] for each in plugins_named(platform, artifact_id)] == [plugin_id]

    lose_the_worker_after_its_request(platform, ensure_plugin_version("1.0.0", plugin_id=plugin_id))
    flows = with_a_list_behind(platform, VERSIONS, seconds=6)
    version = flows.run(ensure_plugin_version("1.0.0", plugin_id=plugin_id, is_retry=True)).resource
    assert [each["id"] for each in versions_of(platform, plugin_id)] == [version.id]
    assert platform.counters()["POST /v1/plugins/{id}/versions"] == 1


def test_one_that_its_list_never_shows_is_the_one_that_was_created(platform, artifact_id):
    flows = with_a_list_behind(platform, PLUGINS, seconds=3600)
    made = flows.run(ensure_plugin(GROUP, artifact_id))
    assert made.outcome == "created"
    platform.faults()
    assert [each["id"] for each in plugins_named(platform, artifact_id)] == [made.resource.id]


@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "duplicate"])
def test_a_version_is_there_once_whatever_happens_to_its_creation(flows, platform, plugin, kind):
    platform.faults([{"kind": kind, "method": "POST", "path": VERSIONS, "times": 1}])
    made = flows.run(ensure_plugin_version("2.0.0-rc1", plugin_id=plugin.id))
    numbers = [each["version_id"] for each in versions_of(platform, plugin.id)]
    assert sorted(numbers) == ["1.0.0", "1.1.0", "2.0.0-rc1"]
    assert made.resource.version_id == "2.0.0-rc1"


def test_coordinates_and_a_number_become_the_platforms_id(flows, plugin, artifact_id):
    for number, version_id in plugin.versions.items():
        assert flows.run(resolve_version(GROUP, artifact_id, number)).id == version_id
    with pytest.raises(MicsError, match=r"has no version 9.9.9: it has 1.0.0, 1.1.0"):
        flows.run(resolve_version(GROUP, artifact_id, "9.9.9"))
    with pytest.raises(MicsError, match=f"no plugin {GROUP}:nothing-like-it: .*MicsCreatePluginOperator"):
        flows.run(resolve_version(GROUP, "nothing-like-it", "1.0.0"))
    flows.run(ensure_plugin(GROUP, f"{artifact_id}-empty"))
    with pytest.raises(MicsError, match="it has no versions yet"):
        flows.run(resolve_version(GROUP, f"{artifact_id}-empty", "1.0.0"))
