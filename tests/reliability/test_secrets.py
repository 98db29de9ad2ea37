"""The token is nowhere but where it was put: in no file that a run writes, no output, no error, no other host."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mics import api
from airflow_provider_mics.api.calls import Job
from local_airflow.home import copy_of
from tests.provider.dag_runs import DagFolder, DagRun
from tests.raw_server import RawServer, Reply, answer_of
from tests.reliability.conftest import HAS_AIRFLOW, Tell
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.long

TOKEN = "mics-secret-0123456789abcdef"
needs_airflow = pytest.mark.skipif(not HAS_AIRFLOW, reason="runs DAGs")

DAGS = """
from datetime import UTC, datetime, timedelta

from tests.airflow_names import DAG, BaseOperator

from airflow_provider_mics.dag_factory import integration_batch_dags
from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.operators.executions import MicsCreateExecutionOperator

globals().update(integration_batch_dags())


class TestConnection(BaseOperator):
    def execute(self, context):
        ok, message = MicsHook().test_connection()
        self.log.info("the connection: %s %s; %r %r", ok, message, MicsHook(), MicsHook().get_conn())
        self.log.info("its settings: %r %s", MicsHook().settings, MicsHook().settings)
        return message


with DAG("full_run", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)) as dag:
    common = {"poll_interval": 0.5, "trigger_rule": "all_done"}
    TestConnection(task_id="connection") >> MicsCreateExecutionOperator(
        task_id="succeeds", instance_id="GOOD", deferrable=True, **common
    ) >> MicsCreateExecutionOperator(
        task_id="fails", instance_id="BAD", deferrable=False, **common
    ) >> MicsCreateExecutionOperator(
        task_id="echoes", instance_id="ECHO", deferrable=False, **common
    ) >> TestConnection(task_id="connection_again", trigger_rule="all_done")
