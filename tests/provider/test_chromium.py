"""The browser of the page's tests and of ``make pictures``, on a page of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local_airflow.chromium import BrowserError, Chromium
from tests.chromium import require_chromium

PAGE = (
    "data:text/html,<p>Hello</p><input name=user><b hidden>Nothing</b>"
    "<button onclick=\"document.body.append('pressed')\">Press</button>"
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chromium]:
    require_chromium()
    with Chromium(tmp_path / "chromedriver.log", width=500, height=300) as chromium:
        chromium.open(PAGE)
        yield chromium


def test_it_writes_clicks_and_takes_a_picture(browser: Chromium, tmp_path: Path):
    browser.find("input[name=user]").type("admin")
    browser.find("button", "Press").click()
    assert browser.run("return document.querySelector('input').value") == "admin"
    assert browser.run("return document.body.lastChild.data") == "pressed"
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert "ChromeDriver" in (tmp_path / "chromedriver.log").read_text()


@pytest.mark.parametrize(("selector", "text"), [("h1", ""), ("p", "Goodbye"), ("b", "Nothing")])
def test_what_is_not_to_be_seen_is_named(browser: Chromium, selector: str, text: str):
    with pytest.raises(BrowserError, match=f"no {selector} with '{text}' within 0.3 s at data:"):
        browser.find(selector, text, seconds=0.3)


def test_a_failed_command_is_an_error(browser: Chromium):
    with pytest.raises(BrowserError, match="javascript error"):
        browser.run("return nothing.at.all")
