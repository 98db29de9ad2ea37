"""The arguments of both clients: what no request could be made with is one line, at once."""

from __future__ import annotations

import re

import pytest

from airflow_provider_mics.api import (
    DEFAULT_BASE_URL,
    MicsClient,
    MicsError,
    create_execution,
    create_instance,
    create_plugin,
    get_instance,
    list_instances,
    list_organisation_executions,
    list_plugins,
    set_instance_property,
    update_instance,
)
from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.responses import ignore_body
from tests.api.both_clients import TOKEN, client_of
from tests.api.exchanges import INSTANCE
from tests.raw_server import RawServer, http

URL = "http://127.0.0.1:1"
BAD: list[tuple[dict[str, object], str]] = [
    (
        {"base_url": "api.mediarithmics.com"},
        "host 'api.mediarithmics.com' has no scheme: write it like https://api.",
    ),
    ({"base_url": ""}, "host '' has no scheme: write it like"),
    ({"base_url": "ftp://x"}, "host 'ftp://x' has no scheme"),
    ({"base_url": "https://"}, "host 'https://' has no scheme"),
    ({"base_url": "http://x:99999"}, "host 'http://x:99999' is not an address: "),
    ({"base_url": "http://[::1"}, "host 'http://[::1' is not an address: "),
    ({"base_url": "http://a b"}, "host 'http://a b' contains more than an address: "),
    (
        {"base_url": "http://x/?a=b"},
        "host contains more than an address, from ? or # on: write it like https://api.",
    ),
    ({"base_url": "http://me:secret@x"}, "host contains a user name or password: the token goes into"),
    ({"base_url": "me:secret@api.x.com"}, "host contains a user name or password: the token goes into"),
    ({"base_url": "http://me:secret@[::1"}, "host contains a user name or password: the token goes into"),
    ({"base_url": "https://x?token=secret"}, "host contains more than an address, from ? or # on"),
    ({"base_url": "api.x.com#secret"}, "host contains more than an address, from ? or # on"),
    ({"token": ""}, "no API token: put it into the connection's password"),
    ({"token": "  \n"}, "no API token"),
    ({"token": None}, "no API token"),
    ({"token": "a b"}, "the API token contains a space or another character that no token has"),
    ({"token": "a\r\nX: y"}, "the API token contains a space or another character"),
    ({"token": "clé"}, "the API token contains a space or another character"),
    ({"size_fields": "french"}, "size_fields 'french' is not one of documented, console"),
    ({"timeout": 0}, "connect_timeout 0 is not a number of seconds above 0"),
    ({"timeout": None}, "connect_timeout None is not a number of seconds above 0"),
    ({"timeout": (1, -1)}, "read_timeout -1 is not a number of seconds above 0"),
    ({"timeout": (1, 2, 3)}, "timeout (1, 2, 3) is not one or two numbers of seconds"),
    ({"timeout": float("inf")}, "connect_timeout inf is not a number of seconds above 0"),
    ({"timeout": float("nan")}, "connect_timeout nan is not a number of seconds above 0"),
    ({"timeout": True}, "connect_timeout True is not a number of seconds above 0"),
    ({"max_retries": -1}, "max_retries -1 is not a whole number of at least 0"),
    ({"max_retries": 1.5}, "max_retries 1.5 is not a whole number of at least 0"),
    ({"proxies": {"ftp": "http://x"}}, "proxies: 'ftp' is not one of http, https, all"),
    ({"proxies": {"http": "me:secret@x:3128"}}, "proxies: the address for http has no scheme: write it like"),
    ({"proxies": {"http://me:secret@x:3128": "x"}}, "proxies: a scheme is not one of http, https, all"),
    *(
        (
            {"proxies": {"https": f"http://{address}"}},
            "proxies: the address for https is not valid: write it like",
        )
        for address in (
            "me:sec/secret@x:3128",
            "me:secret@x:99999",
            "me:secret@a b:1",
            "me:secret@",
            "me:secret[@x",
        )
    ),
]


