"""The hook: valid and invalid connections, the Test button, and the methods."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from traceback import TracebackException
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from airflow import __version__ as airflow_version

from airflow_provider_mics import api, hooks
from airflow_provider_mics.hooks import MicsHook, mute_request_logs
from airflow_provider_mics.runtime.compat import Connection
from tests.provider.mics_connections import connection_to
from tests.raw_server import RawServer, Reply, answer_of
from tests.sandbox_server import SandboxServer

TOKEN = "a-token-that-nobody-may-read"
UNREAD = (
    "there is no connection 'mics_default' that Airflow can read in AIRFLOW_CONN_MICS_DEFAULT: "
    'write it as JSON whose values are texts, like {"conn_type": "mediarithmics", "password": "<API_TOKEN>", '
    '"login": "1185"}'
)


@pytest.fixture(scope="module")
def platform() -> Any:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Create ``mics_default`` from JSON fields or a URI, and return a hook for it."""

    def to(uri: str | None = None, **fields: Any) -> MicsHook:
        connection = uri or json.dumps({"conn_type": "mediarithmics", "password": TOKEN} | fields)
        monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", connection)
        return MicsHook()

    return to


def test_a_connection_only_needs_a_token(connect: Any) -> None:
    hook = connect()
    assert hook.settings.host == "https://api.mediarithmics.com"
    assert hook.organisation_id is None
    assert hook.timezone == "UTC"
    assert hook.console_url == "https://computing-console.mediarithmics.com"
    client = hook.get_conn()
    assert (client.connect_timeout, client.read_timeout, client.size_fields) == (10, 60, "documented")


EXTRA = {
    "organisation_id": "1185",
    "timezone": "Europe/Paris",
    "size_fields": "console",
    "console_url": "https://console.example.com/",
    "connect_timeout": "2.5",
    "read_timeout": "7",
    "proxies": "http://proxy:3128",
    "verify": "false",
}


@pytest.mark.parametrize("form", ["text in JSON", "numbers in JSON", "URI"])
def test_every_field_of_the_extra_may_be_text(connect: Any, form: str) -> None:
    if form == "URI":
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in EXTRA.items())
        hook = connect(f"mediarithmics://:{TOKEN}@http%3A%2F%2Fmics.example.com%3A8480/?{query}")
    elif form == "text in JSON":
        hook = connect(host="http://mics.example.com:8480", extra=json.dumps(EXTRA))
    else:
        numbers = {"organisation_id": 1185, "connect_timeout": 2.5, "read_timeout": 7, "verify": False}
        hook = connect(host="http://mics.example.com:8480", extra=EXTRA | numbers)
    assert hook.settings.host == "http://mics.example.com:8480"
    assert (hook.organisation_id, hook.timezone) == ("1185", "Europe/Paris")
    assert hook.console_url == "https://console.example.com"
    arguments = hook.settings.client_arguments(None, hook.log)
    assert arguments["timeout"] == (2.5, 7)
    assert arguments["size_fields"] == "console"
    assert arguments["verify"] is False
    assert arguments["proxies"] == {"http": "http://proxy:3128", "https": "http://proxy:3128"}


def test_the_organisation_may_be_in_the_forms_field(connect: Any) -> None:
    assert connect(login="1185").organisation_id == "1185"
    assert connect(login=" ").organisation_id is None
    assert connect(extra={"organisation_id": 1185.0}).organisation_id == "1185"
    assert connect("mediarithmics://1185:a-token@api.example.com").organisation_id == "1185"


def test_the_organisation_of_the_extra_comes_before_that_of_the_form(connect: Any) -> None:
    assert connect(login="2000", extra={"organisation_id": "1185"}).organisation_id == "1185"


def test_the_organisation_of_a_task_overrides_the_connections(connect: Any) -> None:
    connect(extra={"organisation_id": "1185"})
    hook = MicsHook(organisation_id="2000")
    assert hook.organisation_id == hook.get_conn().organisation_id == "2000"


@pytest.mark.parametrize(
    ("given", "meant"),
    [(2000, "2000"), (" 2000\n", "2000"), ("", "1185"), ("  ", "1185"), ("None", "1185"), (None, "1185")],
)
def test_the_organisation_of_a_task_may_come_from_a_template(connect: Any, given: Any, meant: str) -> None:
    connect(extra={"organisation_id": "1185"})
    hook = MicsHook(organisation_id=given)
    assert hook.organisation_id == hook.get_conn().organisation_id == meant


