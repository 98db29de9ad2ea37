"""The documentation as pages: built with warnings as errors, from nothing but this folder."""

from __future__ import annotations

import html
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BUILD_LIMIT_SECONDS = 240


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--config-file", str(config), "--site-dir", str(site)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=BUILD_LIMIT_SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_nothing_is_fetched_from_another_host(site: Path):
    loads = re.compile(
        r"<(?:script|img|iframe|link(?![^>]*rel=\"?canonical))[^>]*(?:src|href)=\"?(https?://[^\" >]+)"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    assert not {found for page in pages for found in loads.findall(page.read_text())}


def test_a_reference_has_the_arguments_of_base_classes_with_their_types_and_defaults(site: Path):
    page = re.sub(r"<[^>]+>", " ", (site / "reference" / "operators" / "index.html").read_text())
    text = html.unescape(" ".join(page.split()))
    assert "MicsCreateExecutionOperator" in text
    assert re.search(r"mics_conn_id str the Airflow connection .{0,60}'mics_default'", text)
    assert re.search(r"submission_timeout float \| timedelta how long to retry .{0,250}600\.0", text)


def test_the_sandbox_page_has_every_option_and_quirk(site: Path):
    from airflow_provider_mics.sandbox.quirks import Quirks

    text = (site / "reference" / "sandbox" / "index.html").read_text()
    for name in (
        "--seed-demo",
        "--speed",
        "--quirk",
        "sandbox.outcome",
        "/_sandbox/tokens",
        *Quirks.model_fields,
    ):
        assert name in text


def test_what_is_broken_fails_the_build(tmp_path: Path):
    """With the settings of our own file, on a site that has one fault of each kind."""
    settings = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[0]
    settings = settings.replace("docs_dir: docs", "docs_dir: pages").replace("- tools/", f"- {ROOT}/tools/")
    (tmp_path / "mkdocs.yml").write_text(f"{settings}\nnav:\n  - index.md\n  - gone.md\n")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text(
        "# One\n\n[a](missing.md) [b](#nowhere) [c](/absolute.md) ![d](missing.png)\n\n[An object][no.such.object]\n"
    )
    (tmp_path / "pages" / "unlisted.md").write_text("# Two\n")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    for fault in (
        "gone.md",
        "missing.md",
        "nowhere",
        "absolute.md",
        "missing.png",
        "no.such.object",
        "unlisted.md",
    ):
        assert fault in done.stderr, done.stderr
    assert "strict mode" in done.stdout + done.stderr


def test_the_client_page_has_every_public_function_and_error():
    from airflow_provider_mics import api

    page = (ROOT / "docs" / "reference" / "client.md").read_text()
    for name in api.__all__:
        one = getattr(api, name)
        if inspect.isfunction(one) or (inspect.isclass(one) and issubclass(one, Exception)):
            assert f"::: {one.__module__}.{one.__qualname__}\n" in page


def test_the_table_of_contents_is_that_of_the_folder():
    """A page that is missing is named here as well, for those who do not build the site."""

    def pages(entries: list) -> list[str]:
        values = [
            value for entry in entries for value in (entry.values() if isinstance(entry, dict) else [entry])
        ]
        return [page for value in values for page in (pages(value) if isinstance(value, list) else [value])]

    text = re.sub(r"!!\S+", "", (ROOT / "mkdocs.yml").read_text())
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert set(pages(yaml.safe_load(text)["nav"])) == there
