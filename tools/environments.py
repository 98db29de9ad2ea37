"""The virtual environments of this project, in ``.venvs/``: made once, made again when their pins change.

``python3 tools/environments.py [NAME ...]`` makes those named, side by side; without names, all of them. Each is the
exact versions of ``constraints/NAME.txt`` and this package itself, editable. Packages come from whatever index pip is
set up for on the machine.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
HOME = PROJECT / ".venvs"
NAMES = ("no-airflow", "airflow-3.3", "airflow-2.11")
ONLY_BY_NAME = ("benchmarks",)
PROGRESS_SECONDS = 15
LINE_LIMIT = 300


class EnvironmentFailedError(Exception):
    """An environment could not be made; the message says which, where its log is, and what pip said."""


def python_of(name: str) -> Path:
    return HOME / name / "bin" / "python"


def plain_environ() -> dict[str, str]:
    """The variables of this process, less those that would make Python find or leave other files."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"}
    return {key: value for key, value in os.environ.items() if key not in unwanted}


def make(names: Sequence[str]) -> dict[str, str]:
    """Makes these environments side by side; returns what went wrong, by name."""
    HOME.mkdir(exist_ok=True)
    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        jobs = {pool.submit(_make_one, name): name for name in names}
        waiting = set(jobs)
        while waiting:
            _, waiting = wait(waiting, timeout=PROGRESS_SECONDS)
            if waiting:
                still = ", ".join(sorted(jobs[job] for job in waiting))
                print(f"  installing {still}: {time.monotonic() - began:.0f} s", flush=True)
    return {name: str(error) for job, name in jobs.items() if (error := job.exception())}


def _make_one(name: str) -> None:
    with _locked(name):
        pins = PROJECT / "constraints" / f"{name}.txt"
        log = HOME / f"{name}.log"
        if not _is_stamped(name, "pins", pins):
            shutil.rmtree(HOME / name, ignore_errors=True)
            log.write_text("")
            venv.create(HOME / name, with_pip=True)
            _pip(name, log, "--compile", "--requirement", str(pins))
            _stamp(name, "pins", pins)
        own = (PROJECT / "pyproject.toml", PROJECT / "airflow_provider_mics" / "__init__.py")
        if not _is_stamped(name, "project", *own):
            _pip(name, log, "--no-deps", "--no-build-isolation", "--editable", str(PROJECT))
            _stamp(name, "project", *own)


def _pip(name: str, log: Path, *arguments: str) -> None:
    """Installs and compiles, or each of Airflow's ten processes would compile Airflow at its start."""
    command = [str(python_of(name)), "-m", "pip", "install", "--no-input", *arguments]
    with log.open("a") as output:
        done = subprocess.run(
            command,
            check=False,
            env=plain_environ(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        lines = log.read_text().splitlines()
        told = [line for line in lines if line.startswith("ERROR")] or lines[-10:]
        reason = "\n".join(f"  {line[:LINE_LIMIT]}" for line in told)
        msg = f"{name}: pip ended with {done.returncode} ({log.relative_to(PROJECT)}):\n{reason}"
        raise EnvironmentFailedError(msg)


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256(f"{sys.version} {sys.base_prefix} {PROJECT}".encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _is_stamped(name: str, what: str, *files: Path) -> bool:
    stamp = HOME / name / f"{what}.sha256"
    return stamp.is_file() and stamp.read_text() == _digest(files)


def _stamp(name: str, what: str, *files: Path) -> None:
    (HOME / name / f"{what}.sha256").write_text(_digest(files))


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Two commands may run at once, and want the same environment."""
    with (HOME / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(names: Sequence[str]) -> int:
    unknown = sorted(set(names) - {*NAMES, *ONLY_BY_NAME})
    if unknown:
        print(f"There is no environment {', '.join(unknown)}; there are {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    failures = make(names or NAMES)
    for failure in failures.values():
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