def test_a_blank_organisation_in_the_extra_is_none(connect: Any) -> None:
    assert connect(extra={"organisation_id": "  "}).organisation_id is None


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"host": "https://api.example.com/v1", "port": 443}, "https://api.example.com:443"),
        (
            {"host": "https://gateway.example.com/mics/", "port": 8443},
            "https://gateway.example.com:8443/mics",
        ),
        ({"host": "http://[::1]", "port": 8480}, "http://[::1]:8480"),
        ({"host": "http://api.example.com:8480", "port": 443}, "http://api.example.com:8480"),
        ({"host": "api.example.com", "schema": "http", "port": 8480}, "http://api.example.com:8480"),
        ({"host": "", "port": 8443}, "https://api.mediarithmics.com:8443"),
        ({"host": "https://api.example.com"}, "https://api.example.com"),
    ],
)
def test_the_port_becomes_part_of_the_address(connect: Any, fields: dict[str, Any], address: str) -> None:
    assert connect(**fields).get_conn().base_url == address


def test_proxies_may_be_json_in_the_forms_text_field(connect: Any) -> None:
    by_scheme = {"http": "http://u:p@one:3128", "https": "http://two:3128"}
    for given in (by_scheme, json.dumps(by_scheme), f" {json.dumps(by_scheme)}"):
        assert connect(extra={"proxies": given}).get_conn().proxies == by_scheme
    assert connect(extra={"proxies": " "}).get_conn().proxies == {}


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"host": "api.mediarithmics.com"},
            "host 'api.mediarithmics.com' has no scheme: write it like https://",
        ),
        ({"host": "https://me:secret@api.example.com"}, "the token goes into the connection's password"),
        ({"password": ""}, "no API token: put it into the connection's password"),
        ({"password": "two words"}, "the API token contains a space"),
        (
            {"conn_type": "http"},
            "connection mics_default is of type 'http': make it one of type 'mediarithmics'",
        ),
        ({"extra": {"timezone": "Paris"}}, "timezone 'Paris' in its extra: give an IANA name"),
        (
            {"extra": {"read_timeout": "soon"}},
            "read_timeout 'soon' in its extra: give a number of seconds above 0",
        ),
        (
            {"extra": {"connect_timeout": -1}},
            "connect_timeout -1 in its extra: give a number of seconds above 0",
        ),
        ({"extra": {"size_fields": "big"}}, "size_fields 'big' is not one of documented, console"),
        (
            {"extra": {"console_url": "console.x"}},
            "console_url 'console.x' in its extra: give an address such as",
        ),
        ({"extra": {"console_url": "http://[::1"}}, "in its extra: give an address such as https://"),
        ({"extra": {"proxies": 3128}}, "proxies in its extra: give a URL, or an object"),
        (
            {"extra": {"proxies": ["http://u:secret@p:3128"]}},
            "proxies in its extra: give a URL, or an object",
        ),
        (
            {"extra": {"proxies": '{"https": "http://u:secret@p'}},
            "proxies in its extra: give a URL, or an object",
        ),
        ({"host": "user:secret@api.x.com"}, "host contains a user name or password"),
        ({"host": "https://api.x.com?token=secret", "port": 443}, "host contains more than an address"),
        ({"host": "http://[::1", "port": 443}, "host 'http://[::1' is not an address"),
        (
            {"extra": {"verify": "/no/such/bundle.pem"}},
            "verify '/no/such/bundle.pem' is not a readable CA bundle",
        ),
    ],
)
def test_an_invalid_connection_is_one_clear_line(connect: Any, fields: dict[str, Any], line: str) -> None:
    with pytest.raises(api.MicsError) as failure:
        connect(**fields).get_conn()
    assert line in str(failure.value)
    assert str(failure.value).startswith("connection mics_default")
    assert "\n" not in str(failure.value)
    assert TOKEN not in str(failure.value)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("extra", ["[1]", '"secret"', "5", "null", "{secret", "None"])
def test_an_extra_that_is_no_json_object_is_one_clear_line(connect: Any, extra: str) -> None:
    with pytest.raises(api.MicsError) as failure:
        connect(extra=extra).get_conn()
    line = (
        'connection mics_default: its extra is not a JSON object: write it like {"organisation_id": "1185"}'
    )
    if airflow_version.startswith(("3.0.", "3.1.")):
        line = UNREAD  # these make no connection of it
    assert str(failure.value) == line


def test_a_missing_connection_says_what_to_add() -> None:
    with pytest.raises(
        api.MicsError, match="there is no connection 'nowhere': add one of type 'mediarithmics'"
    ):
        MicsHook("nowhere").get_conn()


