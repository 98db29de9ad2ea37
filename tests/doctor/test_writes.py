"""With --allow-writes one execution is created, found and canceled; without, nothing is changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_mics.api import Call, Response
from airflow_provider_mics.doctor.__main__ import main
from airflow_provider_mics.doctor.checks.writes import write_checks
from tests.doctor.runs import Doctor
from tests.flow_driver import refusal
from tests.sandbox_server import SandboxServer
from tests.simulated_platform import SimulatedPlatform, always, response

INSTANCE = "4107"
WRITES = ("--allow-writes", "--instance", INSTANCE)


def created(platform: SandboxServer) -> list[dict[str, Any]]:
    return platform.executions(created_by="api")


def test_without_it_nothing_but_get_is_sent(platform: SandboxServer, doctor: Doctor) -> None:
    doctor.run()
    methods = {route.split()[0] for route in platform.counters()}
    assert methods == {"GET"}


def test_one_execution_is_created_found_and_canceled(platform: SandboxServer, doctor: Doctor) -> None:
    before = len(created(platform))
    run = doctor.run(*WRITES)
    assert run.status == 0
    assert run.results("snapshot") == {}
    [execution] = created(platform)[before:]
    assert execution["status"] == "CANCELED"
    assert execution["execution_type"] == "MANUAL"
    # It cannot start before it is canceled, and it shows whether milliseconds are kept.
    due = execution["expected_start_date"]
    assert due > platform.now_ms() + 23 * 3_600_000
    assert due % 1000


@pytest.mark.parametrize(
    ("quirks", "check", "result"),
    [
        ({"dates_as": "seconds"}, "echo", "to do"),
        ({"dates_as": "iso"}, "echo", "ok"),
        ({"dates_as": "iso_without_offset"}, "echo", "to do"),
        ({"sparse_executions": "optional"}, "echo", "ok"),
        ({"sparse_executions": "all"}, "echo", "to do"),
        ({"null_executions": "all"}, "echo", "to do"),
        ({"list_order": "oldest"}, "find", "ok"),
        ({"list_order": "random"}, "find", "ok"),
        ({"execution_get": "404"}, "find", "ok"),
        ({"cancel_action": "404"}, "cancel", "ok"),
        ({"cancel_action": "405", "execution_put": "405"}, "cancel", "ok"),
        ({"cancel_takes_s": 0.1}, "cancel", "ok"),
        ({"cancel_answer": "empty"}, "cancel", "ok"),
    ],
    ids=str,
)
def test_what_the_platform_keeps_of_it(
    platform: SandboxServer, doctor: Doctor, quirks: dict[str, Any], check: str, result: str
) -> None:
    platform.quirks(**quirks)
    run = doctor.run(*WRITES)
    assert run.rows[check]["result"] == result
    assert run.rows[check]["means"]
    assert {each["status"] for each in created(platform)} <= {"CANCELED"}


def test_an_execution_that_cannot_be_canceled_is_named(platform: SandboxServer, doctor: Doctor) -> None:
    platform.quirks(cancel_action="404", execution_put="404", execution_delete="404")
    run = doctor.run(*WRITES)
    assert (run.status, run.of("cancel")[0]) == (1, "to do")
    left = created(platform)[-1]
    assert f"Execution {left['id']} of instance {INSTANCE} may start at" in run.rows["cancel"]["set"]
    platform.quirks(reset=True)
    platform.call(
        "POST", f"integration_batch_instances/{INSTANCE}/executions/{left['id']}/action", {"action": "CANCEL"}
    )


@pytest.mark.parametrize("fault", ["drop_after", "timeout_after", "500", "502", "html", "cut_json"])
def test_an_execution_whose_creation_was_not_answered_is_canceled_too(
    platform: SandboxServer, doctor: Doctor, fault: str
) -> None:
    before = len(created(platform))
    doctor.set(READ_TIMEOUT="0.5")
    parameters = {"work_done": True} if fault in ("500", "502", "html") else {}
    parameters |= {"seconds": 1} if fault == "timeout_after" else {}
    platform.faults([{"kind": fault, "method": "POST", "path": "executions$", "parameters": parameters}])
    run = doctor.run(*WRITES)
    assert run.status == 2
    assert run.of("echo")[0] == "not asked"
    assert [each["status"] for each in created(platform)[before:]] == ["CANCELED"]


def test_a_creation_that_is_refused_leaves_nothing(platform: SandboxServer, doctor: Doctor) -> None:
    before = len(created(platform))
    run = doctor.run("--allow-writes", "--instance", "99")
    assert run.status == 2
    assert run.of("echo") == ("not asked", run.of("cancel")[1])
    assert "99" in run.of("echo")[1]
    assert len(created(platform)) == before


def test_an_instance_of_another_organisation_is_left_alone(platform: SandboxServer, doctor: Doctor) -> None:
    other = platform.create_instance("theirs", organisation_id="1186")
    run = doctor.run("--allow-writes", "--instance", other)
    assert run.status == 2
    assert "is of organisation 1186, not 1185" in run.of("echo")[1]
    assert platform.executions(instance_id=other) == []


@pytest.mark.parametrize("arguments", [["--allow-writes"], ["--instance", "4107"]])
def test_both_options_belong_together(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "--allow-writes and --instance ID go together" in capsys.readouterr().err


def test_a_list_that_lags_behind_is_waited_for() -> None:
    platform = SimulatedPlatform(stale_for=timedelta(seconds=7))
    echo, find, cancel = platform.run(write_checks("42", None))
    assert (echo.result, find.result, cancel.result) == ("ok", "ok", "ok")
    assert find.found == "listed within 8 s"


def test_a_list_that_lags_behind_for_too_long_is_named() -> None:
    platform = SimulatedPlatform(stale_for=timedelta(hours=1))
    echo, find, cancel = platform.run(write_checks("42", None))
    assert (echo.result, find.result, cancel.result) == ("ok", "to do", "ok")


def test_another_type_than_was_sent_is_named() -> None:
    platform = SimulatedPlatform(
        by_id=lambda shown: shown | {"parameters": shown["parameters"] | {"execution_type": "CRON"}}
    )
    echo, *_ = platform.run(write_checks("42", None))
    assert echo.result == "to do"
    assert echo.found == "type CRON for MANUAL"


def test_a_refusal_is_no_creation() -> None:
    def refuse(platform: SimulatedPlatform, call: Call[Any]) -> Response | None:
        return refusal(403, "not yours") if call.method == "POST" else None

    platform = SimulatedPlatform(faults=always(refuse))
    echo, find, cancel = platform.run(write_checks("42", None))
    assert "not yours" in echo.found
    assert (echo.result, find.result, cancel.result) == ("not asked", "note", "not asked")
    assert platform.executions == []


def test_an_execution_that_stays_pending_after_its_cancellation_is_named() -> None:
    platform = SimulatedPlatform()

    def keep(platform: SimulatedPlatform, call: Call[Any]) -> Response | None:
        return response({"status": "ok", "data": {}}) if call.path.endswith("/action") else None

    platform.faults = iter(lambda: keep, None)
    *_, cancel = platform.run(write_checks("42", None))
    assert cancel.result == "to do"
    assert "not canceled within 30 s" in cancel.found
    assert "may start at" in cancel.set
