"""Writes ``constraints/*.txt`` anew: the newest versions that pyproject.toml and the lines of Airflow allow.

Needs an index that has them. ``make test`` afterwards says whether they do.
"""

from __future__ import annotations

import subprocess
import tempfile
import tomllib
import venv
from pathlib import Path

from environments import PROJECT, plain_environ

HEADING = "# Exact versions for Python 3.11. Made by `make pins`; change nothing here by hand."
FILES = {
    "no-airflow": (
        "No Airflow: the tools that check the code, and what the pure part of this package needs.",
        (),
    ),
    "airflow-3.3": (
        "Airflow 3.3, the newest line this package is tested on; `make demo` runs on it too.",
        ("apache-airflow==3.3.*",),
    ),
    "airflow-2.11": (
        "Airflow 2.11, the oldest line this package is tested on, with the oldest common-compat it takes.",
        ("apache-airflow==2.11.*", "apache-airflow-providers-common-compat==1.19.0"),
    ),
}


def main() -> None:
    for name, (purpose, airflow) in FILES.items():
        pins = _frozen([*airflow, *_requirements(with_airflow=bool(airflow))])
        target = PROJECT / "constraints" / f"{name}.txt"
        target.write_text(f"# {purpose}\n{HEADING}\n{pins}")
        print(f"{target.relative_to(PROJECT)}: {len(pins.splitlines())} packages")


def _requirements(*, with_airflow: bool) -> list[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    tools = [tool for tool in extras["dev"] if "[" not in tool]
    # The checkers run from the environment without Airflow, but read the types of the one with it.
    wanted = ["editables", *project["dependencies"], *extras["sandbox"], *extras["test"]]
    wanted += extras["test-postgres"] if with_airflow else extras["docs"]
    wanted += [tool for tool in tools if tool == "hatchling" or tool.startswith("types-") or not with_airflow]
    return [one for one in wanted if with_airflow or not one.startswith("apache-airflow")]


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
    main()
