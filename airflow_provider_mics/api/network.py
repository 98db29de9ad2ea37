"""Which proxy and which certificates both clients use: said once, so that both read the environment alike.

The rules are those of ``requests``, with ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, which ``httpx`` reads, after its own.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from airflow_provider_mics.api.errors import MicsError

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""The first that is set and readable holds the CA bundle, a file or a folder."""
DEFAULT_PORTS = {"http": 80, "https": 443}
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_PROXY_HOST = re.compile(r"[\w.:-]+")
_NO_PROXY_NAME = re.compile(r"[\w-]+(\.[\w-]+)*\.?")
_SOCKS_LIBRARIES = {"socks": "requests[socks]", "socksio": "httpx[socks]"}
"""What to install, by the module that each client needs."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """How to reach one address: the proxy's URL or None, and whether to verify certificates, or with which bundle."""

    proxy: str | None
    verify: bool | str

    def __repr__(self) -> str:
        """Hide the proxy's URL, which may contain a password."""
        return f"{type(self).__name__}(proxy={'***' if self.proxy else None}, verify={self.verify!r})"


def proxy_variables() -> dict[str, str]:
    """Return the environment variables of proxies, as Python finds them."""
    return {f"{name}_proxy": url for name, url in getproxies_environment().items()}


def resolve_network(
    base_url: str, proxies: Mapping[str, str], verify: bool | str, environ: Mapping[str, str]
) -> Network:
    """Return how to reach ``base_url``. What ``proxies`` and ``verify`` say comes before the environment.

    :param proxies: proxy URL by scheme (``http``, ``https``, ``all``); one that applies overrides ``NO_PROXY`` too
    :param verify: True for the environment's CA bundle, or the default one
    :param environ: the environment variables
    :raises MicsError: a proxy's address cannot be used, or no SOCKS library is installed
    """
    proxy = proxies.get(urlsplit(base_url).scheme) or proxies.get("all")
    if proxy is None:
        proxy = _proxy_of_environment(base_url, environ)
    if proxy is not None and urlsplit(proxy).scheme.startswith("socks"):
        missing = [package for module, package in _SOCKS_LIBRARIES.items() if find_spec(module) is None]
        if missing:
            raise MicsError(
                f"the proxy is a SOCKS proxy, which needs another library: install {' and '.join(missing)}"
            )
    return Network(proxy, _bundle_of_environment(environ) or True if verify is True else verify)


def proxy_problem(url: str) -> str | None:
    """Return what is wrong with a proxy's address, as the rest of a sentence that does not show it; None if nothing."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in PROXY_SCHEMES:
            return "has no scheme: write it like http://proxy:3128"
        is_address = parts.port != 0 and _PROXY_HOST.fullmatch(parts.hostname or "")
    except ValueError:
        is_address = None
    if is_address:
        return None
    return "is not valid: write it like http://proxy:3128, and / ? # of a password as %2F %3F %23"


def _proxy_of_environment(base_url: str, environ: Mapping[str, str]) -> str | None:
    if bypasses_proxy(base_url, _variable(environ, "no_proxy") or ""):
        return None
    for name in (f"{urlsplit(base_url).scheme}_proxy", "all_proxy"):
        url = (_variable(environ, name) or "").strip()
        # A web server that runs scripts sets HTTP_PROXY from a request's header.
        is_from_header = name == "http_proxy" and "http_proxy" not in environ and "REQUEST_METHOD" in environ
        if not url or is_from_header:
            continue
        url = url if "://" in url else f"http://{url}"
        problem = proxy_problem(url)
        if problem:
            raise MicsError(f"the proxy in the environment variable {name} {problem}")
        return url
    return None


def _variable(environ: Mapping[str, str], name: str) -> str | None:
    """Return a variable; its name in lower case comes first, also where it is empty."""
    return environ.get(name, environ.get(name.upper()))


def bypasses_proxy(base_url: str, no_proxy: str) -> bool:
    """Whether an address is reached without a proxy: a ``NO_PROXY`` of names, addresses, networks and ports."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    return any(entry.matches(host, port) for entry in _entries_of(no_proxy))


@dataclass(frozen=True)
class _Entry:
    """One entry of ``NO_PROXY``: a network, or a name that stands for its subdomains too; ``*`` is everything."""

    name: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    port: int | None

    def matches(self, host: str, port: int | None) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is not None:
            address = _address_of(host)
            return address is not None and address.version == self.network.version and address in self.network
        return self.name in ("*", host) or host.endswith(f".{self.name}")


@lru_cache(maxsize=8)
def _entries_of(no_proxy: str) -> tuple[_Entry, ...]:
    """Read ``NO_PROXY``. Cached, so that an entry that cannot be read is logged once."""
    entries = []
    for text in re.split(r"[,;\s]+", no_proxy):
        entry = _entry_of(text.lower()) if text else None
        if entry is not None:
            entries.append(entry)
        elif text:
            logger.warning("Ignoring the entry %r of NO_PROXY: it is no name, address or network.", text[:80])
    return tuple(entries)


def _entry_of(text: str) -> _Entry | None:
    network = _network_of(text)
    if network is not None:
        return _Entry(text, network, None)
    host, port = text, None
    with_port = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*):(\d{1,5})", text)
    if with_port:
        host, port = with_port[1], int(with_port[2])
    if host.startswith("["):
        network = _network_of(host[1:-1]) if host.endswith("]") else None
        return None if network is None else _Entry(host, network, port)
    network = _network_of(host)
    name = host.removeprefix("*").lstrip(".") or ("*" if "*" in host else "")
    if network is None and name != "*" and not _NO_PROXY_NAME.fullmatch(name):
        return None
    return _Entry(name.rstrip("."), network, port)


def _network_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(
            text.replace("[", "").replace("]", "") if "]/" in text else text, strict=False
        )
    except ValueError:
        return None


def _address_of(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _bundle_of_environment(environ: Mapping[str, str]) -> str | None:
    for name in CA_VARIABLES:
        bundle = environ.get(name)
        if not bundle:
            continue
        problem = _bundle_problem(bundle)
        if problem is None:
            return bundle
        _warn_of_bundle(name, bundle, problem)
    return None


@lru_cache(maxsize=8)
def _warn_of_bundle(name: str, bundle: str, problem: str) -> None:
    """Cached, so that it is logged once."""
    logger.warning("Ignoring %s: %r is not a readable CA bundle: %s.", name, bundle, problem)


def _bundle_problem(bundle: str) -> str | None:
    try:
        # A folder is searched only when a certificate is verified.
        return None if Path(bundle).is_dir() else _load(bundle, Path(bundle).stat().st_mtime)
    except (OSError, ValueError) as error:
        return str(error)


@lru_cache(maxsize=8)
def _load(bundle: str, modified_at: float) -> None:
    """Load a bundle once: it takes some 50 ms."""
    del modified_at
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(bundle)
