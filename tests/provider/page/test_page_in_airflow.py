"""The page in a real Airflow: what it shows to whom, what it does, and what it refuses; also in a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import requests

from local_airflow.chromium import Chromium
from local_airflow.components import HAS_PAGES
from local_airflow.home import copy_of
from tests.chromium import require_chromium

if not HAS_PAGES:
    pytest.skip("Airflow 2.11 and 3.0 have no such pages", allow_module_level=True)

from airflow_provider_mics.page.browsers import FORM_KEY_COOKIE
from airflow_provider_mics.page.responses import ANSWER_COOKIE
from tests.provider.page.airflow_with_page import MARKUP, SECRET, Lab, User, running

pytestmark = pytest.mark.long

ROUTES = (
    "", "static/page.css", "static/page.js", "static/icon.svg", "static/nothing", "dags/x", "dags/x/run",
    "instances/mics_default/1", "instances/mics_default/1/run", "docs", "openapi.json", "nothing",
)  # fmt: skip


@pytest.fixture(scope="module")
def lab(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running(copy_of(airflow_home, tmp_path_factory.mktemp("page") / "airflow")) as lab:
        yield lab


@pytest.fixture(scope="module")
def admin(lab: Lab) -> User:
    return lab.sign_in("admin")


@pytest.fixture(scope="module")
def vera(lab: Lab) -> User:
    """She may read everything in Airflow, and change nothing."""
    return lab.sign_in("vera")


@pytest.fixture(scope="module")
def chromium(lab: Lab, admin: User, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    require_chromium()
    with Chromium(tmp_path_factory.mktemp("chromium") / "chromedriver.log") as browser:
        browser.open(f"{lab.url}/static/icon.svg")
        browser.add_cookie("_token", admin.token)
        yield browser


@pytest.mark.parametrize("path", ROUTES)
def test_no_route_is_open(lab: Lab, path: str) -> None:
    for method in ("GET", "POST", "HEAD"):
        answer = requests.request(method, f"{lab.url}/{path}", timeout=60, allow_redirects=False)
        assert answer.status_code in (401, 404, 405), (method, path)
        assert "batch_" not in answer.text
    forged = {"Authorization": "Bearer x.y.z"}
    assert requests.get(f"{lab.url}/", headers=forged, timeout=60).status_code in (401, 403)


def test_each_page_is_strict(lab: Lab, admin: User) -> None:
    for path in ("", lab.path("nightly"), f"{lab.path('nightly')}/run", "static/page.js", "dags/nothing"):
        answer = admin.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert " style=" not in answer.text
        assert " onclick=" not in answer.text


def test_the_list_has_all_batches_and_says_what_differs(lab: Lab, admin: User) -> None:
    page = admin.get().text
    for name in lab.ids:
        assert f'id="{lab.path(name)}"' in page
    assert "no DAG" in page
    assert "every day at 03:00" in page
    assert admin.get("?q=nightly").text.count('<th scope="row">') == 1
    assert admin.get("?q=zzz").text.count("No batch matches") == 1


def test_names_with_markup_are_text(lab: Lab, admin: User) -> None:
    for path in ("", lab.path("markup"), f"{lab.path('markup')}/run", "?q=" + MARKUP):
        page = admin.get(path).text
        assert "<img src=x" not in page
        assert "<b>bold" not in page
    assert "&lt;img src=x onerror=" in admin.get().text


def test_no_secret_is_shown(lab: Lab, admin: User) -> None:
    page = admin.get(lab.path("nightly")).text
    assert "partner_password" in page
    assert "/in/&lt;nightly&gt;" in page
    for each in (page, admin.get().text):
        assert SECRET not in each
        assert lab.sandbox.token not in each
        assert admin.token not in each


def test_a_user_without_rights_sees_and_does_nothing(lab: Lab, admin: User, vera: User) -> None:
    page = vera.get().text
    assert f'id="{lab.path("nightly")}"' in page
    assert f'id="{lab.path("without")}"' not in page, "she may not read the connection"
    assert "/run" not in page
    assert "/pause" not in page
    assert "/dag_off" not in page
    own = vera.get(lab.path("nightly"))
    assert own.status_code == 200
    assert "Run now" not in own.text
    assert vera.get(lab.path("without")).status_code == 404
    before = lab.executions("nightly")
    for action in ("run", "run_at", "pause", "cancel", "dag_off"):
        path = f"{lab.path('nightly')}/{action}"
        assert vera.get(path).status_code == 403
        assert vera.send(path, admin.form(f"{lab.path('nightly')}/run")).status_code == 403
    assert lab.executions("nightly") == before
    assert lab.instance("nightly")["cron_status"] == "ACTIVE"


def test_a_forged_request_is_refused(lab: Lab, admin: User) -> None:
    path = f"{lab.path('nightly')}/run"
    form, before = admin.form(path), lab.airflow.api.runs(lab.dag_id("nightly"))
    other_session = lab.sign_in("admin")
    for forged in (
        form | {"csrf_token": ""},
        form | {"csrf_token": "0" * 64},
        form | {"csrf_token": other_session.form(path)["csrf_token"]},
        {key: value for key, value in form.items() if key != "csrf_token"},
    ):
        assert admin.send(path, forged).status_code == 403
    assert admin.send(path, form, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    many = {f"field{number}": "x" for number in range(99)}
    assert admin.send(path, form | many).status_code == 403, "no field of it is read"
    assert admin.send(path, form | {"x": "y" * 30_000}).status_code == 413
    json_sent = admin.http.post(f"{lab.url}/{path}", json=form, timeout=60)
    assert json_sent.status_code == 415
    assert admin.send(path, form | {"asked_at": "1"}).status_code == 400
    assert admin.send(path, form | {"request_id": "../x"}).status_code == 400
    assert admin.send(f"{lab.path('nightly')}/explode", form).status_code == 404
    assert admin.send(f"{lab.path('nightly')}/resume", form).status_code == 409
    for action in ("run", "pause", "dag_off"):
        assert admin.get(f"{lab.path('nightly')}/{action}?csrf_token={form['csrf_token']}").status_code == 200
    assert lab.airflow.api.runs(lab.dag_id("nightly")) == before
    assert lab.instance("nightly")["cron_status"] == "ACTIVE"


def test_a_form_outlives_the_token_that_airflow_replaces(lab: Lab) -> None:
    user = lab.sign_in("admin")
    path = f"{lab.path('markup')}/dag_off"
    form = user.form(path)
    user.http.cookies.set("_token", lab.sign_in("admin").token)
    answer = user.send(path, form)
    assert answer.status_code == 303, answer.text
    user.http.cookies.set("_token", lab.sign_in("vera").token)
    assert "The DAG is off" not in user.get(lab.path("markup")).text, "the answer is of another user"
    user.http.cookies.set("_token", lab.sign_in("admin").token)
    assert "The DAG is off" in user.get(lab.path("markup")).text
    form = user.form(path.replace("off", "on"))
    user.http.cookies.clear(domain="127.0.0.1", path="/mediarithmics", name=FORM_KEY_COOKIE)
    assert user.send(path.replace("off", "on"), form).status_code == 403
    user.act(path.replace("off", "on"))


def test_the_cookie_of_forms_is_for_no_script_and_for_no_other_site(lab: Lab) -> None:
    user = lab.sign_in("admin")
    cookies = user.get(f"{lab.path('markup')}/run").headers["set-cookie"].lower()
    assert f"{FORM_KEY_COOKIE}=" in cookies
    assert "httponly" in cookies
    assert "samesite=strict" in cookies
    assert FORM_KEY_COOKIE not in user.get(f"{lab.path('markup')}/run").headers.get("set-cookie", "")


def test_a_batch_without_a_dag_runs_once_for_each_form(lab: Lab, admin: User) -> None:
    path = f"{lab.path('without')}/run"
    form = admin.form(path)
    for _ in range(2):
        assert admin.send(path, form).status_code == 303
    page = admin.get(lab.path("without")).text
    assert "Airflow does not know of it" in page
    assert len(lab.executions("without")) == 1


@pytest.mark.parametrize("name", ["paused", "without"])
def test_a_form_that_is_sent_twice_at_once_starts_one_execution(lab: Lab, admin: User, name: str) -> None:
    path = f"{lab.path(name)}/run"
    form, before = admin.form(path), len(lab.executions(name))
    with ThreadPoolExecutor(2) as browsers:
        answers = list(browsers.map(lambda _: admin.send(path, form), range(2)))
    assert [each.status_code for each in answers] == [303, 303]
    said = [each.cookies[ANSWER_COOKIE] for each in answers]
    assert said[0] == said[1]
    if name == "without":
        assert len(lab.executions(name)) == before + 1
    else:
        assert len(lab.airflow.api.runs(lab.dag_id(name))) == 1


def test_a_start_in_the_future_waits_and_can_be_canceled(lab: Lab, admin: User) -> None:
    page = admin.act(f"{lab.path('without')}/run_at", start="2031-05-06T07:30", zone="Europe/Paris")
    assert "created on the platform, PENDING" in page
    newest = max(lab.executions("without"), key=lambda each: int(each["id"]))
    assert newest["expected_start_date"] // 1000 == 1935811800, "07:30 in Paris is 05:30 UTC"
    wrong = admin.form(f"{lab.path('without')}/run_at") | {
        "start": "2031-03-30T02:30",
        "zone": "Europe/Paris",
    }
    assert admin.send(f"{lab.path('without')}/run_at", wrong).status_code == 400
    page = admin.act(f"{lab.path('without')}/cancel?execution_id={newest['id']}")
    assert f"Execution {newest['id']}" in page
    assert max(lab.executions("without"), key=lambda each: int(each["id"]))["status"] == "CANCELED"


def test_run_at_goes_through_the_dag(lab: Lab, admin: User) -> None:
    page = admin.act(f"{lab.path('slow')}/run_at", start="2031-05-06T07:30", zone="UTC")
    assert "Started through its DAG" in page
    [created] = lab.airflow.until(lambda: lab.executions("slow"), 180)
    assert (created["status"], created["expected_start_date"] // 1000) == ("PENDING", 1935819000)


def test_the_dag_is_switched_off_and_on(lab: Lab, admin: User) -> None:
    dag_id = lab.dag_id("paused")
    assert "The DAG is off." in admin.act(f"{lab.path('paused')}/dag_off")
    assert lab.airflow.api.dags()[dag_id]["is_paused"]
    admin.act(f"{lab.path('paused')}/dag_on")
    assert not lab.airflow.api.dags()[dag_id]["is_paused"]


def test_an_error_of_the_platform_is_shown_with_its_id(lab: Lab, admin: User) -> None:
    lab.sandbox.faults([{"kind": "500", "method": "PUT"}])
    try:
        page = admin.act(f"{lab.path('paused')}/resume")
    finally:
        lab.sandbox.clear_faults()
    assert "Not done" in page
    assert "error_id" in page
    assert lab.instance("paused")["cron_status"] == "PAUSED"


def frame(chromium: Chromium, lab: Lab, path: str = "plugin/mediarithmics") -> None:
    """Open a page of Airflow that has the page in a frame, and go on in the frame."""
    chromium.leave_frame()
    chromium.open(f"{lab.airflow.url}/{path}")
    chromium.enter_frame("iframe")
    chromium.one("main")


def test_run_now_in_a_browser_is_an_execution_and_a_run(lab: Lab, chromium: Chromium) -> None:
    frame(chromium, lab)
    chromium.one("input[type=search]").type("nightly\n")
    chromium.until(lambda: len(chromium.all("tbody tr")) == 1, "the filter")
    chromium.one("td.act a").click()
    chromium.one("form.confirm button").click()
    said = chromium.one(".said .answer").text
    assert "Started through its DAG" in said
    assert chromium.run("return location.search") == "?q=nightly"
    [run] = [each for each in lab.airflow.api.runs(lab.dag_id("nightly")) if each["run_type"] == "manual"]
    assert run["dag_run_id"] in said
    state = lambda: lab.airflow.api.run_state(lab.dag_id("nightly"), run["dag_run_id"])  # noqa: E731
    lab.airflow.until(lambda: state() == "success", 180)
    [execution] = [each for each in lab.executions("nightly") if each["execution_type"] == "MANUAL"]
    assert execution["status"] == "SUCCEEDED"

    def mark() -> Any:
        chromium.one("header .when a").click()
        chromium.one("table.batches")
        return chromium.all("a.m.succeeded[title*='fired by Airflow']")

    [link, *_] = chromium.until(mark, "the mark", 40)
    link.click()
    chromium.leave_frame()
    chromium.until(lambda: "/runs/manual__" in chromium.url and "/plugin/" not in chromium.url, "the run")


def test_pause_in_a_browser_takes_the_schedule_away(lab: Lab, chromium: Chromium) -> None:
    frame(chromium, lab, f"dags/{lab.dag_id('nightly')}/plugin/mediarithmics-batch")
    assert chromium.one("h1").text.startswith("Nightly import")
    assert len(chromium.all("ol.ticks li")) == 10
    chromium.one("a.button[href$='/pause']").click()
    chromium.one("form.confirm button").click()
    assert "PAUSED" in chromium.one(".answer").text
    assert lab.instance("nightly")["cron_status"] == "PAUSED"
    lab.airflow.until(lambda: not lab.airflow.api.dags()[lab.dag_id("nightly")]["timetable_summary"], 180)


def test_a_name_with_markup_does_nothing_in_a_browser(lab: Lab, chromium: Chromium) -> None:
    for path in ("", lab.path("markup"), f"{lab.path('markup')}/run"):
        chromium.open(f"{lab.url}/{path}")
        chromium.one("main")
        assert chromium.all("img") == []
        assert chromium.run("return document.title") != "owned"
        assert MARKUP in chromium.run("return document.body.innerText")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 420])
def test_axe_finds_nothing_serious(lab: Lab, chromium: Chromium, theme: str, width: int) -> None:
    axe = (resources.files("axe_core_python") / "axe.min.js").read_text()
    chromium.resize(width, 900)
    for path in ("", "?q=zzz", lab.path("without"), f"{lab.path('without')}/run_at"):
        chromium.open(f"{lab.url}/{path}")
        chromium.run("localStorage.setItem('theme', arguments[0])", theme)
        chromium.open(f"{lab.url}/{path}")
        chromium.one("main")
        assert chromium.run("return document.documentElement.dataset.theme") == theme
        assert chromium.problems(axe) == []
        assert chromium.run("return document.documentElement.scrollWidth <= innerWidth"), "it fits its window"
    chromium.resize(1400, 900)


def test_times_are_in_the_zone_that_the_user_chose(lab: Lab, chromium: Chromium) -> None:
    chromium.open(f"{lab.url}/")
    for zone in ("Asia/Tokyo", "Europe/Paris", "Asia/Tokyo", "Europe/Paris", "UTC"):
        chromium.run("localStorage.setItem('timezone', arguments[0])", zone)
        chromium.open(f"{lab.url}/")
        chromium.until(lambda zone=zone: f"times in {zone}" in chromium.source, zone)
    chromium.run("localStorage.setItem('timezone', 'Nowhere/Else')")
    chromium.open(f"{lab.url}/")
    chromium.until(lambda: chromium.run("return sessionStorage.getItem('mics_zone_tried')"), "the try")
    chromium.until(lambda: "times in UTC" in chromium.source, "a zone that there is")
    chromium.run("localStorage.setItem('timezone', 'UTC')")


def test_each_action_is_in_the_audit_log(lab: Lab, admin: User) -> None:
    logged = requests.get(
        f"{lab.airflow.url}/api/v2/eventLogs?limit=200",
        headers={"Authorization": f"Bearer {admin.token}"},
        timeout=60,
    ).json()["event_logs"]
    ours = {(each["event"], each["owner"]) for each in logged if each["event"].startswith("mics_batch_")}
    actions = ("run", "run_at", "cancel", "dag_off", "dag_on", "resume")
    assert {(f"mics_batch_{action}", "admin") for action in actions} <= ours
    assert "vera" not in {owner for _, owner in ours}
    failed = [each for each in logged if each["event"] == "mics_batch_resume"]
    assert "error_id" in failed[0]["extra"]


def test_while_the_platform_is_down_the_last_state_is_shown_with_its_age(lab: Lab, admin: User) -> None:
    lab.sandbox.kill()
    page = admin.act(f"{lab.path('paused')}/resume")
    assert "Not done" in page
    lab.sandbox.wait_until(lambda: " ago" in admin.get().text)
    page = admin.get().text
    assert "mediarithmics does not answer" in page
    assert "What is shown is of" in page
    assert f'id="{lab.path("nightly")}"' in page
    assert os.fspath(lab.airflow.home) not in page
