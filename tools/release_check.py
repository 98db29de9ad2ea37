"""Checks all that can be checked before a release, and leaves in ``dist/`` what to upload: ``make release-check``.

Changes nothing else and uploads nothing. Every check runs, whatever failed before it; the exit code tells whether all
are well. ``make test-matrix`` is the other half.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from email.message import Message
from email.parser import Parser
from pathlib import Path

import environments
from environments import PROJECT

PACKAGE = "airflow_provider_mics"
DIST = PROJECT / "dist"
VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
RELEASE = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
RELATIVE_LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)\s]+)\)")
IMPORT_ALL = f"""
import importlib, pkgutil, {PACKAGE}
names = [each.name for each in pkgutil.walk_packages({PACKAGE}.__path__, "{PACKAGE}.")]
names = [name for name in names if not name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
from airflow.providers_manager import ProvidersManager
version = ProvidersManager().providers["airflow-provider-mics"].version
assert version == {PACKAGE}.__version__, version
print(f"{{len(names)}} modules, and Airflow lists the provider {{version}}")
"""


class CheckFailedError(Exception):
    """What is wrong, and what to do."""


def version() -> str:
    found = VERSION.search((PROJECT / PACKAGE / "__init__.py").read_text())
    if found is None or not RELEASE.fullmatch(found[1]):
        raise CheckFailedError(
            f"{PACKAGE}/__init__.py: __version__ is not a release, such as 1.2.0 or 1.2.0rc1"
        )
    return found[1]


def check_changelog(text: str, release: str, today: date) -> str:
    """Return the date of a release in the changelog.

    :raises CheckFailedError: it has no section, no date, a date to come, or says nothing
    """
    section = re.search(
        rf"^## \[{re.escape(release)}\] - (\S+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    if section is None:
        raise CheckFailedError(f"CHANGELOG.md has no section '## [{release}] - <date>'")
    try:
        released = date.fromisoformat(section[1])
    except ValueError:
        raise CheckFailedError(f"CHANGELOG.md: {release} has no date, but {section[1]!r}") from None
    if released > today:
        raise CheckFailedError(f"CHANGELOG.md: {release} is dated {released}, which is to come")
    if not re.search(r"^- ", section[2], re.MULTILINE):
        raise CheckFailedError(f"CHANGELOG.md: {release} says nothing")
    return str(released)


def check_repository(source: str, remote: str) -> str:
    """Return the address of the repository.

    :param source: ``Source`` of the project's URLs
    :param remote: where git pushes to, as an URL or as ``git@host:path``
    :raises CheckFailedError: they are of two repositories
    """
    found = re.fullmatch(r"(?:\w+://)?(?:[^@/]+@)?([^:/]+)(?::\d+)?[:/](.+?)(?:\.git)?/?", remote)
    if found is None or source.partition("://")[2].rstrip("/").lower() != f"{found[1]}/{found[2]}".lower():
        raise CheckFailedError(
            f"pyproject.toml says that the repository is at {source}; git's origin is another: set project.urls"
        )
    return source


def check_wheel(names: Sequence[str], kept: Sequence[str], release: str) -> str:
    """Return how many files a wheel has.

    :param kept: the files that the repository has of the package
    :raises CheckFailedError: it has others, or not all of them
    """
    metadata = f"{PACKAGE}-{release}.dist-info/"
    expected = {
        metadata + each for each in ("METADATA", "WHEEL", "entry_points.txt", "licenses/LICENSE", "RECORD")
    }
    wrong = {*names} ^ ({*kept} | expected)
    if wrong:
        raise CheckFailedError(f"the wheel lacks, or has besides what it should: {', '.join(sorted(wrong))}")
    return f"{len(names)} files"


def check_readme(metadata: Message) -> str:
    """Return how long the readme is that an index shows.

    :raises CheckFailedError: it is missing, or has links that lead nowhere there
    """
    text = str(metadata.get_payload())
    if metadata["Description-Content-Type"] != "text/markdown" or len(text) < 1000:
        raise CheckFailedError("the metadata have no readme in Markdown")
    if relative := RELATIVE_LINK.findall(text):
        raise CheckFailedError(f"the readme has relative links: {', '.join(relative)}")
    return f"{len(text.splitlines())} lines, {text.count('](')} links"


def main() -> int:
    steps: dict[str, Callable[[], str]] = {
        "version": version,
        "changelog": lambda: check_changelog(
            (PROJECT / "CHANGELOG.md").read_text(), version(), datetime.now(UTC).date()
        ),
        "committed": _check_committed,
        "tag": _check_tag,
        "repository": lambda: check_repository(_source(), _output("git", "remote", "get-url", "origin")),
        "build": _build,
        "wheel": lambda: check_wheel(_wheel().namelist(), _kept_files(), version()),
        "wheel of the sdist": _check_sdist,
        "readme": lambda: check_readme(_metadata()),
        "twine check": _check_with_twine,
        "fresh environment": _check_installed,
    }
    failed = 0
    for name, step in steps.items():
        try:
            outcome = f"ok      {step()}"
        except (CheckFailedError, OSError, ValueError, LookupError) as problem:
            failed += 1
            outcome = f"FAILED  {problem}"
        print(f"{name:<20}{outcome}", flush=True)
    print(f"\n{failed} of {len(steps)} checks failed" if failed else f"\nTo upload: {DIST}", flush=True)
    return 1 if failed else 0


def _output(*command: str, folder: Path = PROJECT) -> str:
    done = subprocess.run(
        command, check=False, cwd=folder, capture_output=True, text=True, env=environments.plain_environ()
    )
    if done.returncode:
        raise CheckFailedError(f"{' '.join(command[:4])}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout.strip()


def _check_committed() -> str:
    if changed := _output("git", "status", "--porcelain"):
        raise CheckFailedError(f"not committed: {', '.join(line[3:] for line in changed.splitlines())}")
    return _output("git", "rev-parse", "--short", "HEAD")


def _check_tag() -> str:
    tag = f"v{version()}"
    if _output("git", "tag", "--list", tag) and _output("git", "rev-list", "-1", tag) != _output(
        "git", "rev-parse", "HEAD"
    ):
        raise CheckFailedError(f"{tag} is the tag of another commit: raise the version")
    return tag


def _source() -> str:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return str(project["urls"]["Source"])


def _hatchling(target: str, into: Path, folder: Path = PROJECT) -> None:
    python = str(environments.python_of("no-airflow"))
    _output(python, "-m", "hatchling", "build", "--target", target, "--directory", str(into), folder=folder)


def _build() -> str:
    if failures := environments.make(["no-airflow"]):
        raise CheckFailedError("; ".join(failures.values()))
    shutil.rmtree(DIST, ignore_errors=True)
    for target in ("sdist", "wheel"):
        _hatchling(target, DIST)
    return ", ".join(sorted(file.name for file in DIST.iterdir()))


def _one(pattern: str, folder: Path = DIST) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise CheckFailedError(f"{folder} has {len(found)} files {pattern}")
    return found[0]


def _wheel() -> zipfile.ZipFile:
    return zipfile.ZipFile(_one("*.whl"))


def _kept_files() -> list[str]:
    return _output("git", "ls-files", PACKAGE).splitlines()


def _metadata() -> Message:
    wheel = _wheel()
    (name,) = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def _check_sdist() -> str:
    """Build the wheel from the sdist, as pip does where it is told to, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(_one("*.tar.gz")) as sdist:
            sdist.extractall(folder, filter="data")
        (unpacked,) = Path(folder).iterdir()
        _hatchling("wheel", Path(folder, "dist"), unpacked)
        again = zipfile.ZipFile(_one("*.whl", Path(folder, "dist")))
        wheel = _wheel()
        files = {name: wheel.read(name) for name in wheel.namelist()}
        if files != {name: again.read(name) for name in again.namelist()}:
            raise CheckFailedError("the wheel that the sdist builds is another one")
    return "the same files"


def _check_with_twine() -> str:
    with tempfile.TemporaryDirectory() as folder:
        pip = _new_environment(folder)
        _output(*pip, "install", "--quiet", "twine")
        _output(pip[0], "-m", "twine", "check", "--strict", *sorted(map(str, DIST.iterdir())))
    return "passed"


def _check_installed() -> str:
    with tempfile.TemporaryDirectory() as folder:
        pip = _new_environment(folder)
        pins = PROJECT / "constraints" / "airflow-3.3.txt"
        _output(*pip, "install", "--quiet", f"{_one('*.whl')}[sandbox]", "--constraint", str(pins))
        _output(*pip, "check")
        # From another folder: here, Python would import the sources.
        return _output(pip[0], "-W", "ignore", "-c", IMPORT_ALL, folder=Path(folder)).splitlines()[-1]


def _new_environment(folder: str) -> list[str]:
    venv.create(folder, with_pip=True)
    return [str(Path(folder, "bin", "python")), "-m", "pip"]


if __name__ == "__main__":
    sys.exit(main())
