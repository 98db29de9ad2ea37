"""The flows of executions and instances, by hand: fallbacks, ways to cancel, and reading, changing and writing back."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_mics.api import (
    MicsApiError,
    MicsAuthError,
    MicsError,
    MicsNotFoundError,
    MicsResponseError,
    cancel_execution,
    create_execution,
    delete_execution,
    get_execution,
    pause_instance,
    resume_instance,
    update_execution,
    update_instance,
)
from airflow_provider_mics.api.calls import Call
from tests.flow_driver import NOON, FlowDriver, ok, refusal

RUNNING = {"id": "9", "status": "RUNNING", "new": {"x": 1}}
PENDING = {"id": "9", "status": "PENDING"}
SUCCEEDED = {"id": "9", "status": "SUCCESS"}


class Platform:
    """Answers by method and the last part of the path; what has no answer is a 404."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def __call__(self, call: Call[Any]) -> Any:
        place = call.path.rsplit("/", 1)[-1]
        name = f"{call.method}_{place if place in ('executions', 'action') else 'one'}"
        given = self._answers.get(name, refusal(404))
        if isinstance(given, list):
            given = given.pop(0)
        return given(call) if callable(given) else given


def sent(driver: FlowDriver) -> list[str]:
    return [f"{call.method} {call.path.rsplit('/', 1)[-1]}" for call in driver.calls]


class TestGettingOne:
    def test_asks_once_where_the_platform_has_the_route(self):
        driver = FlowDriver(Platform(GET_one=ok(RUNNING)))
        assert driver.run(get_execution("1", "9")).status == "RUNNING"
        assert sent(driver) == ["GET 9"]

    @pytest.mark.parametrize("missing", [refusal(404), refusal(405), refusal(200), b"<html>our app</html>"])
    def test_looks_into_the_list_where_the_route_is_missing(self, missing):
        driver = FlowDriver(
            Platform(GET_one=missing, GET_executions=ok([{"id": 8, "status": "X"}, RUNNING], total=2))
        )
        assert driver.run(get_execution("1", "9")).id == "9"
        assert sent(driver) == ["GET 9", "GET executions"]

    def test_says_that_there_is_none_where_the_list_has_none_either(self):
        driver = FlowDriver(Platform(GET_one=refusal(404), GET_executions=ok([PENDING], total=1)))
        with pytest.raises(MicsNotFoundError) as raised:
            driver.run(get_execution("1", "10"))
        assert str(raised.value) == (
            "GET /v1/integration_batch_instances/1/executions/10: instance 1 has no execution 10 "
            "(HTTP 404, error_code CODE, error_id id-1)"
        )

    @pytest.mark.parametrize(
        ("given", "kind"),
        [(refusal(200), MicsApiError), (b"<html>", MicsResponseError), ({}, MicsResponseError)],
    )
    def test_takes_nonsense_for_no_proof_that_there_is_none(self, given, kind):
        driver = FlowDriver(Platform(GET_one=given, GET_executions=ok([], total=0)))
        with pytest.raises(kind) as raised:
            driver.run(get_execution("1", "10"))
        assert not isinstance(raised.value, MicsNotFoundError)

    def test_says_so_where_there_is_no_such_instance(self):
        with pytest.raises(MicsNotFoundError, match="no such instance"):
            FlowDriver(Platform(GET_executions=refusal(404, "no such instance"))).run(get_execution("1", "9"))

    @pytest.mark.parametrize(
        ("status", "kind"), [(401, MicsAuthError), (500, MicsApiError), (400, MicsApiError)]
    )
    def test_other_refusals_come_out_at_once(self, status, kind):
        driver = FlowDriver(Platform(GET_one=refusal(status)))
        with pytest.raises(kind):
            driver.run(get_execution("1", "9"))
        assert len(driver.calls) == 1


CANCELS: list[tuple[str, dict[str, Any], str, list[str]]] = [
    ("it is over", {"GET_one": ok(SUCCEEDED)}, "already over", []),
    ("the action", {"GET_one": ok(RUNNING), "POST_action": b"OK"}, "cancel action", ["POST action"]),
    (
        "no action: 404",
        {"GET_one": ok(RUNNING), "PUT_one": ok(RUNNING)},
        "status update",
        ["POST action", "PUT 9"],
    ),
    (
        "no action: 405",
        {"GET_one": ok(RUNNING), "POST_action": refusal(405), "PUT_one": ok(RUNNING)},
        "status update",
        ["POST action", "PUT 9"],
    ),
    (
        "no action, refused with HTTP 200",
        {"GET_one": ok(RUNNING), "POST_action": refusal(200), "PUT_one": ok(RUNNING)},
        "status update",
        ["POST action", "PUT 9"],
    ),
    (
        "no action, but a web page with HTTP 200",
        {"GET_one": ok(RUNNING), "POST_action": b"<html>our app</html>", "PUT_one": ok(RUNNING)},
        "status update",
        ["POST action", "PUT 9"],
    ),
    (
        "neither, and it is pending",
        {"GET_one": ok(PENDING), "DELETE_one": b""},
        "deletion",
        ["POST action", "PUT 9", "DELETE 9"],
    ),
    (
        "refused since it ended meanwhile",
        {"GET_one": [ok(RUNNING), ok(SUCCEEDED)], "POST_action": refusal(409)},
        "already over",
        ["POST action", "GET 9"],
    ),
]


