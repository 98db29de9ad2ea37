"""One reading of proxies, NO_PROXY and CA bundles, for both clients."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mics.api import MicsError, get_instance
from airflow_provider_mics.api.network import CA_VARIABLES, bypasses_proxy, resolve_network
from tests.api.both_clients import client_of
from tests.api.exchanges import GOOD
from tests.raw_server import RawServer, free_port

LOOPBACK = "http://127.0.0.1:8080"
CERTIFICATE = str(Path(__file__).parent / "samples" / "loopback.pem")

BYPASSED = [
    ("127.0.0.0/8", LOOPBACK),
    ("127.0.0.1,fd00::/8", LOOPBACK),
    ("fd00::/8,127.0.0.1", LOOPBACK),
    ("[::1],127.0.0.1", LOOPBACK),
    (" 10.0.0.0/8 ,  127.0.0.1 ", LOOPBACK),
    ("localhost 127.0.0.1", LOOPBACK),
    ("10.0.0.0/99,127.0.0.1", LOOPBACK),
    ("[::1,127.0.0.1", LOOPBACK),
    ("127.0.0.1:8080", LOOPBACK),
    ("*", LOOPBACK),
    ("*:8080", LOOPBACK),
    ("::1", "http://[::1]:8080"),
    ("[::1]", "http://[::1]:8080"),
    ("[::1]:8080", "http://[::1]:8080"),
    ("0:0:0:0:0:0:0:1", "http://[::1]"),
    ("fd00::/8", "http://[fd12::1]"),
    ("[fd00::]/8", "http://[fd12::1]"),
    ("example.com", "https://api.example.com"),
    (".example.com", "https://api.example.com"),
    (".example.com", "https://example.com"),
    ("*.example.com", "https://api.example.com"),
    ("API.Example.COM", "https://api.example.com"),
    ("example.com.", "https://example.com"),
    ("example.com:443", "https://api.example.com"),
    ("my_host", "http://my_host"),
]
NOT_BYPASSED = [
    ("", LOOPBACK),
    ("localhost", LOOPBACK),
    ("127.0.0.1:80", LOOPBACK),
    ("10.0.0.0/8", LOOPBACK),
    ("::1", LOOPBACK),
    ("::/0", LOOPBACK),
    ("0.0.0.0/0", "http://[::1]"),
    ("127.0.0.1", "http://127.0.0.12"),
    ("example.com", "https://badexample.com"),
    ("example.com:80", "https://example.com"),
    ("http://127.0.0.1", LOOPBACK),
    ("api.example.com", "https://example.com"),
]


@pytest.mark.parametrize(("no_proxy", "url"), BYPASSED)
def test_no_proxy_says_what_is_reached_directly(no_proxy: str, url: str) -> None:
    assert bypasses_proxy(url, no_proxy)


@pytest.mark.parametrize(("no_proxy", "url"), NOT_BYPASSED)
def test_no_proxy_says_nothing_of_others(no_proxy: str, url: str) -> None:
    assert not bypasses_proxy(url, no_proxy)


@given(st.text(st.sampled_from("127.0/:[]*,; abfd%\x00é-_"), max_size=40))
def test_no_proxy_may_hold_anything(no_proxy: str) -> None:
    for url in (LOOPBACK, "https://[fd00::1]:1", "https://api.example.com"):
        assert bypasses_proxy(url, no_proxy) in (True, False)
        assert bypasses_proxy(url, f"{no_proxy},{'*'}")


def test_an_entry_that_cannot_be_read_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        bypasses_proxy(LOOPBACK, "10.0.0.0/77,127.0.0.1")
    assert [record.getMessage() for record in caplog.records] == [
        "Ignoring the entry '10.0.0.0/77' of NO_PROXY: it is no name, address or network."
    ]


PROXIES = [
    ({"http_proxy": "http://p:1"}, "http://p:1"),
    ({"HTTP_PROXY": "http://p:1"}, "http://p:1"),
    ({"http_proxy": "", "HTTP_PROXY": "http://p:1"}, None),
    ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None),
    ({"all_proxy": "http://p:1"}, "http://p:1"),
    ({"ALL_PROXY": "http://p:1", "http_proxy": "http://q:2"}, "http://q:2"),
    ({"https_proxy": "http://p:1"}, None),
    ({"http_proxy": "p:3128"}, "http://p:3128"),
    ({"http_proxy": "http://p:1", "NO_PROXY": "platform.invalid"}, None),
    ({"http_proxy": "http://p:1", "no_proxy": "", "NO_PROXY": "*"}, "http://p:1"),
    ({}, None),
]


@pytest.mark.parametrize(("environ", "proxy"), PROXIES)
def test_the_proxy_of_the_environment(environ: dict[str, str], proxy: str | None) -> None:
    assert resolve_network("http://platform.invalid", {}, True, environ).proxy == proxy


def test_a_proxy_of_the_settings_comes_before_the_environment() -> None:
    environ = {"http_proxy": "http://p:1", "NO_PROXY": "*"}
    assert resolve_network("http://x", {"all": "http://q:2"}, True, environ).proxy == "http://q:2"
    assert "secret" not in repr(resolve_network("http://x", {"http": "http://me:secret@q:2"}, True, {}))


@pytest.mark.parametrize("name", CA_VARIABLES)
def test_each_variable_of_a_ca_bundle_serves(name: str, tmp_path: Path) -> None:
    bundle = str(tmp_path) if name == "SSL_CERT_DIR" else CERTIFICATE
    assert resolve_network("https://x", {}, True, {name: bundle}).verify == bundle
    assert resolve_network("https://x", {}, False, {name: bundle}).verify is False
    assert resolve_network("https://x", {}, "/mine", {name: bundle}).verify == "/mine"


def test_a_ca_bundle_that_cannot_be_read_is_ignored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    environ = {"REQUESTS_CA_BUNDLE": "/no/such/bundle.pem", "SSL_CERT_FILE": CERTIFICATE}
    assert resolve_network("https://x", {}, True, environ).verify == CERTIFICATE
    assert resolve_network("https://x", {}, True, {"CURL_CA_BUNDLE": __file__}).verify is True
    assert "Ignoring REQUESTS_CA_BUNDLE: '/no/such/bundle.pem' is not a readable CA bundle" in caplog.text


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    "no_proxy", [each for each, url in BYPASSED if url == LOOPBACK and ":80" not in each]
)
def test_both_clients_go_past_the_proxy(kind, no_environment, no_proxy) -> None:
    no_environment.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    no_environment.setenv("NO_PROXY", no_proxy)
    with RawServer([GOOD]) as server, client_of(kind, server.url, max_retries=0) as client:
        assert client.run(get_instance("42")).id == "42"


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_both_clients_go_through_the_proxy(kind, no_environment, name) -> None:
    with RawServer([GOOD]) as proxy:
        no_environment.setenv(name, proxy.url)
        with client_of(kind, "http://platform.invalid", max_retries=0) as client:
            client.run(get_instance("42"))
        assert proxy.requests[0].target.startswith("http://platform.invalid/v1/")


@pytest.mark.parametrize("proxy", ["socks5://me:secret@127.0.0.1:1", "socks5h://127.0.0.1:1"])
@pytest.mark.parametrize("is_of_settings", [True, False])
def test_a_socks_proxy_without_its_library_is_one_clear_line(
    kind, no_environment, monkeypatch, proxy, is_of_settings
) -> None:
    monkeypatch.setattr("airflow_provider_mics.api.network.find_spec", lambda name: None)
    options = {"proxies": {"all": proxy}} if is_of_settings else {}
    if not is_of_settings:
        no_environment.setenv("all_proxy", proxy)
    with pytest.raises(MicsError) as raised, client_of(kind, "http://127.0.0.1:1", **options):
        pass
    assert "install requests[socks] and httpx[socks]" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("proxy", ["ftp://me:secret@p:1", "http://me:secret@p:99999", "http://me:secret@"])
def test_a_proxy_of_the_environment_that_cannot_be_used_is_one_clear_line(
    kind, no_environment, proxy
) -> None:
    no_environment.setenv("http_proxy", proxy)
    with pytest.raises(MicsError) as raised, client_of(kind, "http://platform.invalid"):
        pass
    assert "the proxy in the environment variable http_proxy" in str(raised.value)
    assert "secret" not in str(raised.value)
