"""What came over the wire becomes a value or one clear line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_mics.api import (
    Execution,
    Instance,
    MicsApiError,
    MicsAuthError,
    MicsError,
    MicsNotFoundError,
    MicsRateLimitError,
    MicsResponseError,
    Plugin,
)
from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.models import ConnectedUser, PluginProperty, PluginVersion
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.api.responses import (
    Response,
    ignore_body,
    one,
    one_with_raw,
    page,
    read_response,
    retry_after,
)
from tests.api.any_json import bodies
from tests.case_counts import cases

TOKEN = "tok/en+with&odd<signs>0123456789"


def outcome(body: Any, status: int = 200, read: Any = None, **headers: str) -> Any:
    """The value of an answer, or the error that it is."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        return read_response(
            Call("GET", "plugins/1", read or one(Plugin)), Response(status, names, content), TOKEN
        )
    except MicsError as error:
        return checked(error)


def checked(error: MicsError) -> MicsError:
    assert str(error)
    assert str(error).isprintable()
    assert TOKEN not in f"{error} {error!r}"
    return error


WRAPPER = {"status": "error", "error": "plugin_type must be defined", "error_code": "BAD", "error_id": "b7c1"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, MicsApiError),
        (202, MicsApiError),
        (400, MicsApiError),
        (401, MicsAuthError),
        (403, MicsAuthError),
        (404, MicsNotFoundError),
        (409, MicsApiError),
        (429, MicsRateLimitError),
        (500, MicsApiError),
        (503, MicsApiError),
        (599, MicsApiError),
        (999, MicsApiError),
    ],
)
def test_a_refusal_says_the_request_the_reason_the_code_and_the_reference(status, kind):
    error = outcome(WRAPPER, status)
    assert type(error) is kind
    assert (error.status_code, error.error_code, error.error_id) == (status, "BAD", "b7c1")
    assert error.message == "plugin_type must be defined"
    assert str(error) == (
        f"GET /v1/plugins/1: plugin_type must be defined (HTTP {status}, error_code BAD, error_id b7c1)"
    )


OF_NO_PLATFORM = {
    "nothing": b"",
    "a web page": b"<html><h1>404 Not Found</h1></html>",
    "text": b"upstream connect error",
    "other JSON": b'{"message": "no Route matched with those values"}',
    "Spring Boot": b'{"timestamp": 1, "status": 404, "error": "Not Found", "path": "/v1/plugins/1"}',
    "a status of health": b'{"status": "DOWN", "error": "no"}',
    "a success": b'{"status": "ok", "data": {"id": "1"}}',
    "a list": b"[]",
    "cut off": b'{"status": "error", "error": "no',
}


@pytest.mark.parametrize(
    "status", [301, 302, 304, 307, 400, 401, 403, 404, 405, 409, 410, 413, 422, 451, 500, 502]
)
@pytest.mark.parametrize("body", OF_NO_PLATFORM.values(), ids=OF_NO_PLATFORM.keys())
def test_a_refusal_without_the_platforms_wrapper_is_an_outage(status, body):
    error = outcome(body, status)
    assert type(error) is MicsApiError
    assert error.status_code == status
    assert not error.from_platform
    assert is_outage(error)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 422])
def test_a_refusal_in_the_platforms_wrapper_is_no_outage(status):
    error = outcome(WRAPPER, status)
    assert error.from_platform
    assert not is_outage(error)


NGINX = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (NGINX, "502 Bad Gateway 502 Bad Gateway"),
        (b"<!doctype html><p>Sign in &amp; go on</p>", "Sign in & go on"),
        (b"upstream connect error\n  or disconnect\r\n", "upstream connect error or disconnect"),
        (b'{"message": "Forbidden"}', '{"message": "Forbidden"}'),
        (b'{"status": "error", "error": null, "error_id": "7"}', '{"status": "error", "error": null'),
        (b'{"status": "error", "error": {"why": "x"}}', '{"why": "x"}'),
        (b'{"status": "error", "error": "' + b"a" * 5000 + b'"}', "a" * 199 + "…"),
        (b"", "no reason given"),
        (b"<html></html>", "no reason given"),
        (b"\xff\xfe\x00\x01 broken \x1b[31m", "broken"),
    ],
)
def test_a_refusal_in_any_form_is_one_readable_line(body, message):
    error = outcome(body, 502)
    assert type(error) is MicsApiError
    assert message in error.message
    assert len(error.message) <= 200


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_says_where_to_and_what_to_do(status):
    error = outcome(b"", status, location=f"https://elsewhere.example/?t={TOKEN}")
    assert "the platform redirects to https://elsewhere.example/?t=***: set the connection's host" in str(
        error
    )


