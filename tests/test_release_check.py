"""The checks before a release, on what they are given."""

from __future__ import annotations

import sys
from datetime import date
from email.parser import Parser
from pathlib import Path

import pytest

import airflow_provider_mics

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import release_check
from release_check import CheckFailedError, check_changelog, check_readme, check_repository, check_wheel

TODAY = date(2026, 12, 1)
CHANGELOG = """# Changelog

## [1.1.0] - 2026-12-01

### Added

- Something.

## [1.0.0] - unreleased

- Older.

## [0.9.0] - 2027-01-01

- To come.

## [0.8.0] - 2026-01-01

Nothing but words.
"""


def test_a_release_with_a_date_and_an_entry() -> None:
    assert check_changelog(CHANGELOG, "1.1.0", TODAY) == "2026-12-01"


@pytest.mark.parametrize(
    ("release", "problem"),
    [
        ("1.2.0", r"no section '## \[1.2.0\] - <date>'"),
        ("1.0.0", "has no date, but 'unreleased'"),
        ("0.9.0", "is dated 2027-01-01, which is to come"),
        ("0.8.0", "says nothing"),
        ("1x1.0", "no section"),
    ],
)
def test_a_changelog_that_is_not_ready(release: str, problem: str) -> None:
    with pytest.raises(CheckFailedError, match=problem):
        check_changelog(CHANGELOG, release, TODAY)


@pytest.mark.parametrize(
    "remote",
    [
        "https://code.test/us/ours",
        "https://code.test/us/ours.git",
        "https://user:word@code.test/us/ours.git",
        "git@code.test:us/ours.git",
        "ssh://git@code.test:2222/us/ours.git",
        "https://code.test/Us/Ours/",
    ],
)
def test_the_origin_of_git_is_the_source(remote: str) -> None:
    assert check_repository("https://code.test/us/ours", remote)


@pytest.mark.parametrize(
    "remote", ["https://code.test/us/other", "git@elsewhere.test:us/ours.git", "/srv/ours.git", ""]
)
def test_another_origin_is_a_failure_that_does_not_repeat_a_password(remote: str) -> None:
    with pytest.raises(CheckFailedError, match=r"set project\.urls") as caught:
        check_repository("https://code.test/us/ours", remote)
    assert "word" not in str(caught.value)


INFO = [
    f"airflow_provider_mics-1.0.0.dist-info/{name}"
    for name in ("METADATA", "WHEEL", "entry_points.txt", "licenses/LICENSE", "RECORD")
]
FILES = ["airflow_provider_mics/__init__.py", "airflow_provider_mics/py.typed"]


def test_a_wheel_has_the_files_of_the_repository() -> None:
    assert check_wheel([*FILES, *INFO], FILES, "1.0.0") == "7 files"


@pytest.mark.parametrize(
    "names",
    [[*FILES[1:], *INFO], [*FILES, *INFO, "tests/test_x.py"], [*FILES, *INFO[1:]], [*FILES, *INFO, "x.pyc"]],
)
def test_a_wheel_with_more_or_less_is_a_failure_that_names_it(names: list[str]) -> None:
    wrong = ({*FILES, *INFO} ^ {*names}).pop()
    with pytest.raises(CheckFailedError, match=wrong):
        check_wheel(names, FILES, "1.0.0")


def readme(text: str, kind: str = "text/markdown"):
    return Parser().parsestr(f"Metadata-Version: 2.4\nDescription-Content-Type: {kind}\n\n{text}")


LONG = "words [x](https://x.test) ![y](https://y.test/y.png) [z](#z)\n" * 30


def test_a_readme_with_absolute_links() -> None:
    assert check_readme(readme(LONG)) == "30 lines, 90 links"


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        (readme("short"), "no readme"),
        (readme(LONG, "text/plain"), "no readme"),
        (readme(f"{LONG}[a](docs/a.md) ![b](b.png)"), r"relative links: docs/a\.md, b\.png"),
    ],
)
def test_a_readme_that_an_index_cannot_show(metadata, problem: str) -> None:
    with pytest.raises(CheckFailedError, match=problem):
        check_readme(metadata)


def test_the_version_is_the_one_of_the_package() -> None:
    assert release_check.version() == airflow_provider_mics.__version__


@pytest.mark.parametrize("wrong", ["1.0", "1.0.0.dev1", "1.0.0+local", "v1.0.0", ""])
def test_another_version_is_none(wrong: str) -> None:
    assert release_check.RELEASE.fullmatch(wrong) is None
