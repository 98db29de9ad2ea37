"""No cookies: the platform needs none, and one that a proxy sets could keep every later request from being sent."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy


class NoCookies(DefaultCookiePolicy):
    """Takes and sends no cookie, whoever sets it."""

    def __init__(self) -> None:
        super().__init__(allowed_domains=[])


def no_cookies() -> CookieJar:
    return CookieJar(NoCookies())
