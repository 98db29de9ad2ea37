"""What either client sends, and which way it goes."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_mics.api import MicsConnectionError, get_instance, list_instances, set_instance_property
from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.responses import ignore_body
from tests.api.both_clients import TOKEN, Kind, client_of
from tests.api.exchanges import CREATE, EXECUTION, GOOD, INSTANCE, failure
from tests.raw_server import RawServer, free_port, http


class TestARequest:
    def sent(self, kind: Kind, job: Any, answer: Any, **options: Any) -> Any:
        with RawServer([http(200, answer)]) as server, client_of(kind, server.url, **options) as client:
            client.run(job)
            return server.requests[0]

    def test_carries_the_token_bare_and_says_who_asks(self, kind):
        request = self.sent(kind, get_instance("42"), INSTANCE)
        assert request.headers["authorization"] == TOKEN
        assert request.headers["user-agent"].startswith("airflow-provider-mics/")
        assert request.headers["accept"] == "application/json"
        assert "content-type" not in request.headers
        assert TOKEN not in request.target

    def test_with_a_body_is_json(self, kind):
        request = self.sent(kind, CREATE, EXECUTION)
        assert request.headers["content-type"] == "application/json"
        assert json.loads(request.body)["organisation_id"] == "1185"

    @pytest.mark.parametrize("name", ["a b", "été", "a/b?c=d&e#f", "100%", "a%2Fb", "+", "..", "a;b"])
    def test_reaches_the_same_place_from_both_clients(self, name):
        job = set_instance_property("42", {"technical_name": name, "value": {}})
        answer = {"status": "ok", "data": {"technical_name": name}}
        blocking, asynchronous = (self.sent(kind, job, answer) for kind in ("blocking", "async"))
        assert blocking.target == asynchronous.target
        assert blocking.body == asynchronous.body

    @pytest.mark.parametrize("value", ["a b", "été", "a&b=c#d", "100%", "+", ""])
    def test_asks_the_same_from_both_clients(self, value):
        job = list_instances(group_id=value)
        answer: dict[str, Any] = {"status": "ok", "data": [], "total": 0}
        queries = [
            parse_qs(urlsplit(self.sent(kind, job, answer).target).query, keep_blank_values=True)
            for kind in ("blocking", "async")
        ]
        assert queries[0] == queries[1]
        assert queries[0]["group_id"] == [value]

    def test_takes_no_password_from_a_netrc_file(self, kind, tmp_path, monkeypatch):
        (tmp_path / ".netrc").write_text(
            "machine 127.0.0.1 login me password mine\ndefault login you password yours\n"
        )
        (tmp_path / ".netrc").chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        assert self.sent(kind, get_instance("42"), INSTANCE).headers["authorization"] == TOKEN

    def test_goes_through_the_proxy_of_the_environment(self, kind, monkeypatch):
        for variable in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(variable, raising=False)
        with RawServer([GOOD]) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            with client_of(kind, "http://platform.invalid") as client:
                assert client.run(get_instance("42")).id == "42"
            assert proxy.requests[0].target == "http://platform.invalid/v1/integration_batch_instances/42"

    def test_goes_past_the_proxy_where_the_environment_says_so(self, kind, monkeypatch):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        assert self.sent(kind, get_instance("42"), INSTANCE)

    @pytest.mark.parametrize("scheme", ["http", "all"])
    def test_goes_through_a_proxy_of_the_settings_before_that_of_the_environment(
        self, kind, scheme, monkeypatch
    ):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        with (
            RawServer([GOOD]) as proxy,
            client_of(kind, "http://127.0.0.1:1", proxies={scheme: proxy.url}) as client,
        ):
            assert client.run(get_instance("42")).id == "42"
            assert proxy.requests[0].target == "http://127.0.0.1:1/v1/integration_batch_instances/42"

    def test_that_a_dead_proxy_got_was_certainly_not_sent(self, kind):
        proxies = {"http": f"http://127.0.0.1:{free_port()}"}
        with client_of(kind, "http://platform.invalid", proxies=proxies, max_retries=0) as client:
            error = failure(client, CREATE)
            assert isinstance(error, MicsConnectionError)
            assert error.certainly_not_sent

    def test_can_be_of_any_call(self, kind):
        call = Call("POST", "anything/at/all", ignore_body, query={"x": 1, "none": None}, body={"y": "é"})
        request = self.sent(kind, call, {"status": "ok"})
        assert request.target == "/v1/anything/at/all?x=1"
        assert request.body == b'{"y":"\\u00e9"}'
