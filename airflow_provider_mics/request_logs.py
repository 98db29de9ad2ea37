"""Keeps the requests of a wait out of the task's log.

httpx logs each request at INFO. On Airflow 2 a triggerer writes that into the log of the task that waits: a line for
every poll, for as long as the batch takes. Requests to other addresses are logged as before.
"""

from __future__ import annotations

import logging


class _OtherRequests(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.quiet_addresses: tuple[str, ...] = ()

    def filter(self, record: logging.LogRecord) -> bool:
        url = str(record.args[1]) if isinstance(record.args, tuple) and len(record.args) > 1 else ""
        return record.levelno > logging.INFO or not url.startswith(self.quiet_addresses)


_other_requests = _OtherRequests()


def keep_requests_out(address: str) -> None:
    """Log no request to ``address`` any more, unless it is worth a warning."""
    if address not in _other_requests.quiet_addresses:
        _other_requests.quiet_addresses += (address,)
        logging.getLogger("httpx").addFilter(_other_requests)