@pytest.mark.parametrize(
    "text",
    [
        f"mediarithmics://1185:{TOKEN}@https://api.example.com",
        f"mediarithmics://1185:{TOKEN}@http://127.0.0.1:8480",
        "{'conn_type': 'mediarithmics'}",
        '{"conn_type": "medi',
        f'{{"conn_type": "mediarithmics", "password": "{TOKEN}", "login": 1185}}',
        f'{{"conn_type": "mediarithmics", "password": "{TOKEN}"',
        f'{{"conn_type": "mediarithmics", "password": "{TOKEN}", "colour": "blue"}}',
    ],
)
def test_a_variable_that_airflow_cannot_read_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MICS_DEFAULT", text)
    with pytest.raises(api.MicsError) as failure:
        MicsHook().get_conn()
    told = str(failure.value)
    assert told == UNREAD or ("cannot be read" in told and "\n" not in told)
    assert TOKEN not in told


async def test_a_missing_connection_in_a_trigger() -> None:
    with pytest.raises(api.MicsError, match="there is no connection 'nowhere'"):
        await MicsHook("nowhere").arun(api.get_instance("1"))


@pytest.mark.parametrize(
    "fields",
    [
        {},  # the platform does not know the token
        {"host": "http://127.0.0.1:9"},
        {"host": "api.example.com"},
        {"conn_type": "http"},
        {"extra": "[1]"},
        {"extra": '{"timezone": "Paris"}'},
        {"extra": '{"read_timeout": "soon"}'},
        {"extra": '{"verify": "/no/such/bundle.pem"}'},
    ],
    ids=str,
)
async def test_a_traceback_with_the_variables_of_each_frame_shows_no_token(
    platform: SandboxServer, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str]
) -> None:
    """As terminals show tracebacks of `dag.test()`. On Airflow 3 the repr of a connection has its password."""

    def connection(conn_id: str) -> Any:
        given = {"conn_type": "mediarithmics", "host": platform.url} | fields
        return Connection(conn_id=conn_id, password=TOKEN, **given)

    async def async_connection(conn_id: str) -> Any:
        return connection(conn_id)

    monkeypatch.setattr(MicsHook, "get_connection", staticmethod(connection))
    monkeypatch.setattr(hooks, "get_async_connection", async_connection)
    job = api.get_instance("1")
    with pytest.raises(api.MicsError) as failure:
        MicsHook().run_with_timeout(job, 5)
    assert TOKEN not in with_variables(failure.value)
    with pytest.raises(api.MicsError) as failure:
        async with await MicsHook().make_async_client(max_retries=0) as client:
            await client.run(job)
    assert TOKEN not in with_variables(failure.value)


def with_variables(error: Exception) -> str:
    assert error.__suppress_context__
    error.__context__ = None  # not shown, but read for its variables
    lines = "".join(TracebackException.from_exception(error, capture_locals=True).format())
    assert "self = " in lines
    return lines


