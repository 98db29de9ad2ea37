"""Runs the checks of this project and ends in a table: each step, its result, its wall time.

``python3 tools/checks.py all|lint|pure|airflow-3.3|airflow-2.11|chaos``. A step that fails does not keep the later
ones from running, but the exit code tells. The last line sums the tests: ``N passed, N failed, N skipped``.
Of the environment: ``WORKERS`` (processes that share the files of a run, by default one for each processor, two at
most; 0 for none but pytest itself), ``PYTEST_ARGS`` (more arguments for pytest), ``CI`` or ``LONG`` (leave no test
out).
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import environments

STEP_LIMIT_SECONDS = 25 * 60 if sys.argv[1:] != ["chaos"] else 60 * 60
GOODBYE_SECONDS = 15
TESTS = environments.PROJECT / "tests"
AIRFLOW_TESTS = ("provider", "reliability")
IS_LONG = any(os.environ.get(name, "") not in ("", "0") for name in ("CI", "LONG"))
"""Whether nothing is left out, as CI does. Else a person waits for the result."""
OLDEST_LINE_TESTS = (
    *(
        "provider/operators",
        "provider/runtime",
        "provider/test_discovery.py",
        "provider/test_example_dags.py",
    ),
    *("provider/test_hooks.py", "provider/test_provider_info.py", "provider/test_timetables.py"),
)
"""On the oldest line, those of the tests whose outcome may differ from that on the newest."""
MEASURES = ("benchmarks",)  # say how fast, not whether


@dataclass(frozen=True)
class Step:
    """One command, or one run of pytest over those of ``tests`` that exist."""

    name: str
    environment: str
    command: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    name: str
    outcome: str
    seconds: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def is_good(self) -> bool:
        return self.outcome == "ok"


def pure_tests() -> tuple[str, ...]:
    """Every folder and file of tests that is not named above."""
    files = {file.relative_to(TESTS).parts[0] for file in TESTS.rglob("test_*.py")}
    return tuple(sorted(files - {*AIRFLOW_TESTS, *MEASURES}))


def lint_steps() -> Iterator[Step]:
    types_of = str(environments.python_of("airflow-3.3"))
    for name, command in (
        ("ruff check", ("ruff", "check", "--output-format", "concise")),
        ("ruff format", ("ruff", "format", "--check")),
        ("mypy --strict", ("mypy", "--strict", "--python-executable", types_of)),
        ("lint-imports", ("lint-imports",)),
    ):
        yield Step(name, "no-airflow", command)


def chaos_steps() -> Iterator[Step]:
    for line in ("airflow-3.3", "airflow-2.11"):
        yield Step(f"chaos on {line}", line, tests=("reliability",), variables={"MICS_TESTS": "full"})


def benchmark_steps() -> Iterator[Step]:
    """Whether the shorter benchmarks run; how fast is for a quiet machine to say."""
    for each in ("polling", "history", "parse"):
        command = ("python", "-m", f"tests.benchmarks.bench_{each}", "--short")
        yield Step(f"bench_{each} --short", "airflow-3.3", command)


def test_step(name: str, environment: str, tests: tuple[str, ...]) -> Step:
    """All of these tests, or the part of them that a person can wait for."""
    if IS_LONG:
        return Step(name, environment, tests=tests)
    return Step(f"{name} (LONG=1: all)", environment, tests=tests, variables={"MICS_TESTS": "short"})


GROUPS: dict[str, tuple[Step, ...]] = {
    "lint": tuple(lint_steps()),
    "pure": (test_step("tests without Airflow", "no-airflow", pure_tests()),),
    "airflow-3.3": (test_step("tests on Airflow 3.3", "airflow-3.3", AIRFLOW_TESTS),),
    "airflow-2.11": (
        test_step("tests on Airflow 2.11", "airflow-2.11", AIRFLOW_TESTS if IS_LONG else OLDEST_LINE_TESTS),
    ),
}
GROUPS["all"] = tuple(step for group in list(GROUPS.values()) for step in group)
if IS_LONG:
    GROUPS["all"] += tuple(benchmark_steps())
GROUPS["chaos"] = tuple(chaos_steps())


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in GROUPS:
        print(f"Say which of {', '.join(GROUPS)} to run.", file=sys.stderr)
        return 2
    steps = GROUPS[arguments[0]]
    made, broken = _environments_for(steps)
    results = [made, *(_run(step, is_broken=step.environment in broken) for step in steps)]
    _print_table(results, with_tests=any(step.tests for step in steps))
    return 0 if all(result.is_good for result in results) else 1


def _environments_for(steps: Sequence[Step]) -> tuple[Result, set[str]]:
    names = {step.environment for step in steps}
    if any("--python-executable" in step.command for step in steps):
        names.add("airflow-3.3")
    _print_heading("environments")
    began = time.monotonic()
    failures = environments.make(sorted(names))
    for failure in failures.values():
        print(failure, flush=True)
    outcome = f"failed: {', '.join(sorted(failures))}" if failures else "ok"
    return Result("environments", outcome, time.monotonic() - began), set(failures)


def _run(step: Step, *, is_broken: bool) -> Result:
    _print_heading(step.name)
    if is_broken:
        return Result(
            step.name, f"failed: there is no environment {step.environment}", 0, failed=bool(step.tests)
        )
    run = _run_tests if step.tests else _run_command
    began = time.monotonic()
    outcome, counts = run(step)
    return Result(step.name, outcome, time.monotonic() - began, *counts)


def _run_command(step: Step) -> tuple[str, tuple[int, int, int]]:
    program, *arguments = step.command
    code = _call([str(environments.python_of(step.environment).with_name(program)), *arguments], step)
    return _outcome(code), (0, 0, 0)


def _run_tests(step: Step) -> tuple[str, tuple[int, int, int]]:
    present = [
        path for test in step.tests if any((path := TESTS / test).rglob("test_*.py")) or path.is_file()
    ]
    if not present:
        return "failed: there are no such tests", (0, 1, 0)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        code = _call([*_pytest(step), f"--junitxml={report}", *map(str, present)], step)
        passed, failed, skipped = counted(report)
    # A run that broke off leaves no report, or one without a failure: it is a failure all the same.
    return _outcome(code), (passed, failed or int(code != 0), skipped)


def _pytest(step: Step) -> list[str]:
    workers = os.environ.get("WORKERS") or str(min(2, os.cpu_count() or 1))
    return [
        str(environments.python_of(step.environment)),
        "-m",
        "pytest",
        *("-n", workers, "--dist", "loadfile"),
        *shlex.split(os.environ.get("PYTEST_ARGS", "")),
    ]


def counted(report: Path) -> tuple[int, int, int]:
    """Return how many tests a report in the form of JUnit has that passed, failed and were skipped."""
    if not report.is_file():
        return 0, 0, 0
    total = failed = skipped = 0
    for suite in ElementTree.parse(report).iter("testsuite"):  # noqa: S314 - our own pytest wrote it
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return total - failed - skipped, failed, skipped


def _call(command: Sequence[str], step: Step) -> int | None:
    """The exit code, or None where the step took longer than its limit; nothing it started is left behind."""
    process = subprocess.Popen(
        command,
        cwd=environments.PROJECT,
        env=environments.plain_environ() | step.variables,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(STEP_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        # Interrupted, pytest still says in which test it was.
        _signal_group(process, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GOODBYE_SECONDS)
        return None
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(leader: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, number)


def _outcome(code: int | None) -> str:
    if code is None:
        return f"failed: not done after {STEP_LIMIT_SECONDS // 60} minutes"
    return f"failed with exit code {code}" if code else "ok"


def _print_heading(name: str) -> None:
    print(f"\n== {name}", flush=True)


def _print_table(results: Sequence[Result], *, with_tests: bool) -> None:
    width = max(len(result.name) for result in results)
    print(f"\n{'step':<{width}}  {'time':>8}  {'passed':>6}  {'failed':>6}  {'skipped':>7}  result")
    for result in results:
        counts = (result.passed, result.failed, result.skipped)
        shown = [str(count) if any(counts) else "" for count in counts]
        print(
            f"{result.name:<{width}}  {result.seconds:>6.1f} s  "
            f"{shown[0]:>6}  {shown[1]:>6}  {shown[2]:>7}  {result.outcome}"
        )
    print(f"{'together':<{width}}  {sum(result.seconds for result in results):>6.1f} s\n")
    if with_tests:
        passed = sum(result.passed for result in results)
        failed = sum(result.failed for result in results)
        skipped = sum(result.skipped for result in results)
        print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)


if __name__ == "__main__":
    # As an exception, so that a step that is running is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main(sys.argv[1:]))
