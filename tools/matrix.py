"""Tests the wheel on every line of Airflow, with the packages of the day of its release: ``make test-matrix``.

``python3 tools/matrix.py [--smoke] [NAME[:PYTHON] ...]``: names of ``constraints/*.txt``, by default all, each on the
versions of Python in `ROWS` or on the one given; ``--smoke`` only imports every module and runs the example DAGs. Each
environment has the exact versions of its file and the wheel, which is built first; what it lacks or contradicts is a
failure (``pip check``). The tests run in a copy of this folder without the package, so that they test the wheel. Ends
in a table; the exit code tells whether all is well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import environments
from checks import AIRFLOW_TESTS, counted

HOME = environments.HOME / "matrix"
ROWS: dict[str, tuple[str, ...]] = {
    "airflow-2.11-lowest": ("3.11",),
    "airflow-2.11-released": ("3.11", "3.12"),
    "airflow-2.11": ("3.12",),
    "airflow-3.0-lowest": ("3.11",),
    "airflow-3.0": ("3.11", "3.12"),
    "airflow-3.1": ("3.11", "3.13"),
    "airflow-3.2": ("3.11", "3.13"),
    "airflow-3.3": ("3.12", "3.13"),
}
"""The versions of Python for each file of constraints: 2.11 and 3.0 take none after 3.12. ``make test`` has others."""
SMOKE = (
    "provider/test_discovery.py",
    "provider/test_provider_info.py",
    "provider/test_example_dags.py",
    "provider/runtime/test_compat.py",
)
LIMIT_SECONDS = 45 * 60
NOT_COPIED = shutil.ignore_patterns(".*", "airflow_provider_mics", "dist", "__pycache__")
LINE_LIMIT = 200


@dataclass(frozen=True)
class Row:
    name: str
    python: str
    result: str
    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: int = 0


class RowFailedError(Exception):
    """A step before the tests failed; the message says which, and what it printed."""


def main(arguments: Sequence[str]) -> int:
    is_smoke = "--smoke" in arguments
    chosen = [each.partition(":") for each in arguments if each != "--smoke"]
    rows_to_run = [(name, (version,) if version else ROWS.get(name, ())) for name, _, version in chosen]
    if unknown := sorted({name for name, _ in rows_to_run} - {*ROWS}):
        print(f"There is no row {', '.join(unknown)}; there are {', '.join(ROWS)}.", file=sys.stderr)
        return 2
    tests = SMOKE if is_smoke else AIRFLOW_TESTS
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        shutil.copytree(environments.PROJECT, project, ignore=NOT_COPIED)
        wheel = _built_wheel(Path(folder, "dist"))
        rows = [
            _row(name, python, wheel, project, tests)
            for name, versions in rows_to_run or ROWS.items()
            for python in versions
        ]
    _print_table(rows)
    return 0 if all(row.result in ("ok", "no such Python") for row in rows) else 1


def _built_wheel(folder: Path) -> Path:
    """Build the wheel as a release is built.

    :raises RowFailedError: it cannot be built
    """
    if failures := environments.make(["no-airflow"]):
        raise RowFailedError("\n".join(failures.values()))
    build = [environments.python_of("no-airflow"), "-m", "hatchling", "build", "--target", "wheel"]
    _run([*map(str, build), "--directory", str(folder)], environments.PROJECT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _row(name: str, version: str, wheel: Path, project: Path, tests: Sequence[str]) -> Row:
    print(f"\n== {name}, Python {version}", flush=True)
    base = _python(version)
    if base is None:
        return Row(name, version, "no such Python")
    began = time.monotonic()
    try:
        python = _environment(name, version, base, wheel)
        code, counts = _tested(python, project, tests)
        result = f"failed with exit code {code}" if code else "ok"
    except (RowFailedError, subprocess.TimeoutExpired) as failure:
        print(failure, flush=True)
        result, counts = f"failed: {str(failure).splitlines()[0][:LINE_LIMIT]}", (0, 1, 0)
    return Row(name, version, result, time.monotonic() - began, *counts)


def _python(version: str) -> str | None:
    """Return the program of a version of Python: on the path, or where pyenv has it."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    candidates = [shutil.which(f"python{version}"), *map(str, reversed(kept))]
    for candidate in filter(None, candidates):
        with suppress(OSError, subprocess.CalledProcessError):
            subprocess.run([candidate, "-c", "import venv, ensurepip"], check=True, capture_output=True)
            return candidate
    return None


def _environment(name: str, version: str, base: str, wheel: Path) -> Path:
    """Make the environment, or update the wheel in one that has these versions; return its Python.

    :raises RowFailedError: pip fails, or finds that packages contradict each other
    """
    pins = environments.PROJECT / "constraints" / f"{name}.txt"
    folder = HOME / f"{name}-python{version}"
    python, kept = folder / "bin" / "python", folder / pins.name
    if not kept.is_file() or kept.read_text() != pins.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        _run([base, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--no-input", "--quiet", "--requirement", str(pins)])
        shutil.copy(pins, kept)
    pip = [str(python), "-m", "pip"]
    _run([*pip, "install", "--no-input", "--quiet", "--no-deps", "--force-reinstall", str(wheel)])
    _run([*pip, "check"])
    return python


def _tested(python: Path, project: Path, tests: Sequence[str]) -> tuple[int, tuple[int, int, int]]:
    """Run tests on the installed wheel; return the exit code, and how many passed, failed and were skipped."""
    report = project / "report.xml"
    report.unlink(missing_ok=True)
    workers = os.environ.get("WORKERS") or str(min(2, os.cpu_count() or 1))
    command = [str(python), "-m", "pytest", "-q", "-n", workers, "--dist", "loadfile", f"--junitxml={report}"]
    done = subprocess.run(
        [*command, *(f"tests/{each}" for each in tests)],
        check=False,
        cwd=project,
        env=environments.plain_environ(),
        stdin=subprocess.DEVNULL,
        timeout=LIMIT_SECONDS,
    )
    passed, failed, skipped = counted(report)
    return done.returncode, (passed, failed or int(done.returncode != 0), skipped)


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=environments.plain_environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    if done.returncode:
        raise RowFailedError(
            f"{' '.join(command[:4])} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )


def _print_table(rows: Sequence[Row]) -> None:
    print(f"\n{'constraints':<22}  Python  {'passed':>6}  {'failed':>6}  {'skipped':>7}  {'time':>8}  result")
    for row in rows:
        counts = f"{row.passed:>6}  {row.failed:>6}  {row.skipped:>7}"
        print(f"{row.name:<22}  {row.python:<6}  {counts}  {row.seconds:>6.0f} s  {row.result}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
