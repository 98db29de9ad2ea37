"""However the command ends - on any terminal, into a closed pipe, by Ctrl-C - there is no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mics.doctor.__main__ import main
from tests.doctor.runs import TOKEN, Doctor
from tests.sandbox_server import SandboxServer

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "airflow_provider_mics.doctor"]
WRITES = ["--allow-writes", "--instance", "4107"]


def environ(platform: SandboxServer, **more: str) -> dict[str, str]:
    settings = {"MICS_HOST": platform.url, "MICS_TOKEN": TOKEN, "MICS_ORGANISATION_ID": "1185"}
    return {**os.environ, **settings, "MICS_TIMEZONE": "Europe/Paris", **more}


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8", "cp1252:strict"])
def test_a_name_that_the_terminal_cannot_write(platform: SandboxServer, encoding: str) -> None:
    name = "Журнал 売上 \N{PARTY POPPER}" + "x" * 80
    instance = platform.create_instance(name, cron="5/15 * * * *")
    for arguments in ([], ["--json"]):
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=environ(platform, PYTHONIOENCODING=encoding),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, b"")
        assert instance.encode() in done.stdout


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_reader_that_has_read_enough(platform: SandboxServer, arguments: list[str]) -> None:
    done = subprocess.run(
        ["/bin/bash", "-c", f'{" ".join([*COMMAND, *arguments])} | true; echo "${{PIPESTATUS[0]}}"'],
        cwd=ROOT,
        env=environ(platform),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "1")


def interrupted(platform: SandboxServer, doctor: Doctor, seen: dict[str, Any], *arguments: str) -> int:
    """Run the command, and interrupt it as soon as a request was seen."""
    stopped = threading.Event()

    def wait_and_interrupt() -> None:
        def is_seen() -> bool:
            return stopped.is_set() or any(
                each["method"] == seen["method"] and each["path"].endswith(seen["path"])
                for each in platform.seen_requests()
            )

        platform.wait_until(is_seen)
        if not stopped.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    # A shell that starts the tests in the background has them ignore the signal.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=wait_and_interrupt)
    thread.start()
    try:
        return main(list(arguments))
    finally:
        stopped.set()
        thread.join()
        signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize("kind", ["timeout_after", "stale_list"])
def test_ctrl_c_cancels_what_was_created(
    platform: SandboxServer, doctor: Doctor, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    before = len(platform.executions(created_by="api"))
    rules: dict[str, dict[str, Any]] = {
        # While it waits for the answer, and while it waits for the list.
        "timeout_after": {"method": "POST", "path": "executions$", "parameters": {"seconds": 2}},
        "stale_list": {"path": "4107/executions$", "parameters": {"seconds": 1e9}},
    }
    platform.faults([{"kind": kind, **rules[kind]}])
    status = interrupted(platform, doctor, {"method": "POST", "path": "4107/executions"}, *WRITES)
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert "Interrupted: canceling what was created." in err
    assert err.endswith("error: interrupted\n")
    assert [each["status"] for each in platform.executions(created_by="api")[before:]] == ["CANCELED"]


def test_ctrl_c_says_what_it_could_not_cancel(
    platform: SandboxServer, doctor: Doctor, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.quirks(cancel_action="404", execution_put="404", execution_delete="404")
    platform.faults([{"kind": "stale_list", "parameters": {"seconds": 1e9}}])
    status = interrupted(platform, doctor, {"method": "POST", "path": "4107/executions"}, *WRITES)
    left = platform.executions(created_by="api")[-1]["id"]
    assert status == 2
    assert f"Execution {left} of instance 4107 may start at" in capsys.readouterr().err


def test_ctrl_c_before_anything_was_created(
    platform: SandboxServer, doctor: Doctor, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(platform.executions(created_by="api"))
    platform.faults([{"kind": "timeout_before", "path": r"\.executions$", "parameters": {"seconds": 3}}])
    seen = {"method": "GET", "path": "airflow_provider_mics_doctor"}
    assert interrupted(platform, doctor, seen, *WRITES) == 2
    assert capsys.readouterr().err == "error: interrupted\n"
    assert len(platform.executions(created_by="api")) == before