NONSENSE: list[tuple[str, Any, str]] = [
    ("nothing", b"", "the response is not JSON: "),
    ("a web page", NGINX, "the response is not JSON: 502 Bad Gateway"),
    ("text", b"hello", "the response is not JSON: hello"),
    ("cut off", b'{"status": "ok", "data": {"id": "1', 'the response is not JSON: {"status": "ok"'),
    ("a list", [], "the response cannot be read (it: "),
    ("a number", 3, "the response cannot be read (it: "),
    ("null", None, "the response cannot be read (it: "),
    ("no data", {"status": "ok"}, "the response cannot be read (data: Field required)"),
    ("null data", {"status": "ok", "data": None}, "the response cannot be read (data: "),
    ("data of another kind", {"status": "ok", "data": "x"}, "the response cannot be read (data: "),
    ("a list for one", {"status": "ok", "data": []}, "the response cannot be read (data: "),
    (
        "no id",
        {"status": "ok", "data": {"name": "x"}},
        "the response cannot be read (data.id: Field required)",
    ),
    ("null id", {"status": "ok", "data": {"id": None}}, "the response cannot be read (data.id: "),
    ("true for an id", {"status": "ok", "data": {"id": True}}, "the response cannot be read (data.id: "),
    ("half an id", {"status": "ok", "data": {"id": 1.5}}, "the response cannot be read (data.id: "),
    ("NaN", b'{"status": "ok", "data": {"id": NaN}}', "the response "),
    ("not UTF-8", b'{"status": "ok", "data": {"id": "\xff"}}', "the response cannot be read (data.id: "),
    ("deep", b"[" * 100_000, "the response is not JSON: "),
]


@pytest.mark.parametrize(("what", "body", "line"), NONSENSE, ids=[row[0] for row in NONSENSE])
def test_an_answer_without_sense_is_no_success(what, body, line):
    error = outcome(body)
    assert type(error) is MicsResponseError
    assert str(error).startswith(f"GET /v1/plugins/1: {line}")


@pytest.mark.parametrize("data", [None, {}, "x", 3, [3], [{}], [{"id": None}]])
def test_a_list_without_sense_is_no_success(data):
    assert type(outcome({"status": "ok", "data": data}, read=page(Plugin))) is MicsResponseError


@pytest.mark.parametrize(
    "body", [b"", b"OK", b"done\n", b"{}", b'{"status": "ok"}', b"null", b'{"status": "ok", "data": {}}']
)
def test_a_success_that_says_nothing_more_may_come_in_any_form(body):
    assert outcome(body, read=ignore_body) is None


def test_a_web_page_is_no_success_of_anything():
    error = outcome(NGINX, read=ignore_body)
    assert type(error) is MicsResponseError
    assert "the response is a web page: 502 Bad Gateway" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        {"message": "no route"},
        {"error": "no", "x": 3},
        {"data": {"id": "1"}},
        {"status": 404, "error": "Not Found", "path": "/v1/plugins/1", "data": {"id": "1"}},
        {"status": "UP", "data": {"id": "1"}},
        {"status": None, "data": {"id": "1"}},
    ],
)
@pytest.mark.parametrize("read", [one(Plugin), one_with_raw(Plugin), ignore_body])
def test_json_of_somebody_elses_is_no_success_of_anything(body, read):
    error = outcome(body, read=read)
    assert type(error) is MicsResponseError
    assert is_outage(error)
    assert "the response is not the platform's" in str(error) or "data: Field required" in str(error)


@pytest.mark.parametrize("body", [{"data": []}, {"status": "UP", "data": []}, {"status": 200, "data": []}])
def test_a_list_without_the_platforms_wrapper_is_not_an_empty_list(body):
    assert type(outcome(body, read=page(Plugin))) is MicsResponseError


@pytest.mark.parametrize("read", [one(Plugin), page(Plugin), one_with_raw(Plugin), ignore_body])
@pytest.mark.parametrize("word", ["error", "ERROR"])
def test_an_error_with_a_good_status_is_an_error_for_every_reader(read, word):
    body = {**WRAPPER, "status": word}
    assert type(outcome(body, read=read)) is MicsApiError
    assert type(outcome({**body, "data": {"id": 1}}, read=read)) is MicsApiError
    assert type(outcome({**body, "data": []}, read=read)) is MicsApiError


def test_what_is_written_back_is_read_as_it_came():
    raw = {"id": 7, "cron": None, "when": 9223372036854775807, "new": {"deep": [1, 2.5]}}
    value, as_it_came = outcome({"status": "ok", "data": raw}, read=one_with_raw(Instance))
    assert value.id == "7"
    assert as_it_came == raw


