"""Who sees a line finds it: each message of the package is on a page of docs/troubleshooting."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import messages  # noqa: E402

from airflow_provider_mics.api.errors import MicsApiError  # noqa: E402

PAGES = sorted(path for path in messages.PAGES.glob("*.md") if path.name != "index.md")


def test_no_message_is_without_an_entry():
    missing = sorted(set(messages.templates()) - set(messages.listed()))
    assert not missing, "add them to a page of docs/troubleshooting: python3 tools/messages.py"


def test_no_entry_is_of_a_message_that_is_gone():
    assert not sorted(set(messages.listed()) - set(messages.templates()))


def test_each_message_has_one_entry():
    assert not {one: pages for one, pages in messages.listed().items() if len(pages) > 1}


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503, 504])
def test_an_error_of_the_platform_is_found_by_its_status(status: int):
    """Its words are the platform's own, so that no message of the package is like it."""
    line = str(MicsApiError("Something", status_code=status, request="GET /v1/x", error_id="e-1"))
    seen = line[line.index("(HTTP") : line.index(", error_id")]
    assert seen in (messages.PAGES / messages.NOT_OURS).read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_group_says_what_it_means_and_what_to_do(page: Path):
    groups = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[1:]
    assert groups
    for group in groups:
        title, _, text = group.partition("\n")
        assert re.search(r"^\*\*Means\*\*: \S", text, re.MULTILINE), title
        assert re.search(r"^\*\*Do\*\*: \S", text, re.MULTILINE), title
        assert re.search(r"^- `", text, re.MULTILINE), title
        anchor = re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip())
        assert f"({page.name}#{anchor})" in (messages.PAGES / "index.md").read_text(), title


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('raise ValueError(f"{name}: no {thing!r} here, it is gone")', {"…: no … here, it is gone"}),
        ('log.warning("Could not read %s: %d of %s.", a, b, c)', {"Could not read …: … of …."}),
        ('log.error("Gone away")', {"Gone away"}),
        ('raise MicsError("not there") from None', {"not there"}),
        ('yield Log(30, f"{name} is gone")', {"… is gone"}),
        ('reason = "is archived on the " "platform"\nreturn Skip(reason)', {"is archived on the platform"}),
        ('line = f"{a}{b} tasks were erroneous"', {"… tasks were erroneous"}),
        ('def f():\n    """Say what the function does."""', set()),
        ('LIMIT = 3\n"""What the constant is for."""', set()),
        ('x: "a type of some kind" = 3', set()),
        ('pattern = r"(?P<a>one two three)"', set()),
        ('key = "execution_id"', set()),
    ],
)
def test_a_message_is_recognised(code: str, found: set[str]):
    assert set(messages._templates_in(ast.parse(code))) == found
