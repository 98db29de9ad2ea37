"""A walk past every endpoint of the API, each answer looked at."""

from __future__ import annotations

import itertools
from typing import Any, TypeVar

import pytest

from airflow_provider_mics import api
from airflow_provider_mics.api import MicsApiError, MicsError, MicsResponseError
from airflow_provider_mics.api.calls import Job
from tests.api.both_clients import Client

T = TypeVar("T")
LONG_AGO = 1_600_000_000_000
FAR_AHEAD = 4_000_000_000_000
_numbers = itertools.count(1)


def mandatory_properties() -> list[dict[str, Any]]:
    """The properties without which no version is taken (vendor's page)."""
    return [
        {
            "technical_name": name,
            "value": {"value": "mediarithmics"},
            "property_type": "STRING",
            "origin": "PLUGIN_STATIC",
            "writable": False,
            "deletable": False,
        }
        for name in ("provider", "name")
    ]


class Journey:
    """One client on its way, on a platform with these quirks (those that differ from the defaults)."""

    def __init__(self, client: Client, quirks: dict[str, Any]) -> None:
        self._client = client
        self._quirks = quirks
        # A list that has another order each time is whole only where it fits into one page.
        self._page_size = 100 if quirks.get("list_order") == "unstable" else 2
        self._group = f"com.acme.group-{next(_numbers)}"

    def run(self, job: Job[T]) -> T:
        return self._client.run(job)

    def walk(self) -> None:
        self.see_user()
        plugin = self.make_plugin()
        version = self.make_version(plugin)
        instance = self.make_instance(version)
        self.change_instance(instance)
        self.set_properties(instance)
        self.pause_and_resume(instance)
        self.run_to_the_end(instance)
        self.cancel_one(instance)
        self.delete_one(instance)
        self.delete_instance(instance)

    def see_user(self) -> None:
        if self._lacks("connected_user"):
            self._refused(api.get_connected_user())
            return
        user = self.run(api.get_connected_user())
        assert "@" in user.display_name
        [workspace] = user.to_json()["workspaces"]
        assert workspace["organisation_id"] == self._client.real.organisation_id

    def make_plugin(self) -> api.Plugin:
        plugin = self.run(api.create_plugin(self._group, "nightly"))
        assert (plugin.group_id, plugin.artifact_id) == (self._group, "nightly")
        assert plugin.plugin_type == "INTEGRATION_BATCH"
        assert plugin.current_version_id is None
        assert self.run(api.get_plugin(plugin.id)).to_json() == plugin.to_json()
        listed = self.run(api.list_plugins(group_id=self._group, artifact_id="nightly"))
        assert plugin.id in {each.id for each in listed}
        return plugin

    def make_version(self, plugin: api.Plugin) -> api.PluginVersion:
        version = self.run(api.create_plugin_version(plugin.id, "1.0.0", mandatory_properties()))
        assert version.version_id == "1.0.0"
        self.run(api.create_plugin_version(plugin.id, "1.1.0-rc1", mandatory_properties()))
        assert self.run(api.get_plugin_version(plugin.id, version.id)).version_id == "1.0.0"
        listed = self.run(api.list_plugin_versions(plugin.id, page_size=self._page_size))
        assert {each.version_id for each in listed} == {"1.0.0", "1.1.0-rc1"}
        properties = self.run(api.list_plugin_version_properties(plugin.id, version.id))
        assert {each.technical_name for each in properties} >= {"provider", "name"}
        assert self.run(api.get_plugin_of_version(version.id)).id == plugin.id
        self.run(api.deploy_plugin_version(plugin.id, version.id, "build-7"))
        return version

    def make_instance(self, version: api.PluginVersion) -> api.Instance:
        schedule = {"cron": "30 5 * * 1,6", "cron_status": "ACTIVE"}
        job = api.create_instance(
            self._group, "nightly", "Nightly import", version_id=version.id, ram_size="XL", **schedule
        )
        instance = self.run(job)
        assert (instance.name, instance.cron, instance.cron_status) == ("Nightly import", *schedule.values())
        assert (instance.cpu_size, instance.ram_size, instance.disk_size) == ("LOW", "EXTRA_LARGE", "LOW")
        assert (instance.version_id, instance.version_value) == (version.id, "1.0.0")
        assert (instance.creation_ts is None) == (self._quirks.get("dates_as") == "iso_without_offset")
        assert self.run(api.get_instance(instance.id)) == instance
        for archived in (True, False):
            listed = self.run(
                api.list_instances(group_id=self._group, include_archived=archived, page_size=self._page_size)
            )
            assert [each for each in listed if each.id == instance.id] == [instance]
        return instance

    def change_instance(self, instance: api.Instance) -> None:
        changed = self.run(api.update_instance(instance.id, name="Renamed", disk_size="MEDIUM"))
        assert (changed.name, changed.disk_size, changed.ram_size) == ("Renamed", "MEDIUM", "EXTRA_LARGE")
        assert (changed.cron, changed.cron_status) == (instance.cron, instance.cron_status)
        assert self.run(api.get_instance(instance.id)) == changed

    def set_properties(self, instance: api.Instance) -> None:
        for name, value in (
            ("sandbox.duration_s", 0),
            ("sandbox.outcome", "succeed,fail"),
            ("été/1 %2F", "é"),
        ):
            document = {"technical_name": name, "property_type": "STRING", "value": {"value": value}}
            written = self.run(api.set_instance_property(instance.id, document))
            assert (written.technical_name, written.value) == (name, {"value": value})
        listed = self.run(api.list_instance_properties(instance.id))
        assert {"sandbox.duration_s", "sandbox.outcome", "été/1 %2F"} <= {
            each.technical_name for each in listed
        }

    def pause_and_resume(self, instance: api.Instance) -> None:
        assert self.run(api.pause_instance(instance.id)).cron_status == "PAUSED"
        assert not self.run(api.get_instance(instance.id)).is_active
        assert self.run(api.resume_instance(instance.id)).is_active

    def run_to_the_end(self, instance: api.Instance) -> None:
        created = self.run(api.create_execution(instance.id, expected_start_date=LONG_AGO))
        ended = self.run(api.wait_for_execution(instance.id, created.id, poll_interval=0.01))
        assert ended.succeeded
        failing = self.run(api.create_execution(instance.id, "CRON", expected_start_date=LONG_AGO + 1))
        failed = self.run(api.wait_for_execution(instance.id, failing.id, poll_interval=0.01))
        assert failed.failed
        if not self._quirks.keys() & {"sparse_executions", "null_executions"}:
            assert failed.error_message == "the script ended with exit code 1"
            assert (failed.instance_id, failed.execution_type) == (instance.id, "CRON")
        listed = self.run(api.list_executions(instance.id, page_size=self._page_size))
        assert {each.id for each in listed} >= {created.id, failing.id}
        if self._lacks("organisation_executions"):
            self._refused(api.list_organisation_executions())
        else:
            everybodys = self.run(api.list_organisation_executions())
            assert {each.id for each in everybodys} >= {created.id, failing.id}

    def cancel_one(self, instance: api.Instance) -> None:
        pending = self.run(api.create_execution(instance.id, expected_start_date=FAR_AHEAD))
        assert pending.is_pending
        if not self._lacks("execution_put"):
            moved = self.run(api.update_execution(instance.id, pending.id, debug=True))
            assert moved.id == pending.id
        ways = [
            name for name in ("cancel_action", "execution_put", "execution_delete") if not self._lacks(name)
        ]
        if not ways:
            self._refused(api.cancel_execution(instance.id, pending.id), "rejected every cancel method")
            return
        how = self.run(api.cancel_execution(instance.id, pending.id)).method
        assert how == {"cancel_action": "cancel action", "execution_put": "status update"}.get(
            ways[0], "deletion"
        )
        if how != "deletion":
            ended = self.run(api.wait_for_execution(instance.id, pending.id, poll_interval=0.01))
            assert ended.canceled
            assert self.run(api.cancel_execution(instance.id, pending.id)).method == "already over"

    def delete_one(self, instance: api.Instance) -> None:
        pending = self.run(api.create_execution(instance.id, expected_start_date=FAR_AHEAD))
        if self._lacks("execution_delete"):
            self._refused(api.delete_execution(instance.id, pending.id))
            return
        self.run(api.delete_execution(instance.id, pending.id))
        self._refused(api.get_execution(instance.id, pending.id))

    def delete_instance(self, instance: api.Instance) -> None:
        self.run(api.delete_instance(instance.id))
        self._refused(api.get_instance(instance.id))
        listed = self.run(api.list_instances(group_id=self._group, include_archived=True))
        assert instance.id not in {each.id for each in listed}

    def _lacks(self, route: str) -> bool:
        return self._quirks.get(route, "available") != "available"

    def _refused(self, job: Job[Any], line: str = "") -> None:
        """It ends in an error that is the platform's; which one depends on the form of its errors."""
        with pytest.raises(MicsError) as raised:
            self.run(job)
        assert isinstance(raised.value, MicsApiError | MicsResponseError) or line
        assert line in str(raised.value)
        assert str(raised.value).isprintable()