"""


def echo_of(token: str) -> dict[str, Any]:
    """What a platform says that repeats the token in its refusal."""
    text = f"the token {token} is not allowed to do that"
    return {"status": 422, "body": json.dumps({"status": "error", "error": text, "error_id": token})}


def rules(good: str, echo: str) -> list[dict[str, Any]]:
    post = {"method": "POST", "path": f"/{good}/executions$"}
    return [
        {"kind": "body", "method": "POST", "path": f"/{echo}/executions$", "parameters": echo_of(TOKEN)},
        {"kind": "drop_after", "times": 1, **post},
        *(
            {"kind": kind, "method": "GET", "probability": 0.05}
            for kind in ("html", "503", "cut_json", "500")
        ),
    ]


@pytest.fixture(scope="module")
def platform() -> Iterator[SandboxServer]:
    with SandboxServer(tokens={TOKEN: ["1185"]}) as server:
        yield server


@pytest.fixture(scope="module")
def full_run(
    platform: SandboxServer, migrated_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, DagRun]:
    """A home after a run that met faults, a failing batch and a platform that repeats the token; and that run."""
    home = copy_of(migrated_home, tmp_path_factory.mktemp("secrets") / "home")
    ids = {
        "GOOD": platform.create_instance("good", properties={"duration_s": 1}),
        "BAD": platform.create_instance("bad", properties={"duration_s": 0, "outcome": "fail"}),
        "ECHO": platform.create_instance("echo", cron="0 5 * * *"),
    }
    source = DAGS
    for name, instance_id in ids.items():
        source = source.replace(f'"{name}"', f'"{instance_id}"')
    connection = {
        "conn_type": "mediarithmics",
        "host": platform.url,
        "password": TOKEN,
        "extra": {"organisation_id": "1185"},
    }
    platform.faults(rules(ids["GOOD"], ids["ECHO"]))
    environ = {
        "AIRFLOW_CONN_MICS_DEFAULT": json.dumps(connection),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        # Airflow masks what it knows to be secret; here nothing may depend on that.
        "AIRFLOW__CORE__HIDE_SENSITIVE_VAR_CONN_FIELDS": "False",
    }
    run = DagFolder(home).run(source, dag_id="full_run", environ=environ)
    platform.clear_faults()
    return home, run


@needs_airflow
def test_the_full_run_was_one(full_run: tuple[Path, DagRun], platform: SandboxServer) -> None:
    _, run = full_run
    states = {task.task_id: task.state for task in run.tasks}
    wanted = {"connection": "success", "succeeds": "success", "fails": "failed", "echoes": "failed"}
    assert states == wanted | {"connection_again": "success"}, run.log[-6000:]
    assert "Could not confirm whether" in run.log
    assert "is not allowed to do that" in run.log


@needs_airflow
def test_no_file_that_a_run_wrote_holds_the_token(full_run: tuple[Path, DagRun], tell: Tell) -> None:
    home, run = full_run
    files = [each for each in home.rglob("*") if each.is_file()]
    assert [each for each in files if TOKEN.encode() in each.read_bytes()] == []
    assert TOKEN not in run.log
    size = sum(each.stat().st_size for each in files)
    tell(f"{len(files)} files of {size:,} bytes, and {len(run.log):,} characters of output, hold no token")


@needs_airflow
def test_a_snapshot_of_the_inventory_is_for_its_owner_alone(full_run: tuple[Path, DagRun]) -> None:
    home, _ = full_run
    snapshots = list((home / "mics").glob("inventory-*.jsonl"))
    assert snapshots
    assert {stat.S_IMODE(each.stat().st_mode) for each in snapshots} == {0o600}


def run_blocking(url: str, job: Job[Any], **more: Any) -> Any:
    with api.MicsClient(url, TOKEN, "1185", max_retries=0, **more) as client:
        return client.run(job)


def run_async(url: str, job: Job[Any], **more: Any) -> Any:
    async def run() -> Any:
        async with api.AsyncMicsClient(url, TOKEN, "1185", max_retries=0, **more) as client:
            return await client.run(job)

    return asyncio.run(run())


both = pytest.mark.parametrize("run", [run_blocking, run_async])


@both
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_to_another_host_never_carries_the_token(run: Any, status: int, method: str) -> None:
    jobs = {
        "GET": api.get_instance("42"),
        "POST": api.create_execution("42", expected_start_date=1_772_429_400_000),
    }
    with RawServer([answer_of(b'{"status":"ok","data":{"id":"42"}}')]) as other, RawServer([]) as first:
        location = ("Location", f"{other.url}/v1/integration_batch_instances/42")
        first.replies = [Reply(answer_of(b"", status, [location]), then="close")]
        with pytest.raises(api.MicsError, match="redirects"):
            run(first.url, jobs[method])
        assert other.requests == []
        assert first.requests[0].headers["authorization"] == TOKEN


@both
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 302])
@pytest.mark.parametrize("form", ["error", "data", "plain", "location"])
def test_no_error_repeats_a_token_that_the_platform_repeats(run: Any, status: int, form: str) -> None:
    bodies = {
        "error": {"status": "error", "error": f"bad {TOKEN}", "error_code": TOKEN, "error_id": TOKEN},
        "data": {"status": "ok", "data": [TOKEN]},
        "plain": f"<html>{TOKEN}</html>",
        "location": {},
    }
    headers = [("Location", f"https://example.com/?token={TOKEN}")] if form == "location" else []
    given = answer_of(json.dumps(bodies[form]).encode(), status, headers)
    with RawServer([Reply(given, then="close")]) as server, pytest.raises(api.MicsError) as caught:
        run(server.url, api.get_instance("42"))
    error: BaseException | None = caught.value
    seen = []
    while error is not None:
        seen.append(f"{error} {error!r} {error.args} {vars(error)}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert TOKEN not in "".join(seen)


def test_no_repr_shows_the_token() -> None:
    with api.MicsClient("http://127.0.0.1:9", TOKEN, "1185") as client:
        assert TOKEN not in f"{client!r} {client} {client.__dict__.get('log')!r}"
        with pytest.raises(api.MicsConnectionError) as caught:
            client.run(api.create_execution("42", expected_start_date=0))
    assert TOKEN not in f"{caught.value!r}"