class TestTheTestButton:
    def test_it_names_the_user_of_the_token(self, connect: Any, platform: SandboxServer) -> None:
        ok, message = connect(connection_to(platform)).test_connection()
        assert ok
        assert message.startswith("The token is ")
        assert f"reaches organisation {platform.organisation_id}" in message

    def test_it_fails_without_an_organisation_and_names_those_of_the_token(
        self, connect: Any, platform: SandboxServer
    ) -> None:
        ok, message = connect(connection_to(platform, {"organisation_id": ""})).test_connection()
        assert not ok
        assert message.startswith("The token is airflow+")
        assert message.endswith(
            "No organisation is set: give its id as Organisation id, or as organisation_id in the extra, "
            f"such as {platform.organisation_id} (Acme Retail)."
        )

    @pytest.mark.parametrize(
        ("key", "meant"),
        [
            ("organization_id", "organisation_id"),
            ("org_id", "organisation_id"),
            ("Organisation_Id", "organisation_id"),
            ("extra__mediarithmics__organisation_id", "organisation_id"),
            ("time_zone", "timezone"),
            ("tz", "timezone"),
            ("proxy", "proxies"),
            ("verify_ssl", "verify"),
        ],
    )
    def test_it_names_a_key_that_means_nothing(
        self, connect: Any, platform: SandboxServer, key: str, meant: str
    ) -> None:
        hint = f"{key!r} in the extra means nothing: did you mean {meant}?"
        ok, message = connect(connection_to(platform, {key: "1185"})).test_connection()
        assert (ok, message.endswith(f" {hint}")) == (True, True)
        ok, message = connect(connection_to(platform, {"organisation_id": "", key: "1185"})).test_connection()
        assert (ok, message.endswith(f" {hint}")) == (False, True)

    def test_a_key_that_is_like_no_other_comes_with_the_known_ones(
        self, connect: Any, platform: SandboxServer
    ) -> None:
        _, message = connect(connection_to(platform, {"colour": "blue"})).test_connection()
        assert "'colour' in the extra means nothing: known are organisation_id, timezone, " in message

    @pytest.mark.parametrize("answer", ["404", "405"])
    def test_a_platform_without_connected_user_is_accepted(self, connect: Any, answer: str) -> None:
        with SandboxServer(quirks={"connected_user": answer}) as server:
            ok, message = connect(connection_to(server)).test_connection()
        assert ok
        assert "an unknown user" in message

    @pytest.mark.parametrize(
        "fault",
        [{"kind": "403"}, {"kind": "429"}, {"kind": "500"}, {"kind": "html"}, {"kind": "login"}],
        ids=lambda fault: fault["kind"],
    )
    def test_the_list_of_instances_decides_where_the_user_cannot_be_asked_for(
        self, connect: Any, platform: SandboxServer, fault: dict[str, Any]
    ) -> None:
        """No task asks for the user of the token, and a token need not have the right to."""
        platform.faults([{"path": "connected_user$", **fault}])
        try:
            assert connect(connection_to(platform)).test_connection()[0]
            ok, _ = connect(connection_to(platform, {"organisation_id": ""})).test_connection()
            assert not ok
            platform.faults([{"path": "connected_user$|instances$", **fault}])
            ok, message = connect(connection_to(platform)).test_connection()
            assert not ok
            assert "integration_batch_instances" in message
        finally:
            platform.faults()

    def test_a_long_list_is_counted_for_a_moment_only(
        self, connect: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hooks, "COUNTING_TIMEOUT", timedelta(seconds=0.5))
        with SandboxServer(quirks={"max_results_cap": 10, "lists_have_total": False}) as server:
            for number in range(30):
                server.create_instance(f"batch {number}")
            hook = connect(connection_to(server))
            assert "which has 30 integration batch instance(s)" in hook.test_connection()[1]
            server.faults(
                [
                    {
                        "kind": "slow",
                        "path": "instances$",
                        "parameters": {"delay_s": 0.01, "bytes_at_a_time": 64},
                    }
                ]
            )
            ok, message = hook.test_connection()
        assert ok
        assert "which has at least 10 integration batch instance(s)" in message

    @pytest.mark.parametrize(
        "answer", [answer_of(b"<html>no such page</html>", 404), answer_of(b'{"status": "ok", "data": {}}')]
    )
    def test_a_host_that_proves_nothing_is_not_accepted(self, connect: Any, answer: bytes) -> None:
        with RawServer([Reply(answer, then="close")]) as other:
            ok, message = connect(host=other.url).test_connection()
        assert not ok
        assert message == (
            "the token could not be checked, as the host does not say whose it is: "
            "set organisation_id in the extra, or check the host"
        )

    @pytest.mark.parametrize(
        ("extra", "fields", "expected"),
        [
            ({}, {"password": TOKEN}, "HTTP 401"),
            ({"organisation_id": "9999"}, {}, "HTTP 403"),
            ({}, {"host": "http://127.0.0.1:9"}, "no response from http://127.0.0.1:9"),
            ({}, {"host": "127.0.0.1"}, "has no scheme"),
        ],
    )
    def test_it_says_exactly_what_is_wrong(
        self,
        connect: Any,
        platform: SandboxServer,
        extra: dict[str, Any],
        fields: dict[str, Any],
        expected: str,
    ) -> None:
        ok, message = connect(connection_to(platform, extra, **fields)).test_connection()
        assert not ok
        assert expected in message
        assert not message.startswith("connection ")
        assert "\n" not in message
        assert TOKEN not in message


def test_the_methods_of_the_hook(connect: Any, platform: SandboxServer) -> None:
    hook = connect(connection_to(platform))
    platform.create_instance("makes the plugin", artifact_id="by-name")
    created = hook.create_instance("com.test.batches", "by-name", "by name")
    assert hook.get_instance(created.id).name == "by name"
    assert created.id in [each.id for each in hook.list_instances()]
    hook.update_instance(created.id, cron="0 5 * * *", cron_status="ACTIVE")
    assert hook.pause_instance(created.id).cron_status == "PAUSED"
    assert hook.resume_instance(created.id).cron_status == "ACTIVE"
    platform.set_property(created.id, "sandbox.duration_s", 0)
    ran = hook.create_execution(created.id)
    assert hook.wait_for_execution(created.id, ran.id, poll_interval=0.1, timeout=20).succeeded
    assert hook.get_execution(created.id, ran.id).is_over
    planned = hook.create_execution(created.id, expected_start_date=datetime(2100, 1, 1, tzinfo=UTC))
    assert hook.cancel_execution(created.id, planned.id).method == "cancel action"
    assert {each.id for each in hook.list_executions(created.id)} >= {ran.id, planned.id}
    hook.delete_instance(created.id)
    with pytest.raises(api.MicsNotFoundError):
        hook.get_instance(created.id)