@pytest.mark.parametrize(
    ("arguments", "line"), BAD, ids=[f"{number} {line[:40]}" for number, (_, line) in enumerate(BAD)]
)
def test_an_argument_that_no_request_could_be_made_with_is_one_line(kind, arguments, line):
    given = {"base_url": URL, "token": TOKEN, **arguments}
    with pytest.raises(MicsError) as raised, client_of(kind, **given):
        pass
    assert str(raised.value).startswith(line)
    assert str(raised.value).isprintable()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (DEFAULT_BASE_URL, "https://api.mediarithmics.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("https://api.example.com/v1", "https://api.example.com"),
        (" https://api.example.com/v1/ ", "https://api.example.com"),
        ("http://127.0.0.1:8480", "http://127.0.0.1:8480"),
        ("https://gateway.example.com/mics/v1", "https://gateway.example.com/mics"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_the_address_is_taken_with_or_without_its_version(kind, given, used):
    with client_of(kind, given) as client:
        assert client.real.base_url == used


def test_the_token_is_taken_without_the_spaces_around_it_and_never_shown(kind):
    with (
        RawServer([http(200, INSTANCE)]) as server,
        client_of(kind, server.url, token=f" {TOKEN}\n") as client,
    ):
        client.run(get_instance("42"))
        assert server.requests[0].headers["authorization"] == TOKEN
        assert TOKEN not in f"{client.real} {client.real!r}"


@pytest.mark.parametrize(("timeout", "both"), [(3, (3.0, 3.0)), ((1, 2), (1.0, 2.0)), ([1, 2], (1.0, 2.0))])
def test_a_timeout_is_one_number_or_two(kind, timeout, both):
    with client_of(kind, URL, timeout=timeout) as client:
        assert (client.real.connect_timeout, client.real.read_timeout) == both


IN_QUERY = {
    "list_plugins": list_plugins,
    "list_instances": list_instances,
    "list_organisation_executions": list_organisation_executions,
}
IN_BODY = {
    "create_plugin": lambda organisation_id=None: create_plugin("g", "a", organisation_id=organisation_id),
    "create_instance": lambda organisation_id=None: create_instance(
        "g", "a", "n", organisation_id=organisation_id
    ),
    "create_execution": lambda organisation_id=None: create_execution(
        "1", expected_start_date=0, organisation_id=organisation_id
    ),
}


class TestTheOrganisation:
    @pytest.mark.parametrize("job", IN_QUERY.values(), ids=IN_QUERY.keys())
    @pytest.mark.parametrize(("given", "sent"), [(None, "1185"), ("7", "7")])
    def test_of_a_list_is_the_clients_own_unless_another_is_named(self, kind, job, given, sent):
        with (
            RawServer([http(200, {"status": "ok", "data": [], "total": 0})]) as server,
            client_of(kind, server.url) as client,
        ):
            client.run(job(given))
            assert f"organisation_id={sent}&" in server.requests[0].target + "&"

    @pytest.mark.parametrize("job", IN_BODY.values(), ids=IN_BODY.keys())
    @pytest.mark.parametrize(("given", "sent"), [(None, b"1185"), ("7", b"7")])
    def test_of_what_is_created_is_too(self, kind, job, given, sent):
        answer = {"status": "ok", "data": {"id": 1, "status": "PENDING"}}
        with RawServer([http(200, answer)]) as server, client_of(kind, server.url) as client:
            client.run(job(given))
            assert b'"organisation_id":"%s"' % sent in server.requests[0].body

    @pytest.mark.parametrize("make", [*IN_QUERY.values(), *IN_BODY.values()], ids=[*IN_QUERY, *IN_BODY])
    def test_that_nobody_named_is_one_line_and_no_request(self, kind, make):
        with RawServer([b""]) as server, client_of(kind, server.url, organisation_id=None) as client:
            with pytest.raises(MicsError) as raised:
                client.run(make())
            assert re.fullmatch(
                r"(GET|POST) /v1/\S+ needs an organisation: "
                r"give organisation_id, or set it in the connection's extra",
                str(raised.value),
            )
            assert server.requests == []

    def test_may_be_a_number(self, kind):
        with client_of(kind, URL, organisation_id=1185) as client:  # type: ignore[arg-type]
            assert client.real.organisation_id == "1185"

    def test_is_asked_for_only_where_it_matters(self, kind):
        with (
            RawServer([http(200, INSTANCE)]) as server,
            client_of(kind, server.url, organisation_id=None) as client,
        ):
            assert client.run(get_instance("42")).id == "42"
            assert "organisation" not in server.requests[0].target


class TestTheSpellingOfSizes:
    @pytest.mark.parametrize(
        ("size_fields", "sent"),
        [
            ("documented", b'"cpu_size":"EXTRA_LARGE"'),
            ("console", b'"execution_container_cpu_size":"XL"'),
        ],
    )
    def test_is_the_chosen_one_when_an_instance_is_made_or_changed(self, kind, size_fields, sent):
        answers = [http(200, INSTANCE)]
        jobs = [create_instance("g", "a", "n", cpu_size="EXTRA_LARGE"), update_instance("42", cpu_size="XL")]
        with RawServer(answers) as server, client_of(kind, server.url, size_fields=size_fields) as client:
            for job in jobs:
                client.run(job)
            bodies = [request.body for request in server.requests if request.body]
            assert len(bodies) == 2
            for body in bodies:
                assert sent in body
                assert body.count(b"cpu_size") == 1


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"x", object()])
def test_a_body_that_is_no_json_is_one_line_and_no_request(kind, value):
    with RawServer([b""]) as server, client_of(kind, server.url) as client:
        with pytest.raises(MicsError, match=r"^PUT /v1/x: the body cannot be written as JSON: "):
            client.run(Call("PUT", "x", ignore_body, body={"x": value}))
        assert server.requests == []


def test_a_property_names_the_organisation_in_its_query(kind):
    answer = {"status": "ok", "data": {"technical_name": "x"}}
    with RawServer([http(200, answer)]) as server, client_of(kind, server.url) as client:
        client.run(set_instance_property("42", {"technical_name": "x", "value": {}}))
        path = "/v1/integration_batch_instances/42/properties/technical_name=x?organisation_id=1185"
        assert server.requests[0].target == path


def test_a_client_can_be_used_without_with_and_closed():
    client = MicsClient(URL, TOKEN)
    client.close()
    client.close()
