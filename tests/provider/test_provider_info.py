"""The provider's metadata: valid for this Airflow, correct, and shown by its commands."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from airflow import __version__ as airflow_version
from airflow.triggers.base import BaseTrigger

import airflow_provider_mics
from airflow_provider_mics import __version__, operators
from airflow_provider_mics.page.registration import is_supported
from airflow_provider_mics.provider_info import get_provider_info
from airflow_provider_mics.runtime import compat
from local_airflow.home import environ_for

pytestmark = pytest.mark.usefixtures("airflow_home")


def test_the_metadata_are_valid_for_this_airflow() -> None:
    schema = json.loads(resources.files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_everything_in_the_metadata_exists() -> None:
    info = get_provider_info()
    named = [
        module
        for kind in ("operators", "sensors", "hooks", "triggers")
        for entry in info[kind]
        for module in entry["python-modules"]
    ]
    for module in named:
        importlib.import_module(module)
    classes = [*info["extra-links"], info["connection-types"][0]["hook-class-name"]]
    for path in classes:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


def test_the_package_is_found_by_its_entry_point_under_its_own_name() -> None:
    [entry] = metadata.distribution("airflow-provider-mics").entry_points.select(
        group="apache_airflow_provider"
    )
    assert entry.load() is get_provider_info
    assert get_provider_info()["package-name"] == "airflow-provider-mics"
    assert get_provider_info()["versions"] == [__version__]


COMMANDS = """
import contextlib, io, json, sys
from airflow.cli.cli_parser import get_parser

shown = {}
for name in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        arguments = get_parser().parse_args(["providers", *name.split(), "--output", "json"])
        arguments.func(arguments)
    shown[name] = out.getvalue()
print("SHOWN " + json.dumps(shown))
"""


@pytest.fixture(scope="module")
def shown(airflow_home: Path) -> tuple[dict[str, Any], str]:
    """The output of ``airflow providers ...``, and everything else that its process wrote."""
    names = ["list", "get airflow-provider-mics --full", "hooks", "links", "triggers", "behaviours"]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(names)],
        env=environ_for(airflow_home),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *logged, last = done.stdout.strip().splitlines()
    return json.loads(last.removeprefix("SHOWN ")), "\n".join([*logged, done.stderr])


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("list", "airflow-provider-mics"),
        ("get airflow-provider-mics --full", "on time, exactly once, visible"),
        ("hooks", "airflow_provider_mics.hooks"),
        ("links", "airflow_provider_mics.links.MicsInstanceLink"),
        ("triggers", "airflow_provider_mics.triggers"),
        ("behaviours", "mediarithmics"),
    ],
)
def test_airflows_commands_show_it(shown: tuple[dict[str, Any], str], command: str, expected: str) -> None:
    if command == "behaviours" and airflow_version.startswith(("3.0.", "3.1.")) and not find_spec("wtforms"):
        pytest.skip("this command of Airflow 3.0 and 3.1 shows nothing without wtforms")
    assert expected in shown[0][command]


def test_airflow_logs_no_complaint(shown: tuple[dict[str, Any], str]) -> None:
    complaints = [
        line
        for text in (*shown[0].values(), shown[1])
        for line in text.splitlines()
        if "mics" in line and any(word in line.lower() for word in ("warning", "error", "exception"))
    ]
    assert complaints == []


PUBLIC = {*operators.__all__, "MicsExecutionSensor", "MicsHook"}


def classes_of(base: type) -> dict[str, str]:
    """The modules of the classes of this package that are of a kind, by name; without bases that are not public."""
    found = {}
    for module_info in pkgutil.walk_packages(airflow_provider_mics.__path__, "airflow_provider_mics."):
        needs_newer_airflow = ".page." in module_info.name and not is_supported(airflow_version)
        if not module_info.name.endswith("__main__") and not needs_newer_airflow:
            importlib.import_module(module_info.name)
    waiting = [base]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if kind.__module__.startswith("airflow_provider_mics.") and not kind.__name__.startswith("_"):
                found[kind.__name__] = kind.__module__
    return found


def test_every_trigger_is_in_a_module_of_the_metadata() -> None:
    [named] = get_provider_info()["triggers"]
    assert {*classes_of(BaseTrigger).values()} <= {*named["python-modules"]}


def test_every_link_is_in_the_metadata() -> None:
    """Airflow 2 drops a link that is not, when it reads a DAG back."""
    links = classes_of(compat.BaseOperatorLink)
    assert {f"{module}.{name}" for name, module in links.items()} == {*get_provider_info()["extra-links"]}


def test_every_public_operator_sensor_and_hook_is_in_a_module_of_the_metadata() -> None:
    info = get_provider_info()
    named = [entry for kind in ("operators", "sensors", "hooks") for entry in info[kind]]
    modules = [module for entry in named for module in entry["python-modules"]]
    offered = {name for module in modules for name in vars(importlib.import_module(module))}
    classes = {*classes_of(compat.BaseOperator), *classes_of(compat.BaseHook)}
    assert {each for each in classes if each in PUBLIC} <= offered
    assert classes & PUBLIC