def test_wait_for_execution_can_time_out(connect: Any, platform: SandboxServer) -> None:
    hook = connect(connection_to(platform))
    instance = platform.create_instance("hangs", properties={"outcome": "hang"})
    execution = hook.create_execution(instance)
    with pytest.raises(api.MicsTimeoutError, match="was not over at"):
        hook.wait_for_execution(instance, execution.id, poll_interval=0.1, timeout=0.3)


@pytest.mark.parametrize("name", ["timeout", "poll_interval"])
@pytest.mark.parametrize("value", ["30", [30], float("nan"), -1, True])
def test_an_invalid_length_of_time_is_one_clear_line(connect: Any, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^wait_for_execution: {name} "):
        connect(host="http://127.0.0.1:9").wait_for_execution("1", "2", **{name: value})


def test_wait_for_execution_takes_timedeltas(connect: Any, platform: SandboxServer) -> None:
    hook = connect(connection_to(platform))
    instance = platform.create_instance("is quick", properties={"duration_s": 0})
    execution = hook.create_execution(instance)
    times = {"poll_interval": timedelta(seconds=0.1), "timeout": timedelta(seconds=20)}
    assert hook.wait_for_execution(instance, execution.id, **times).succeeded


@pytest.mark.parametrize("spelled", ["HTTP://LOCALHOST:{}", "http://LocalHost:{}/", "http://localhost:{}/v1"])
async def test_no_request_of_a_trigger_is_logged_however_the_host_is_spelled(
    connect: Any, platform: SandboxServer, caplog: pytest.LogCaptureFixture, spelled: str
) -> None:
    caplog.set_level("INFO", "httpx")
    hook = connect(connection_to(platform, host=spelled.format(platform.port)))
    assert (await hook.arun(api.get_connected_user())).display_name
    assert [each for each in caplog.records if each.name == "httpx"] == []


@pytest.mark.parametrize(
    ("address", "url", "is_logged"),
    [
        ("https://one.example.com:443", "https://one.example.com/v1/x", False),
        ("https://two.example.com/mics", "https://two.example.com/mics/v1/x", False),
        ("https://two.example.com/mics", "https://two.example.com/v1/x", True),
        ("https://three.example.com", "http://three.example.com/v1/x", True),
        ("https://four.example.com", "https://four.example.com.evil.com/v1/x", True),
        ("https://five\x7f", "https://five.example.com/", True),
    ],
)
def test_requests_to_other_addresses_are_logged_as_before(
    caplog: pytest.LogCaptureFixture, address: str, url: str, is_logged: bool
) -> None:
    caplog.set_level("INFO", "httpx")
    mute_request_logs(address)
    logging.getLogger("httpx").info("HTTP Request: %s %s", "GET", httpx.URL(url))
    assert bool(caplog.records) is is_logged


async def test_a_call_can_be_awaited(connect: Any, platform: SandboxServer) -> None:
    hook = connect(connection_to(platform))
    assert (await hook.arun(api.get_connected_user())).display_name


def test_no_repr_shows_the_token(connect: Any, platform: SandboxServer) -> None:
    hook = connect(connection_to(platform))
    for each in (hook, hook.settings, hook.get_conn(), hook.get_conn().__dict__.get("_session")):
        assert platform.token not in repr(each)


def test_a_token_replaced_while_a_flow_runs_is_read_from_the_connection(
    connect: Any, platform: SandboxServer
) -> None:
    fields = {"host": platform.url, "extra": {"organisation_id": platform.organisation_id}}
    hook = connect(password=platform.token, **fields)
    instance_id = platform.create_instance("renewed")
    assert hook.get_instance(instance_id).id == instance_id
    try:
        platform.set_tokens({"the-new-token": [platform.organisation_id]})
        with pytest.raises(api.MicsAuthError) as refused:
            hook.get_instance(instance_id)
        assert refused.value.is_temporary
        connect(password="the-new-token", **fields)
        assert hook.get_instance(instance_id).id == instance_id
    finally:
        platform.set_tokens({platform.token: [platform.organisation_id]})
