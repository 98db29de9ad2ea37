"""A folder is pure: it needs no Airflow. ``make test`` runs these where there is none.

The contracts of import-linter in pyproject.toml read the code; these tests load it.
"""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_provider_mics

PACKAGE = Path(airflow_provider_mics.__file__).parent
SPEAKS_AIRFLOW = {"dag_factory", "doctor", "operators", "page", "runtime"}
FOLDERS = sorted(
    found.name
    for found in pkgutil.iter_modules([str(PACKAGE)])
    if found.ispkg and found.name not in SPEAKS_AIRFLOW
)
PURE = [folder for folder in FOLDERS if folder != "sandbox"]


def loaded_by(*modules: str) -> set[str]:
    """Everything that is loaded once these modules are, in a process of their own."""
    program = (
        "import importlib, json, sys; "
        "[importlib.import_module(name) for name in sys.argv[1:]]; "
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *modules],
        check=False,
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def modules_of(folder: str) -> list[str]:
    name = f"airflow_provider_mics.{folder}"
    found = pkgutil.walk_packages([str(PACKAGE / folder)], prefix=f"{name}.")
    return [name, *(module.name for module in found if not module.name.endswith(".__main__"))]


def roots(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def sources(folder: str) -> Iterator[tuple[str, ast.Module]]:
    for file in sorted((PACKAGE / folder).rglob("*.py")):
        yield str(file.relative_to(PACKAGE)), ast.parse(file.read_text())


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_module_of_a_pure_folder_loads_without_airflow(folder: str) -> None:
    modules = modules_of(folder)
    loaded = loaded_by(*modules)
    assert loaded.issuperset(modules)
    assert "airflow" not in roots(loaded)


def test_every_module_of_the_doctor_loads_without_airflow() -> None:
    """It imports Airflow only for what it was asked for: a connection, a snapshot in an object store."""
    modules = modules_of("doctor")
    loaded = loaded_by(*modules)
    assert loaded.issuperset(modules)
    assert "airflow" not in roots(loaded)


def test_the_contracts_that_keep_airflow_out_name_every_pure_folder() -> None:
    linter = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["importlinter"]
    purity = next(one for one in linter["contracts"] if one.get("forbidden_modules") == ["airflow"])
    assert sorted(purity["source_modules"]) == [f"airflow_provider_mics.{folder}" for folder in FOLDERS]


@pytest.mark.parametrize("folder", PURE)
def test_a_pure_folder_loads_no_file_that_speaks_airflow_and_no_sandbox(folder: str) -> None:
    ours = {name for name in loaded_by(*modules_of(folder)) if name.startswith("airflow_provider_mics.")}
    assert {name.split(".")[1] for name in ours} <= set(PURE)


def test_the_sandbox_loads_nothing_of_the_client_it_stands_for() -> None:
    ours = {name for name in loaded_by(*modules_of("sandbox")) if name.startswith("airflow_provider_mics.")}
    assert {name.split(".")[1] for name in ours} == {"sandbox"}


@pytest.mark.parametrize("folder", PURE)
def test_a_pure_folder_reads_no_environment_variable(folder: str) -> None:
    readers = [
        f"{file}:{node.lineno}"
        for file, tree in sources(folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]
    assert readers == []


def test_the_package_itself_loads_nothing() -> None:
    empty = loaded_by("json")
    loaded = loaded_by("airflow_provider_mics") - empty
    assert loaded == {"airflow_provider_mics"}


def test_provider_discovery_loads_no_client_and_no_airflow() -> None:
    """Airflow calls ``get_provider_info`` in each of its processes."""
    loaded = roots(loaded_by("airflow_provider_mics.provider_info"))
    assert loaded.isdisjoint({"airflow", "requests", "httpx", "pydantic", "tenacity", "fastapi"})
