"""What is shipped: the wheel and its metadata."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import airflow_provider_mics
from airflow_provider_mics import __version__
from airflow_provider_mics.provider_info import get_provider_info

PROJECT = Path(__file__).resolve().parent.parent
BUILD_LIMIT_SECONDS = 120


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        check=False,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=BUILD_LIMIT_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    folders = {name.split("/")[0] for name in wheel.namelist()}
    assert folders == {"airflow_provider_mics", f"airflow_provider_mics-{__version__}.dist-info"}
    package = PROJECT / "airflow_provider_mics"
    modules = {str(file.relative_to(PROJECT)) for file in package.rglob("*.py")}
    page = {
        str(file.relative_to(PROJECT)) for file in (package / "page").rglob("*.*") if file.suffix != ".pyc"
    }
    assert {".html", ".css", ".js", ".svg"} <= {Path(name).suffix for name in page}
    assert modules | page <= set(wheel.namelist())


def test_the_wheel_has_the_example_dags_and_what_keeps_airflow_from_scheduling_batches_with_them(
    wheel,
) -> None:
    examples = {file.name for file in (PROJECT / "dags").glob("*.py")} | {".airflowignore"}
    shipped = {name.rpartition("/")[2] for name in wheel.namelist() if "/example_dags/" in name}
    assert shipped == examples


@pytest.mark.parametrize("file", sorted((PROJECT / "dags").glob("*.py")), ids=lambda file: file.stem)
def test_the_example_of_the_package_is_the_file_in_dags(file: Path) -> None:
    """To mend: ``cp dags/*.py airflow_provider_mics/example_dags/``."""
    shipped = PROJECT / "airflow_provider_mics" / "example_dags" / file.name
    assert shipped.read_text() == file.read_text()


def test_the_wheel_says_that_it_is_typed(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert "airflow_provider_mics/py.typed" in wheel.namelist()
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])


def test_the_wheel_has_its_licence(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    (licence,) = [name for name in wheel.namelist() if name.endswith("/LICENSE")]
    assert "Apache License" in wheel.read(licence).decode()


def test_airflow_finds_the_provider_by_the_wheels_entry_point(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    declared = wheel.read(name).decode()
    assert "[apache_airflow_provider]" in declared
    assert "airflow_provider_mics.provider_info:get_provider_info" in declared


def test_the_wheel_needs_no_web_framework_but_for_the_sandbox(metadata: Message) -> None:
    needed = [one for one in metadata.get_all("Requires-Dist", []) if "extra ==" not in one]
    names = {re.split(r"[<>=!~ \[;]", one)[0] for one in needed}
    assert "apache-airflow" in names
    assert names.isdisjoint({"fastapi", "uvicorn", "pytest", "starlette"})


def test_the_version_is_written_in_one_place(metadata: Message) -> None:
    assert metadata["Version"] == __version__ == get_provider_info()["versions"][0]
    written = re.compile(rf"""["']{re.escape(__version__)}["']""")
    holders = [
        file.name
        for file in (*(PROJECT / "airflow_provider_mics").rglob("*.py"), PROJECT / "pyproject.toml")
        if written.search(file.read_text())
    ]
    assert holders == [Path(airflow_provider_mics.__file__).name]


def test_the_changelog_tells_of_this_version() -> None:
    assert f"\n## [{__version__}]" in (PROJECT / "CHANGELOG.md").read_text()


def test_the_installed_entry_point_gives_the_metadata() -> None:
    ours = [
        one
        for one in entry_points(group="apache_airflow_provider")
        if one.module.startswith("airflow_provider_mics")
    ]
    assert [one.load()() for one in ours] == [get_provider_info()]
