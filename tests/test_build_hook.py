"""The README on a package index: no link leads to a file that is not there."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))
from hatch_build import with_absolute_links  # noqa: E402

SOURCE = "https://code.test/us/ours"
TARGET = re.compile(r"\]\(([^)\s]+)\)")
paths = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z0-9_]+)*(\.md|\.png|/)?(#[a-z-]+)?", fullmatch=True)
words = st.from_regex(r"[A-Za-z ,.]{1,20}", fullmatch=True)


@given(words, paths)
def test_a_link_leads_to_the_file_of_the_tag(text: str, path: str) -> None:
    line = f"See [{text}]({path}), and ![{text}]({path})."
    assert with_absolute_links(line, SOURCE, "v1.2.0") == (
        f"See [{text}]({SOURCE}/blob/v1.2.0/{path}), and ![{text}]({SOURCE}/raw/v1.2.0/{path})."
    )


@given(words, st.sampled_from(["https://x.test/a", "http://x.test", "mailto:a@x.test", "#install"]))
def test_other_links_stay(text: str, target: str) -> None:
    line = f"[{text}]({target}) ![{text}]({target})"
    assert with_absolute_links(line, SOURCE, "v1.2.0") == line


@pytest.mark.parametrize("text", ["a[0](b c)", "`x[1]`", "[only brackets]", "[link]: target"])
def test_what_is_no_link_stays(text: str) -> None:
    assert with_absolute_links(text, SOURCE, "v1.2.0") == text


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> tarfile.TarFile:
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(folder)],
        check=False,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.tar.gz")
    return tarfile.open(built)


@pytest.fixture(scope="module")
def metadata(sdist: tarfile.TarFile) -> Message:
    (member,) = [each for each in sdist.getmembers() if each.name.count("/") == 1 and "PKG-INFO" in each.name]
    file = sdist.extractfile(member)
    assert file is not None
    return Parser().parsestr(file.read().decode())


def urls_of(metadata: Message) -> dict[str, str]:
    return dict(each.split(", ", 1) for each in metadata.get_all("Project-URL", []))


def test_the_readme_of_the_metadata_has_absolute_links_only(metadata: Message) -> None:
    assert metadata["Description-Content-Type"] == "text/markdown"
    text = metadata.get_payload()
    assert "# airflow-provider-mics" in text
    targets = TARGET.findall(text)
    assert len(targets) >= len(TARGET.findall((PROJECT / "README.md").read_text())) > 5
    assert [each for each in targets if not each.startswith(("https://", "#"))] == []


def test_every_link_of_the_readme_into_the_repository_has_its_file(metadata: Message) -> None:
    source = re.escape(urls_of(metadata)["Source"])
    files = re.findall(rf"\({source}/(?:blob|raw)/v[^/]+/([^)#]+)", metadata.get_payload())
    assert files
    assert [each for each in files if not (PROJECT / each).exists()] == []


def test_the_project_urls_are_of_one_repository(metadata: Message) -> None:
    urls = urls_of(metadata)
    assert {"Source", "Documentation", "Changelog", "Issues"} <= {*urls}
    assert all(url.startswith(urls["Source"]) for url in urls.values())


def test_the_address_of_the_repository_is_written_in_one_place() -> None:
    source = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    files = [
        *PROJECT.glob("*.md"),
        *(PROJECT / "docs").rglob("*.md"),
        *(PROJECT / "airflow_provider_mics").rglob("*.py"),
    ]
    assert [str(file) for file in files if source in file.read_text()] == []


def test_the_sdist_has_what_builds_documents_and_explains_it(sdist: tarfile.TarFile) -> None:
    names = {each.name.partition("/")[2] for each in sdist.getmembers()}
    kept = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "hatch_build.py"]
    kept += ["docs/connection.md", "docs/images/dags.png", "dags/mics_chain.py"]
    kept += ["airflow_provider_mics/example_dags/.airflowignore", "airflow_provider_mics/py.typed"]
    assert set(kept) <= names
    assert not [each for each in names if each.startswith((".venvs", ".demo", "tests/", "constraints/"))]
