"""Each code block is read as what it is; `tests/provider/test_documented_dags.py` runs those that need Airflow."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from airflow_provider_mics.doctor.__main__ import command_line as doctor_command_line
from airflow_provider_mics.sandbox.__main__ import command_line as sandbox_command_line
from tests.docs.blocks import PAGES, ROOT, Block, blocks
from tests.sandbox_server import SandboxServer, keep_loopback_off_proxies

PROGRAMS = {
    *(
        "airflow",
        "cat",
        "cd",
        "cp",
        "do",
        "done",
        "export",
        "for",
        "make",
        "mkdir",
        "pip",
        "python",
        "rm",
        ".",
    ),
    "python3.11",
}
SANDBOX = "airflow_provider_mics.sandbox"
DOCTOR = "airflow_provider_mics.doctor"


def commands() -> list[tuple[Block, list[str]]]:
    return [(block, words) for block in blocks("console") for words in block.commands()]


def options_of(module: str) -> list[list[str]]:
    """The arguments with which the pages start a module, each once; those within a sentence too."""
    found = [words[3:] for _, words in commands() if words[:3] == ["python", "-m", module]]
    return [list(each) for each in dict.fromkeys(map(tuple, found))]


def test_there_are_blocks_and_commands_of_each_kind():
    assert len(blocks("python")) > 15
    assert len(commands()) > 40
    assert len(options_of(SANDBOX)) > 3
    assert len(options_of(DOCTOR)) > 1


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.name)
def test_python_can_be_compiled(block: Block):
    compile(block.text, block.name, "exec")


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: block.name)
def test_json_can_be_read(block: Block):
    json.loads(block.text)


def test_each_command_is_one_that_a_reader_has():
    unknown = {(block.name, words[0]) for block, words in commands() if words[0] not in PROGRAMS}
    assert not unknown


def test_each_target_of_make_is_there():
    targets = set(re.findall(r"^([a-z0-9.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = {words[1] for _, words in commands() if words[0] == "make"}
    text = "\n".join(page.read_text() for page in PAGES)
    asked |= set(re.findall(r"`make ([a-z0-9.-]+)", text))
    assert asked
    assert asked <= targets


@pytest.mark.parametrize("arguments", options_of(DOCTOR), ids=" ".join)
def test_the_doctor_has_these_options(arguments: list[str]):
    doctor_command_line().parse_args(arguments)


def with_cells() -> list[list[str]]:
    """The options that a table of the guide gives alone, too."""
    text = (ROOT / "docs" / "sandbox.md").read_text()
    cells = re.findall(r"^\| [^|]+ \| `(--[^`]+)`", text, re.MULTILINE)
    block = Block(ROOT / "docs" / "sandbox.md", 0, "console", "\n".join(f"python {cell}" for cell in cells))
    return [*options_of(SANDBOX), *(words[1:] for words in block.commands())]


@pytest.mark.parametrize("arguments", with_cells(), ids=" ".join)
def test_the_sandbox_starts_with_these_options(arguments: list[str], tmp_path):
    sandbox_command_line().parse_args(arguments)
    keep_loopback_off_proxies()
    with subprocess.Popen(
        [sys.executable, "-m", SANDBOX, *arguments, "--port", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as sandbox:
        assert sandbox.stdout is not None
        first = sandbox.stdout.readline()
        sandbox.terminate()
    assert first.startswith("mediarithmics sandbox on http://127.0.0.1:")


def test_the_client_outside_airflow_does_what_the_page_shows(capsys):
    [block] = [one for one in blocks("python") if "with MicsClient(" in one.text]
    with SandboxServer(seed_demo=True) as server:
        text = block.text.replace("https://api.mediarithmics.com", server.url)
        exec(compile(text.replace("<API_TOKEN>", server.token), block.name, "exec"), {})  # noqa: S102
    assert "4101 Store sales feed */2 * * * *" in capsys.readouterr().out


def test_the_sandbox_of_a_test_suite_starts_as_the_page_shows(monkeypatch):
    [block] = [one for one in blocks("python") if "AIRFLOW_CONN_MICS_DEFAULT" in one.text]
    monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", "")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    exec(compile(block.text, block.name, "exec"), {})  # noqa: S102
    assert json.loads(os.environ["AIRFLOW_CONN_MICS_DEFAULT"])["host"].startswith("http://127.0.0.1:")
