"""Whether a refused token may be accepted again: a platform refuses good tokens too, for a moment."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.errors import MicsAuthError

DOUBTED_AFTER = timedelta(minutes=5)
"""How long a token that has worked may be refused before the refusal is believed."""
FORGOTTEN_AFTER = timedelta(minutes=15)
"""Two refusals further apart than this do not belong together."""
_ID = re.compile(r"/\d+")


class TokenHistory:
    """What the platform said of one token in this process.

    401 refuses the token, so it is compared with every request; 403 refuses the right to one request, so it is
    compared with earlier requests of the same route.
    """

    def __init__(self) -> None:
        self._worked: set[str] = set()
        self._refused: dict[str, tuple[datetime, datetime]] = {}

    def accepted(self, call: Call[Any]) -> None:
        """Note a successful request."""
        route = _route(call)
        self._worked.add(route)
        self._refused.pop(route, None)

    def refused(self, call: Call[Any], error: MicsAuthError, now: datetime) -> None:
        """Note a refusal at ``now``, and set whether it is temporary as far as anybody can tell."""
        route = _route(call)
        since, last = self._refused.get(route, (now, now))
        if now - last > FORGOTTEN_AFTER:
            since = now
        self._refused[route] = since, now
        has_worked = bool(self._worked) if error.status_code == 401 else route in self._worked
        error.is_temporary = has_worked and now - since < DOUBTED_AFTER


def _route(call: Call[Any]) -> str:
    return f"{call.method} {_ID.sub('/{id}', call.path)}"
