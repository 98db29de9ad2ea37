"""Canceling says which way worked and what it could not do; deleting is done once and never hides a running batch."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from airflow_provider_mics.api.errors import MicsError, MicsNotFoundError, MicsTimeoutError
from airflow_provider_mics.api.progress import APPEARS_WITHIN
from airflow_provider_mics.core.provisioning.executions import (
    STOP_TIMEOUT,
    cancel_on_timeout,
    ensure_execution_canceled,
    ensure_execution_deleted,
    wait_until_stopped,
)
from tests.core.provisioning.driven_flows import Flows, create_hanging_instance, with_a_list_behind
from tests.simulated_platform import START, SimulatedPlatform, lost_answer, lost_request

HOUR_MS = 3_600_000


@pytest.fixture
def instance_id(platform, plugin):
    return create_hanging_instance(platform, plugin)


@pytest.fixture
def pending(platform, instance_id):
    return platform.create_execution(instance_id, platform.now_ms() + HOUR_MS)["id"]


@pytest.fixture
def running(platform, instance_id):
    return platform.create_execution(instance_id)["id"]


def cancel_now(flows, instance_id, execution_id):
    return flows.run(ensure_execution_canceled(instance_id, execution_id, flows.now + timedelta(minutes=5)))


def status(platform, execution_id):
    return next(each["status"] for each in platform.executions() if each["id"] == execution_id)


@pytest.mark.parametrize(
    ("quirks", "method"),
    [
        ({}, "cancel action"),
        ({"cancel_answer": "text"}, "cancel action"),
        ({"cancel_answer": "empty"}, "cancel action"),
        ({"cancel_action": "404"}, "status update"),
        ({"cancel_action": "405", "put_semantics": "merge"}, "status update"),
        ({"cancel_action": "404", "execution_put": "405"}, "deletion"),
        ({"execution_get": "404"}, "cancel action"),
    ],
    ids=str,
)
def test_a_pending_one_is_canceled_by_whatever_the_platform_offers(
    flows, platform, instance_id, pending, quirks, method
):
    platform.quirks(**quirks)
    canceled = cancel_now(flows, instance_id, pending)
    assert canceled.method == method
    assert status(platform, pending) == "CANCELED"
    assert ("with DELETE" if method == "deletion" else f"({method}): its status is CANCELED") in flows.lines


def test_a_running_one_is_never_deleted(flows, platform, instance_id, running):
    platform.quirks(cancel_action="404", execution_put="404")
    with pytest.raises(
        MicsError, match=f"{running} .* is still RUNNING: the platform rejected every cancel method"
    ):
        cancel_now(flows, instance_id, running)
    assert status(platform, running) == "RUNNING"


def test_one_that_is_over_is_left_as_it_is(flows, platform, instance_id, running):
    platform.end_execution(running, "FAILED")
    assert cancel_now(flows, instance_id, running).method == "already over"
    assert f"Nothing to cancel: execution {running}" in flows.lines
    assert status(platform, running) == "FAILED"


def test_one_that_does_not_exist_is_a_clear_error(flows, instance_id):
    with pytest.raises(MicsNotFoundError, match="999999"):
        cancel_now(flows, instance_id, "999999")


def test_one_that_does_not_show_yet_is_retried_and_canceled(platform, instance_id):
    """It was created seconds ago, on a platform that knows executions by their list only."""
    platform.quirks(execution_get="404", organisation_executions="404")
    pending = platform.create_execution(instance_id, platform.now_ms() + HOUR_MS)["id"]
    flows = with_a_list_behind(platform, "/executions$", seconds=20)
    assert cancel_now(flows, instance_id, pending).method == "cancel action"
    assert status(platform, pending) == "CANCELED"


def test_one_that_does_not_exist_is_retried_no_longer_than_asked_for(flows, instance_id):
    started = flows.now
    with pytest.raises(MicsNotFoundError):
        flows.run(ensure_execution_canceled(instance_id, "999999", flows.now))
    assert flows.now == started
    with pytest.raises(MicsNotFoundError):
        cancel_now(flows, instance_id, "999999")
    assert flows.now - started == APPEARS_WITHIN
    [warning] = [line for line in flows.warnings if "Retrying for" in line]
    assert "(HTTP 404" in warning
    assert "unreachable" not in flows.lines


def test_the_404_of_a_gateway_is_an_outage(flows, platform, instance_id, running):
    platform.faults([{"kind": "gateway", "times": 3, "parameters": {"status": 404}}])
    assert cancel_now(flows, instance_id, running).execution.canceled
    assert "Platform unreachable" in flows.lines
    assert "Retrying for" not in flows.lines


def test_one_that_is_gone_once_it_is_canceled_counts_as_canceled(platform, instance_id, running):
    path = f"integration_batch_instances/{instance_id}/executions/{running}"
    sent = []

    def before(call):
        if sent and sent[-1].path == f"{path}/action":
            platform.send("DELETE", path)
        sent.append(call)

    flows = Flows(platform, before=before)
    canceled = cancel_now(flows, instance_id, running)
    assert (canceled.method, canceled.execution.status) == ("cancel action", "CANCELED")
    assert (
        f"Canceled execution {running} of instance {instance_id} (cancel action): the platform no"
        in flows.lines
    )
    started = flows.now
    deadline = started + timedelta(minutes=5)
    assert flows.run(wait_until_stopped(instance_id, canceled, poll_interval=5, deadline=deadline)).canceled
    assert flows.now == started, "there is nothing to wait for"


def test_one_that_is_gone_while_its_cancellation_is_waited_for_counts_as_canceled(
    platform, instance_id, running
):
    platform.quirks(cancel_takes_s=60)
    path = f"integration_batch_instances/{instance_id}/executions/{running}"
    flows = Flows(platform, asleep=lambda _: platform.send("DELETE", path))
    canceled = cancel_now(flows, instance_id, running)
    deadline = flows.now + timedelta(minutes=5)
    assert flows.run(wait_until_stopped(instance_id, canceled, poll_interval=5, deadline=deadline)).canceled
    assert (
        f"no longer has execution {running} of instance {instance_id}: it counts as canceled" in flows.lines
    )


def test_a_cancellation_is_waited_for_until_the_batch_has_really_stopped(platform, instance_id, running):
    platform.quirks(cancel_takes_s=60)
    flows = Flows(platform, asleep=platform.jump_clock)
    canceled = cancel_now(flows, instance_id, running)
    assert canceled.execution.status == "RUNNING"
    assert "has not stopped" in flows.lines
    ended = flows.run(
        wait_until_stopped(instance_id, canceled, poll_interval=5, deadline=flows.now + timedelta(minutes=5))
    )
    assert ended.status == "CANCELED"


def test_the_wait_is_bounded(flows, platform, instance_id, running):
    platform.quirks(cancel_takes_s=10_000)
    canceled = cancel_now(flows, instance_id, running)
    deadline = flows.now + timedelta(minutes=3)
    with pytest.raises(MicsTimeoutError, match=r"still RUNNING at .*accepted the cancel action"):
        flows.run(wait_until_stopped(instance_id, canceled, poll_interval=50, deadline=deadline))
    assert flows.now == deadline


def test_one_that_ends_before_it_is_canceled_is_over_too_with_a_warning(platform, instance_id, running):
    platform.quirks(cancel_takes_s=10_000)
    flows = Flows(platform, asleep=lambda _: platform.end_execution(running, "SUCCEEDED"))
    canceled = cancel_now(flows, instance_id, running)
    deadline = flows.now + timedelta(minutes=3)
    ended = flows.run(wait_until_stopped(instance_id, canceled, poll_interval=5, deadline=deadline))
    assert ended.succeeded
    assert any("ended before it was canceled" in line for line in flows.warnings)


def test_an_outage_is_tolerated_while_canceling_and_waiting(platform, instance_id, running):
    platform.quirks(cancel_takes_s=20)
    platform.faults([{"kind": "503", "times": 8}])
    flows = Flows(platform, asleep=platform.jump_clock)
    canceled = cancel_now(flows, instance_id, running)
    platform.faults([{"kind": "drop_before", "times": 7}])
    ended = flows.run(
        wait_until_stopped(instance_id, canceled, poll_interval=5, deadline=flows.now + timedelta(minutes=5))
    )
    assert ended.canceled
    assert "Platform unreachable" in flows.lines


class TestDeleting:
    def test_it_is_deleted_and_given_back_as_it_was(self, flows, platform, instance_id, pending):
        deleted = flows.run(ensure_execution_deleted(instance_id, pending))
        assert deleted is not None
        assert deleted.status == "PENDING"
        assert (
            platform.send(
                "GET", f"integration_batch_instances/{instance_id}/executions/{pending}"
            ).status_code
            == 404
        )

    def test_one_that_is_gone_is_fine_unless_asked_for(self, flows, instance_id, pending):
        flows.run(ensure_execution_deleted(instance_id, pending))
        assert flows.run(ensure_execution_deleted(instance_id, pending)) is None
        with pytest.raises(MicsError, match="does not exist"):
            flows.run(ensure_execution_deleted(instance_id, pending, missing_ok=False))

    @pytest.mark.parametrize("missing_ok", [True, False])
    def test_one_that_does_not_show_yet_is_deleted_all_the_same(
        self, platform, instance_id, pending, missing_ok
    ):
        """This platform knows executions by their list only, and its list is behind."""
        platform.quirks(execution_get="405")
        flows = with_a_list_behind(platform, "/executions$", seconds=3600)
        assert flows.run(ensure_execution_deleted(instance_id, pending, missing_ok=missing_ok)) is None
        assert f"Deleted execution {pending} of instance {instance_id}, which the platform did not show" in (
            flows.lines
        )
        assert status(platform, pending) == "CANCELED", "deleted before it began"

    def test_a_running_one_is_not_deleted(self, flows, platform, instance_id, running):
        with pytest.raises(MicsError, match=r"is RUNNING.*cancel it first"):
            flows.run(ensure_execution_deleted(instance_id, running))
        assert status(platform, running) == "RUNNING"

    @pytest.mark.parametrize("route", ["404", "405"])
    def test_a_platform_that_does_not_delete_is_an_error(self, flows, platform, instance_id, pending, route):
        platform.quirks(execution_delete=route)
        with pytest.raises(MicsError, match="still exists: the platform rejected the DELETE request"):
            flows.run(ensure_execution_deleted(instance_id, pending))

    def test_a_lost_answer_is_no_failure(self, flows, platform, instance_id, pending):
        platform.faults([{"kind": "drop_after", "method": "DELETE", "times": 1}])
        assert flows.run(ensure_execution_deleted(instance_id, pending, missing_ok=False)) is not None


def at_the_deadline(*faults, status="RUNNING", should_cancel=True):
    platform = SimulatedPlatform(faults=iter(faults))
    platform.fire(START, status)
    return platform.run(cancel_on_timeout("42", "1", should_cancel=should_cancel)), platform


class TestAtTheDeadline:
    def test_what_goes_on_is_canceled_and_is_over_before_anybody_tries_again(self):
        end, platform = at_the_deadline()
        assert not end.ended_by_itself
        assert end.note == "; canceled it (cancel action)"
        assert end.execution.canceled
        assert platform.now - START <= STOP_TIMEOUT

    @pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
    @pytest.mark.parametrize("should_cancel", [True, False])
    def test_what_ended_just_before_has_ended_by_itself(self, status, should_cancel):
        end, platform = at_the_deadline(status=status, should_cancel=should_cancel)
        assert end.ended_by_itself
        assert platform.executions[0]["status"] == status

    def test_what_is_to_outlive_its_task_is_left_alone(self):
        end, platform = at_the_deadline(should_cancel=False)
        assert (end.ended_by_itself, end.note) == (False, "; it was not canceled")
        assert platform.executions[0]["status"] == "RUNNING"

    def test_a_cancellation_whose_answer_was_lost_is_not_taken_for_a_persons(self):
        end, platform = at_the_deadline(None, lost_answer)
        assert (end.ended_by_itself, end.note) == (False, "; it is canceled")
        assert platform.executions[0]["status"] == "CANCELED"

    def test_an_outage_after_the_cancellation_does_not_undo_it(self):
        end, platform = at_the_deadline(None, None, *itertools.repeat(lost_request, 200))
        assert not end.ended_by_itself
        assert "canceled it (cancel action)" in end.note
        assert platform.executions[0]["status"] == "CANCELED"

    def test_a_batch_that_ends_before_its_cancellation_takes_effect_has_ended_by_itself(self):
        def takes_it_too_late(platform, call):
            answer = platform.respond(call)
            platform.executions[0]["status"] = "SUCCEEDED"
            return answer

        end, _ = at_the_deadline(None, takes_it_too_late)
        assert end.ended_by_itself
        assert end.execution.succeeded

    def test_a_platform_that_cannot_be_asked_is_an_error_after_a_while(self):
        with pytest.raises(MicsError):
            at_the_deadline(*itertools.repeat(lost_request, 500))
