from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.forked import PROJECT
from tests.sandbox_server import SandboxServer


def run(*arguments: str, path: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airflow_provider_mics.sandbox", *arguments],
        capture_output=True,
        text=True,
        cwd=path,
        env={**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{PROJECT}"},
        timeout=60,
        check=False,
    )


def test_help_describes_every_quirk_and_every_kind_of_fault() -> None:
    text = run("--help").stdout
    for word in (
        "--seed-demo",
        "PUT /_sandbox/clock",
        "platform_silent",
        "list_order",
        "drop_after",
        "stale_list",
        "retry_after",
        "sandbox.outcome",
    ):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--quirk", "no_such=1"], "there is no quirk 'no_such'"),
        (["--quirk", "list_order=sideways"], "quirk list_order"),
        (["--fault", "{"], "--fault {"),
        (["--fault", '{"kind": "explode"}'], "fault kind"),
        (["--timezone", "Mars/Olympus"], "unknown time zone 'Mars/Olympus'"),
        (["--speed", "0"], "must be above 0"),
        (["--token", "abc"], "TOKEN=ORG"),
        (["--db", "/nowhere/x.sqlite"], "/nowhere/x.sqlite"),
    ],
)
def test_a_bad_option_is_one_line_that_names_it(arguments: list[str], sentence: str) -> None:
    ended = run("--port", "0", *arguments)
    assert ended.returncode != 0
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run("--port", port)
    assert ended.returncode != 0
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_without_its_extra_it_says_what_to_install(tmp_path: Path) -> None:
    blocked = ("fastapi", "starlette", "uvicorn")
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({blocked}))\n")
    ended = run(path=tmp_path)
    assert ended.returncode == 2
    expected = 'the sandbox needs fastapi and uvicorn: pip install "airflow-provider-mics[sandbox]"\n'
    assert ended.stderr == expected


def test_options_set_quirks_faults_tokens_and_the_clock() -> None:
    options: dict[str, Any] = {
        "quirk": ["platform_silent", "max_results_cap=3"],
        "fault": '{"kind": 503, "times": 1}',
        "seed": 4,
    }
    with SandboxServer(tokens={"a=b": ["7", "8"]}, speed=50, **options) as server:
        quirks = server.quirks()
        assert (quirks["platform_silent"], quirks["max_results_cap"]) == (True, 3)
        assert server.clock()["speed"] == 50
        assert server.organisation_id == "7"
        assert server.send("GET", "connected_user").status_code == 503
        assert server.call("GET", "connected_user")["workspaces"][1]["organisation_id"] == "8"
        assert server.injected() == {"503": 1}


def test_without_options_there_is_a_token_for_organisation_1185() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_mics.sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    process.terminate()
    assert process.wait(10) == 0
    process.stdout.close()
    assert line.startswith("mediarithmics sandbox on http://127.0.0.1:")
    assert "(organisation 1185, token sandbox-token)" in line