class TestCanceling:
    @pytest.mark.parametrize(
        ("case", "answers", "method", "requests"), CANCELS, ids=[row[0] for row in CANCELS]
    )
    def test_takes_the_first_way_that_the_platform_offers(self, case, answers, method, requests):
        driver = FlowDriver(
            Platform(**{name: list(it) if isinstance(it, list) else it for name, it in answers.items()})
        )
        cancellation = driver.run(cancel_execution("1", "9"))
        assert cancellation.method == method
        assert cancellation.execution.id == "9"
        assert sent(driver) == ["GET 9", *requests]

    def test_puts_the_whole_execution_back_with_its_status_changed(self):
        driver = FlowDriver(Platform(GET_one=ok(RUNNING), PUT_one=ok(RUNNING)))
        driver.run(cancel_execution("1", "9"))
        assert driver.calls[-1].body == {**RUNNING, "status": "CANCELED"}

    def test_never_deletes_what_runs(self):
        driver = FlowDriver(Platform(GET_one=ok(RUNNING), DELETE_one=b""))
        with pytest.raises(
            MicsError, match="is still RUNNING: the platform rejected every cancel method: POST"
        ):
            driver.run(cancel_execution("1", "9"))
        assert "DELETE 9" not in sent(driver)

    @pytest.mark.parametrize("status", [400, 401, 403, 409, 500])
    def test_a_refusal_of_one_that_goes_on_comes_out(self, status):
        driver = FlowDriver(Platform(GET_one=ok(RUNNING), POST_action=refusal(status)))
        with pytest.raises(MicsApiError) as raised:
            driver.run(cancel_execution("1", "9"))
        assert raised.value.status_code == status


def test_an_execution_is_written_back_whole():
    driver = FlowDriver(Platform(GET_one=ok(RUNNING), PUT_one=lambda call: ok(call.body)))
    changed = driver.run(update_execution("1", "9", debug=True))
    assert driver.calls[-1].body == {**RUNNING, "debug": True}
    assert changed.to_json() == {**RUNNING, "debug": True}


AS_THE_PLATFORM_WRITES = {
    "id": 9,
    "status": "SUCCESS",
    "job_type": "BATCH_INTEGRATION",
    "start_date": "2026-01-01T00:00:00Z",
    "duration": 1500.5,
    "num_tasks": "many",
    "parameters": {"execution_type": "Manual", "expected_start_date": "soon"},
}


@pytest.mark.parametrize(
    "way",
    [
        {"GET_one": ok(AS_THE_PLATFORM_WRITES)},
        {
            "GET_one": refusal(404),
            "GET_executions": ok([PENDING | {"id": 8}, AS_THE_PLATFORM_WRITES], total=2),
        },
    ],
    ids=["by its id", "from the list"],
)
def test_an_execution_is_written_back_as_it_came_also_where_it_is_not_understood(way):
    driver = FlowDriver(Platform(**way, PUT_one=lambda call: ok(call.body)))
    driver.run(update_execution("1", "9", debug=True))
    assert driver.calls[-1].body == {**AS_THE_PLATFORM_WRITES, "debug": True}


def test_an_execution_is_canceled_as_it_came():
    running = AS_THE_PLATFORM_WRITES | {"status": "Running"}
    driver = FlowDriver(Platform(GET_one=ok(running), PUT_one=ok(running)))
    assert driver.run(cancel_execution("1", "9")).method == "status update"
    assert driver.calls[-1].body == {**running, "status": "CANCELED"}


def test_parameters_that_were_not_shown_are_not_emptied():
    driver = FlowDriver(
        Platform(GET_one=ok({**RUNNING, "parameters": None}), PUT_one=lambda call: ok(call.body))
    )
    driver.run(update_execution("1", "9", debug=True))
    assert driver.calls[-1].body == {**RUNNING, "debug": True}


@pytest.mark.parametrize("body", [b"", b"deleted", ok({}), {"status": "ok"}])
def test_a_delete_is_done_whatever_the_platform_says_to_it(body):
    assert FlowDriver(Platform(DELETE_one=body)).run(delete_execution("1", "9")) is None


def test_an_execution_is_asked_for_with_what_the_vendors_client_sends():
    call = create_execution("42", expected_start_date=NOON)
    assert call.body == {
        "organisation_id": None,
        "status": "PENDING",
        "parameters": {"execution_type": "MANUAL", "expected_start_date": 1772452800000},
    }


