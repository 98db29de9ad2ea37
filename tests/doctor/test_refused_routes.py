"""Each route refused in each way: what rests on it is not asked, or is a property of the platform; never a guess."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_mics.doctor.checks.platform_readings import CHECKS
from tests.doctor.runs import Doctor
from tests.sandbox_server import SandboxServer

REFUSED: dict[str, dict[str, Any]] = {
    **{kind: {"kind": kind} for kind in ("401", "403", "429", "500", "503")},
    "404": {
        "kind": "body",
        "parameters": {"status": 404, "body": json.dumps({"status": "error", "error": "no such route"})},
    },
    "html": {"kind": "html", "parameters": {"status": 404}},
}
PASSING = ("429", "500", "503")
MISSING = ("404", "html")
INSTANCES, ORGANISATION = "integration_batch_instances$", r"\.executions$"
OWN, BY_ID = r"\d/executions$", r"/executions/\d+$"
PROBE = "999999999999|airflow_provider_mics_doctor"


def refuse(platform: SandboxServer, how: str, *paths: str) -> None:
    platform.faults([REFUSED[how] | {"path": path} for path in paths])


@pytest.mark.parametrize("how", REFUSED)
def test_the_user(platform: SandboxServer, doctor: Doctor, how: str) -> None:
    refuse(platform, how, "connected_user$")
    run = doctor.run()
    if how == "401":
        assert {run.rows[check]["result"] for check in CHECKS} == {"not asked"}
        assert "refuses the token" in run.rows["token"]["means"]
        return
    assert run.of("time zone")[0] == "ok"
    assert run.of("organisation")[0] == "ok"
    assert (run.of("token")[0], run.status) == (("not asked", 2) if how in PASSING else ("note", 0))
    assert "valid, as it reaches the organisation" in run.rows["token"]["means"]


@pytest.mark.parametrize("how", REFUSED)
@pytest.mark.parametrize("with_user", [True, False])
def test_the_instances(platform: SandboxServer, doctor: Doctor, how: str, with_user: bool) -> None:
    refuse(platform, how, INSTANCES, *([] if with_user else ["connected_user$"]))
    run = doctor.run()
    assert run.status == 2
    assert {run.rows[check]["result"] for check in CHECKS} == {"not asked"}
    if how == "403" and not with_user:
        assert "has no right in this organisation" in run.rows["token"]["means"]
    if how in PASSING:
        assert "refuses the token" not in run.out


@pytest.mark.parametrize("how", REFUSED)
def test_the_list_of_the_organisation(platform: SandboxServer, doctor: Doctor, how: str) -> None:
    refuse(platform, how, ORGANISATION)
    run = doctor.run()
    assert run.of("time zone")[0] == "ok"
    expected = ("note", 0) if how in MISSING else ("not asked", 2)
    assert (run.of("organisation's executions")[0], run.status) == expected


@pytest.mark.parametrize("how", REFUSED)
@pytest.mark.parametrize("organisation", ["available", "404"])
def test_the_lists_of_instances(platform: SandboxServer, doctor: Doctor, how: str, organisation: str) -> None:
    platform.quirks(organisation_executions=organisation)
    refuse(platform, how, OWN)
    run = doctor.run()
    assert run.status == 2
    assert run.of("what lists show")[0] == "not asked"
    rest = [run.of(check)[0] for check in ("time zone", "platform_grace", "list order", "get by id")]
    assert rest == ["ok" if organisation == "available" else "not asked"] * 4
    assert sum(platform.counters().values()) < 60


def test_some_lists_of_instances(platform: SandboxServer, doctor: Doctor) -> None:
    platform.quirks(organisation_executions="404")
    platform.faults([REFUSED["500"] | {"path": OWN, "times": 2}])
    run = doctor.run()
    assert run.of("time zone")[0] == "ok"
    assert (
        "not those of 2 instances: GET /v1/integration_batch_instances/" in run.rows["time zone"]["looked_at"]
    )


@pytest.mark.parametrize("how", REFUSED)
def test_an_execution_by_its_id(platform: SandboxServer, doctor: Doctor, how: str) -> None:
    refuse(platform, how, BY_ID)
    run = doctor.run()
    assert (run.of("get by id")[0], run.status) == (("note", 0) if how in MISSING else ("not asked", 2))
    others = run.results("get by id", "snapshot")
    assert others == ({"rate limits": "to do"} if how == "429" else {})


def test_one_execution_that_is_gone_is_no_missing_route(platform: SandboxServer, doctor: Doctor) -> None:
    platform.faults([REFUSED["404"] | {"path": BY_ID, "times": 1}])
    assert doctor.run().of("get by id")[0] == "ok"


@pytest.mark.parametrize("how", REFUSED)
def test_what_does_not_exist(platform: SandboxServer, doctor: Doctor, how: str) -> None:
    refuse(platform, how, PROBE)
    run = doctor.run()
    expected = "not asked" if how in PASSING else "ok" if how == "404" else "note"
    assert run.of("404")[0] == expected
    assert run.status == (2 if how in PASSING else 0)


def test_the_newest_execution_is_of_a_deleted_instance(platform: SandboxServer, doctor: Doctor) -> None:
    gone = platform.create_instance("gone")
    platform.create_execution(gone)
    listed = platform.call("GET", "integration_batch_instances", organisation_id="1185", max_results=500)
    rest = [each for each in listed if each["id"] != gone]
    body = json.dumps(
        {"status": "ok", "data": rest, "total": len(rest), "first_result": 0, "max_results": 500}
    )
    platform.faults(
        [
            {"kind": "body", "path": INSTANCES, "parameters": {"status": 200, "body": body}},
            REFUSED["404"] | {"path": f"{gone}/executions"},
        ]
    )
    assert doctor.run().of("get by id")[0] == "ok"