class TestRetryAfter:
    DATE = "Mon, 02 Mar 2026 12:00:00 GMT"

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({}, None),
            ({"retry-after": ""}, None),
            ({"retry-after": "7"}, 7.0),
            ({"retry-after": " 0 "}, 0.0),
            ({"retry-after": "1.5"}, 1.5),
            ({"retry-after": "-3"}, 0.0),
            ({"retry-after": "soon"}, None),
            ({"retry-after": "nan"}, None),
            ({"retry-after": "inf"}, None),
            ({"retry-after": "1e999"}, None),
            ({"retry-after": "Mon, 02 Mar 2026 12:00:30 GMT", "date": DATE}, 30.0),
            ({"retry-after": "Mon, 02 Mar 2026 11:00:00 GMT", "date": DATE}, 0.0),
            ({"retry-after": "Mon, 02 Mar 2026 12:00:30 -0000", "date": DATE}, None),
            ({"retry-after": "Mon, 02 Mar 2026 12:00:30 GMT"}, None),
            ({"retry-after": "Mon, 02 Mar 2026 12:00:30 GMT", "date": "yesterday"}, None),
        ],
    )
    def test_is_seconds_or_a_date_against_the_answers_own(self, headers, seconds):
        assert retry_after(headers) == seconds

    @given(st.text(max_size=40), st.text(max_size=40))
    def test_is_a_number_of_seconds_or_nothing_whatever_the_header(self, value, date):
        seconds = retry_after({"retry-after": value, "date": date})
        assert seconds is None or 0 <= seconds < float("inf")

    def test_is_in_the_error(self):
        assert outcome(WRAPPER, 429, retry_after="12").retry_after == 12.0


class TestTheToken:
    """A server may echo it anywhere, in whatever spelling; nobody ever reads it."""

    @pytest.mark.parametrize("status", [200, 302, 400, 401, 500])
    @pytest.mark.parametrize(
        "body",
        [
            TOKEN,
            {"status": "error", "error": f"token {TOKEN} is wrong", "error_code": TOKEN, "error_id": TOKEN},
            {"status": "ok", "data": TOKEN},
            {"data": {TOKEN: TOKEN}},
            json.dumps({"message": TOKEN}).replace("/", "\\/").encode(),
            f"<p>{TOKEN.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}</p>".encode(),
            b"tok%2Fen%2Bwith%26odd%3Csigns%3E0123456789",
        ],
    )
    def test_is_taken_out_of_every_message(self, body, status):
        error = outcome(body, status, location=f"/{TOKEN}")
        assert "0123456789" not in f"{error} {error!r} {vars(error)}"

    @pytest.mark.parametrize("lead", [*range(150, 260), *range(3950, 4010)])
    def test_does_not_stay_by_half_where_a_text_is_cut(self, lead):
        for body in (b"x" * lead + TOKEN.encode(), b" " * lead + TOKEN.encode() * 3 + b" " * 9000):
            assert "tok/en" not in str(outcome(body, 500))
            assert "tok/en" not in str(outcome(body, 200))
            assert "tok/en" not in str(outcome({"error": body.decode()}, 500))


READERS = [
    one(Instance),
    one(Execution),
    one(Plugin),
    one(PluginVersion),
    one(PluginProperty),
    one(ConnectedUser),
    one_with_raw(Instance),
    page(Instance),
    page(Execution),
    page(PluginProperty),
    ignore_body,
]


@settings(max_examples=cases(500))
@given(bodies, st.integers(100, 999), st.sampled_from(READERS), st.text(max_size=30), st.text(max_size=30))
@example(b'{"status": "ok", "data": {"id": ' + b"9" * 5000 + b"}}", 200, one(Instance), "", "")
@example(
    b'{"status": "ok", "data": {"id": "1", "name": ' + b"9" * 5000 + b"}}",
    200,
    one_with_raw(Instance),
    "",
    "",
)
@example(b'{"status": "ok", "data": {"id": "1", "creation_ts": 1e400}}', 200, one(Instance), "", "")
@example(
    b'{"status": "ok", "data": {"id": "1", "x": ' + b"[" * 150 + b"]" * 150 + b"}}",
    200,
    one_with_raw(Instance),
    "",
    "",
)
@example(b'{"status": "ok", "data": {"id": "\\ud800"}}', 200, one(Instance), "", "")
def test_any_answer_at_all_gives_a_value_or_a_mics_error(body, status, read, retry, location):
    value = outcome(body, status, read, retry_after=retry, location=location)
    if status >= 300 or status < 200:
        assert isinstance(value, MicsApiError)


@settings(max_examples=cases(150))
@given(bodies)
def test_whatever_was_read_can_be_asked_everything_and_written_again(body):
    for read in (one(Execution), one(Instance), one(ConnectedUser)):
        value = outcome(body, 200, read)
        if isinstance(value, MicsError):
            continue
        for name, member in vars(type(value)).items():
            if isinstance(member, property):
                getattr(value, name)
        assert type(value).model_validate(value.to_json()) == value