INSTANCE = {
    "id": 42,
    "organisation_id": "1185",
    "name": "nightly",
    "cron": "0 5 * * *",
    "cron_status": "ACTIVE",
    "execution_container_cpu_size": "XL",
    "ram_size": "LOW",
    "creation_ts": 9223372036854775807,
    "archived": None,
    "new_in_this_release": {"labels": ["a"]},
}


def put_body(job: Any, instance: dict[str, Any] = INSTANCE) -> Any:
    """What the platform is sent, None where nothing is."""
    driver = FlowDriver(Platform(GET_one=ok(instance), PUT_one=lambda call: ok(call.body)))
    driver.run(job)
    bodies = [call.body for call in driver.calls if call.method == "PUT"]
    return bodies[0] if bodies else None


class TestChangingAnInstance:
    WRITTEN = {name: value for name, value in INSTANCE.items() if not name.startswith("execution")}  # noqa: RUF012

    def test_writes_everything_else_back_as_it_came(self):
        assert put_body(update_instance("42", name="weekly")) == {
            **self.WRITTEN,
            "cpu_size": "EXTRA_LARGE",
            "name": "weekly",
        }

    @pytest.mark.parametrize(
        "change",
        [{"cpu_size": "MEDIUM"}, {"cpu_size": "medium"}, {"execution_container_cpu_size": "MEDIUM"}],
    )
    def test_takes_a_size_in_either_spelling(self, change):
        body = put_body(update_instance("42", **change))
        assert body["cpu_size"] == "MEDIUM"
        assert "execution_container_cpu_size" not in body

    def test_keeps_a_size_that_came_under_the_other_name_only(self):
        both = INSTANCE | {"cpu_size": None}
        assert put_body(update_instance("42", name="weekly"), both)["cpu_size"] == "EXTRA_LARGE"

    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            ({"crn": "0 5 * * *"}, "instance 42 has no field 'crn': did you mean 'cron'?"),
            ({"name": "x", "cpusize": "LOW"}, "instance 42 has no field 'cpusize': did you mean 'cpu_size'?"),
            ({"xyzzy": 1}, "instance 42 has no field 'xyzzy'"),
        ],
    )
    def test_refuses_a_field_that_no_instance_has(self, changes, line):
        driver = FlowDriver(Platform(GET_one=ok(INSTANCE), PUT_one=lambda call: ok(call.body)))
        with pytest.raises(MicsError) as raised:
            driver.run(update_instance("42", **changes))
        assert str(raised.value) == line
        assert sent(driver) == ["GET 42"]

    @pytest.mark.parametrize("field", ["new_in_this_release", "version_id", "execution_container_disk_size"])
    def test_takes_a_field_that_came_or_that_is_known(self, field):
        assert put_body(update_instance("42", **{field: "LARGE"})) is not None

    @pytest.mark.parametrize(
        "change", [{"name": "nightly"}, {"cpu_size": "XL"}, {"cron_status": "active"}, {}]
    )
    def test_writes_nothing_where_it_is_so_already(self, change):
        assert put_body(update_instance("42", **change)) is None

    def test_may_take_its_schedule_away(self):
        body = put_body(update_instance("42", cron=None, cron_status=None))
        assert (body["cron"], body["cron_status"]) == (None, None)

    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            ({"cron": None}, "cron_status 'ACTIVE' is given without cron"),
            ({"cron_status": None}, "cron '0 5 * * *' is given without cron_status"),
            ({"cron": "61 * * * *"}, "cron '61 * * * *' cannot be read"),
            ({"cron_status": "ASLEEP"}, "cron_status 'ASLEEP' is not one of"),
            ({"disk_size": "HUGE"}, "disk_size 'HUGE' is not one of"),
            ({"execution_container_disk_size": "HUGE"}, "disk_size 'HUGE' is not one of"),
        ],
    )
    def test_sends_nothing_that_the_platform_would_not_understand(self, changes, line):
        with pytest.raises(MicsError) as raised:
            put_body(update_instance("42", **changes))
        assert line in str(raised.value)

    def test_a_cron_that_was_there_and_cannot_be_read_does_not_stop_other_changes(self):
        assert put_body(update_instance("42", name="x"), {**INSTANCE, "cron": "@daily"})["name"] == "x"


class TestPausing:
    def test_writes_the_status_only(self):
        body = put_body(pause_instance("42"))
        assert body["cron_status"] == "PAUSED"
        assert body["cron"] == "0 5 * * *"

    def test_and_resuming_write_nothing_where_it_is_so_already(self):
        assert put_body(resume_instance("42")) is None

    def test_resumes(self):
        assert (
            put_body(resume_instance("42"), {**INSTANCE, "cron_status": "PAUSED"})["cron_status"] == "ACTIVE"
        )

    @pytest.mark.parametrize("cron", [None, ""])
    def test_an_instance_without_a_cron_says_that_there_is_nothing_to_pause(self, cron):
        with pytest.raises(MicsError, match=r"^instance 42 \(nightly\) has no cron: set one"):
            put_body(pause_instance("42"), {**INSTANCE, "cron": cron, "cron_status": None})
