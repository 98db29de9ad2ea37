"""Keeps the requests of a wait out of the task's log.

httpx logs each request at INFO. On Airflow 2 a triggerer writes that into the log of the task that waits: a line for
every poll, for as long as the batch takes. Requests to other addresses are logged as before.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx


class _OtherRequests(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.quiet_addresses: tuple[httpx.URL, ...] = ()

    def filter(self, record: logging.LogRecord) -> bool:
        url = record.args[1] if isinstance(record.args, tuple) and len(record.args) > 1 else None
        return record.levelno > logging.INFO or not any(_is_at(url, each) for each in self.quiet_addresses)


def _is_at(url: Any, address: httpx.URL) -> bool:
    """Whether a URL is at an address, however a person spelled that: in capitals, or with the usual port."""
    return (
        isinstance(url, type(address))
        and (url.scheme, url.host, url.port) == (address.scheme, address.host, address.port)
        and url.path.startswith(address.path)
    )


_other_requests = _OtherRequests()


def keep_requests_out(address: str) -> None:
    """Log no request to ``address`` any more, unless it is worth a warning."""
    import httpx

    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        # No request can be made to it, so none is logged.
        return
    if url not in _other_requests.quiet_addresses:
        _other_requests.quiet_addresses += (url,)
        logging.getLogger("httpx").addFilter(_other_requests)
