"""Pausing cancels all that is coming, whatever the platform does by itself; resuming makes up nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError
from airflow_provider_mics.core.provisioning.pausing import CANCEL_TIMEOUT, pause, resume
from tests.core.provisioning.driven_flows import Flows, create_hanging_instance

HOUR_MS = 3_600_000


@pytest.fixture
def instance_id(platform, plugin):
    return create_hanging_instance(platform, plugin, cron="0 0 1 1 *", cron_status="ACTIVE")


def planned(platform, instance_id, hours, execution_type="MANUAL"):
    moment = platform.now_ms() + int(hours * HOUR_MS)
    return platform.create_execution(instance_id, moment, execution_type)["id"]


def statuses(platform, instance_id):
    return {each["id"]: each["status"] for each in platform.executions(instance_id)}


def state(platform, instance_id):
    return platform.call("GET", f"integration_batch_instances/{instance_id}")["cron_status"]


@pytest.fixture(params=[True, False], ids=["the platform cancels", "the platform does not"])
def pausing_cancels(request, platform):
    platform.quirks(pausing_cancels=request.param)


@pytest.mark.usefixtures("pausing_cancels")
def test_all_that_is_coming_is_canceled_and_what_runs_goes_on(flows, platform, instance_id):
    coming = [planned(platform, instance_id, 1), planned(platform, instance_id, 24, "CRON")]
    running = planned(platform, instance_id, 0)
    assert flows.run(pause(instance_id)).cron_status == "PAUSED"
    assert state(platform, instance_id) == "PAUSED"
    assert statuses(platform, instance_id) == {**dict.fromkeys(coming, "CANCELED"), running: "RUNNING"}
    assert f"Execution {running} is RUNNING and is not canceled" in flows.lines


@pytest.mark.usefixtures("pausing_cancels")
def test_what_runs_is_canceled_where_asked_for(flows, platform, instance_id):
    ids = [planned(platform, instance_id, 1), planned(platform, instance_id, 0)]
    flows.run(pause(instance_id, cancel_running=True))
    assert statuses(platform, instance_id) == dict.fromkeys(ids, "CANCELED")


@pytest.mark.usefixtures("pausing_cancels")
def test_one_that_is_paused_already_still_loses_what_is_coming(flows, platform, instance_id):
    flows.run(pause(instance_id))
    late = planned(platform, instance_id, 2)
    flows.run(pause(instance_id))
    assert statuses(platform, instance_id) == {late: "CANCELED"}
    assert "is already PAUSED" in flows.lines


@pytest.mark.parametrize(
    ("quirks", "method"),
    [
        ({}, "cancel action"),
        ({"cancel_action": "404"}, "status update"),
        ({"cancel_action": "405", "execution_put": "405"}, "deletion"),
        ({"execution_get": "404", "cancel_action": "404"}, "status update"),
        ({"list_order": "oldest", "max_results_cap": 1}, "cancel action"),
        ({"pending_as": "SCHEDULED", "canceled_as": "CANCELLED"}, "cancel action"),
    ],
    ids=str,
)
def test_coming_executions_are_canceled_by_whatever_the_platform_offers(
    flows, platform, instance_id, quirks, method
):
    ids = [planned(platform, instance_id, hours) for hours in (1, 2, 3)]
    platform.quirks(pausing_cancels=False, **quirks)
    flows.run(pause(instance_id))
    assert flows.lines.count(f"({method})") == 3
    platform.quirks(reset=True)
    assert set(statuses(platform, instance_id).values()) == {"CANCELED"}
    assert len(ids) == 3


def test_a_platform_that_offers_no_way_is_a_clear_failure_after_the_pause(flows, platform, instance_id):
    first, second = planned(platform, instance_id, 1), planned(platform, instance_id, 2)
    platform.quirks(pausing_cancels=False, cancel_action="404", execution_put="404", execution_delete="404")
    with pytest.raises(MicsError, match="is paused, but 2 of 2 executions could not be canceled") as failure:
        flows.run(pause(instance_id))
    assert first in str(failure.value)
    assert second in str(failure.value)
    assert state(platform, instance_id) == "PAUSED"


def test_a_cancellation_that_takes_time_is_waited_for(platform, instance_id):
    platform.quirks(pausing_cancels=False, cancel_takes_s=30)
    execution_id = planned(platform, instance_id, 5)
    flows = Flows(platform, asleep=platform.jump_clock)
    flows.run(pause(instance_id))
    assert statuses(platform, instance_id) == {execution_id: "CANCELED"}


def test_a_cancellation_that_never_takes_effect_is_a_failure_that_a_retry_may_mend(
    flows, platform, instance_id
):
    platform.quirks(pausing_cancels=False, cancel_takes_s=10_000)
    execution_id = planned(platform, instance_id, 5)
    started = flows.now
    with pytest.raises(
        MicsTimeoutError,
        match=rf"timed out waiting for canceled executions to end: {execution_id} \(PENDING\)",
    ):
        flows.run(pause(instance_id))
    assert CANCEL_TIMEOUT <= flows.now - started < CANCEL_TIMEOUT + timedelta(seconds=10)


def test_one_that_is_gone_by_the_time_it_is_canceled_is_no_failure(platform, instance_id):
    """It was started and deleted by somebody between our list and our question."""
    gone, coming = planned(platform, instance_id, 1), planned(platform, instance_id, 2)
    path = f"integration_batch_instances/{instance_id}/executions/{gone}"

    def before(call):
        if call.path == path:
            platform.send("DELETE", path)

    platform.quirks(pausing_cancels=False)
    flows = Flows(platform, before=before)
    flows.run(pause(instance_id))
    assert f"Execution {gone}, PENDING, expected at" in flows.lines
    assert "no longer exists: nothing to cancel" in flows.lines
    assert statuses(platform, instance_id)[coming] == "CANCELED"


@pytest.mark.parametrize("do", [pause, resume])
def test_an_instance_without_a_cron_cannot_be_paused_or_resumed(flows, platform, instance_id, do):
    whole = platform.call("GET", f"integration_batch_instances/{instance_id}")
    platform.call(
        "PUT", f"integration_batch_instances/{instance_id}", whole | {"cron": None, "cron_status": None}
    )
    planned(platform, instance_id, 1)
    with pytest.raises(MicsError, match="has no cron"):
        flows.run(do(instance_id))
    assert list(statuses(platform, instance_id).values()) == ["PENDING"]


def test_resuming_sets_active_and_makes_up_nothing(flows, platform, instance_id):
    planned(platform, instance_id, 1)
    flows.run(pause(instance_id))
    assert flows.run(resume(instance_id)).cron_status == "ACTIVE"
    assert flows.run(resume(instance_id)).is_active
    assert state(platform, instance_id) == "ACTIVE"
    assert "is already ACTIVE" in flows.lines
    assert list(statuses(platform, instance_id).values()) == ["CANCELED"], "what was canceled stays canceled"


@pytest.mark.parametrize("cron_status", ["PAUSED", "ACTIVE"])
def test_resuming_an_archived_one_does_not_say_that_it_fires(flows, platform, instance_id, cron_status):
    path = f"integration_batch_instances/{instance_id}"
    platform.call("PUT", path, platform.call("GET", path) | {"archived": True, "cron_status": cron_status})
    resumed = flows.run(resume(instance_id))
    assert (resumed.cron_status, resumed.archived) == ("ACTIVE", True)
    assert "fires from its next tick" not in flows.lines
    assert any("is ACTIVE but archived: '0 0 1 1 *' does not fire until" in line for line in flows.warnings)
