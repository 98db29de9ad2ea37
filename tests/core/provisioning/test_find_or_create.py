"""A resource is created once, whatever response is lost and however many tasks create it at the same time."""

from __future__ import annotations

import random
import threading
from datetime import timedelta

import pytest

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.core.provisioning.instances import ensure_instance
from tests.core.provisioning.driven_flows import (
    Flows,
    lose_the_worker_after_its_request,
    with_a_list_behind,
)

CREATION = r"/integration_batch_instances$"
CRON = {"cron": "30 5 * * 1,6", "cron_status": "ACTIVE"}


def test_a_retry_waits_for_what_the_try_before_it_may_have_created(platform, plugin, ensure, listed):
    names = (plugin.group_id, plugin.artifact_id, "nightly")
    lose_the_worker_after_its_request(platform, ensure_instance(*names))
    flows = with_a_list_behind(platform, CREATION, seconds=6)
    again = ensure(flows=flows, fields=CRON, is_retry=True)
    assert [each["id"] for each in listed()] == [again.resource.id]
    assert listed()[0]["cron"] == CRON["cron"], "the try before it had not come as far as that"


def test_a_retry_creates_what_the_try_before_it_did_not(ensure, flows, listed):
    started = flows.now
    made = ensure(is_retry=True)
    assert [each["id"] for each in listed()] == [made.resource.id]
    assert flows.now - started < timedelta(seconds=15)


def test_one_that_its_list_never_shows_is_the_one_that_was_created(ensure, listed, platform):
    seen = []
    flows = with_a_list_behind(platform, CREATION, seconds=3600)
    made = ensure(flows=flows, fields=CRON, properties={"max_rows": 7}, on_exists=seen.append)
    platform.faults()
    assert made.outcome == "created"
    assert [each["id"] for each in listed()] == [made.resource.id] == [each.id for each in seen]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop_after"},
        {"kind": "drop_before"},
        {"kind": "html", "parameters": {"status": 502, "work_done": True}},
        {"kind": "error_200", "parameters": {"work_done": True}},
        {"kind": "cut_json", "parameters": {"variant": "complete"}},
        {"kind": "503"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_an_instance_is_there_once_and_complete_whatever_answer_is_lost(
    ensure, listed, platform, flows, fault
):
    platform.faults([{**fault, "method": "POST", "path": CREATION, "times": 1}])
    made = ensure(fields=CRON, properties={"max_rows": 77}, if_exists="skip")
    assert made.outcome == "created", (
        "it was not there before, so it is this task's, and it gets its properties"
    )
    assert [each["id"] for each in listed()] == [made.resource.id]
    properties = platform.call("GET", f"integration_batch_instances/{made.resource.id}/properties")
    assert {each["technical_name"]: each["value"] for each in properties}["max_rows"] == {"value": 77}
    assert "Could not confirm whether" in flows.lines


def test_a_request_that_is_carried_out_late_is_waited_for_and_not_sent_again(
    ensure, listed, platform, plugin
):
    platform.faults([{"kind": "drop_before", "method": "POST", "path": CREATION, "times": 1}])
    body = {"group_id": plugin.group_id, "artifact_id": plugin.artifact_id, "name": "nightly"}
    body["organisation_id"] = platform.organisation_id
    pauses = []

    def asleep(seconds):
        pauses.append(seconds)
        if sum(pauses) >= 6 and not listed():
            platform.call("POST", "integration_batch_instances", body)

    made = ensure(flows=Flows(platform, asleep=asleep), fields=CRON)
    assert [each["id"] for each in listed()] == [made.resource.id]
    assert platform.counters()["POST /v1/integration_batch_instances"] == 2, "the lost one, and itself, late"
    assert listed()[0]["cron"] == CRON["cron"], "it is as wanted in the end"


def test_a_request_delivered_twice_leaves_one_instance(ensure, listed, platform, flows):
    platform.faults([{"kind": "duplicate", "method": "POST", "path": CREATION, "times": 1}])
    made = ensure(fields=CRON)
    assert [each["id"] for each in listed()] == [made.resource.id]
    assert "Deleted the duplicate" in flows.lines


def test_two_tasks_that_create_the_same_end_with_one_instance(ensure, listed, platform):
    """Both have looked before either creates, and this platform keeps two of one name."""
    both_looked, both_made = threading.Barrier(2, timeout=20), threading.Barrier(2, timeout=20)
    seen = threading.local()

    def before(call):
        if call.method == "POST":
            both_looked.wait()
            seen.made = True
        elif getattr(seen, "made", False):
            seen.made = False
            both_made.wait()

    results = []
    threads = [
        threading.Thread(
            target=lambda: results.append(ensure(flows=Flows(platform, before=before), fields=CRON))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(each.outcome for each in results) == ["created", "found"]
    assert [each["id"] for each in listed()] == [results[0].resource.id] == [results[1].resource.id]
    assert platform.counters()["POST /v1/integration_batch_instances"] == 2


def test_of_two_that_somebody_left_the_oldest_is_taken_with_a_warning(ensure, platform, plugin, flows):
    body = {"group_id": plugin.group_id, "artifact_id": plugin.artifact_id, "name": "nightly"}
    body["organisation_id"] = platform.organisation_id
    ids = [platform.call("POST", "integration_batch_instances", body)["id"] for _ in range(2)]
    assert ensure().resource.id == ids[0]
    assert any(
        "Found duplicates of instance 'nightly'" in line and f"({ids[1]}, {ids[0]})" in line
        for line in flows.warnings
    )


@pytest.mark.parametrize("seed", range(12))
def test_any_mix_of_faults_ends_in_one_instance(platform, ensure, listed, seed):
    chance, rows = random.Random(seed), 0
    kinds = [
        {"kind": "drop_after"},
        {"kind": "drop_before"},
        {"kind": "502"},
        {"kind": "500", "parameters": {"work_done": True}},
    ]
    platform.faults([{**each, "probability": 0.12} for each in kinds], seed=seed)
    for _ in range(50):
        try:
            rows = chance.randint(1, 9)
            ensure(flows=Flows(platform), fields=CRON, properties={"max_rows": rows})
            break
        except MicsError:
            continue
    platform.faults()
    (there,) = listed()
    assert there["cron"] == "30 5 * * 1,6"
    properties = platform.call("GET", f"integration_batch_instances/{there['id']}/properties")
    assert {each["technical_name"]: each["value"] for each in properties}["max_rows"] == {"value": rows}
