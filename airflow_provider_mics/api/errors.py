"""Everything that can go wrong, as one line that a person can act on.

MicsError                    any of the below, or an argument that cannot be sent
├── MicsApiError             the platform refused: .status_code .error_code .error_id .message
│   ├── MicsAuthError        401, 403: the token or its rights
│   ├── MicsNotFoundError    404
│   └── MicsRateLimitError   429
├── MicsConnectionError      no answer; .certainly_not_sent says whether the request can have been carried out
├── MicsResponseError        an answer that makes no sense: not JSON, or without the data asked for
└── MicsTimeoutError         what was waited for did not happen by its deadline
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class MicsError(Exception):
    """Base of all errors of this package; ``str()`` is one readable line and never holds a token."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross processes. Python would make a copy from the line alone, which is not what they are made of."""
        return _as_it_was, (type(self), self.args, dict(vars(self)))


def _as_it_was(kind: type[MicsError], args: tuple[object, ...], facts: Mapping[str, Any]) -> MicsError:
    error = kind.__new__(kind, *args)
    vars(error).update(facts)
    return error


class MicsApiError(MicsError):
    """The platform answered that it will not do it.

    ``error_id`` is the reference that mediarithmics' support asks for. ``retry_after`` is in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        request: str = "",
        error_code: str | None = None,
        error_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = message
        self.status_code = status_code
        self.request = request
        self.error_code = error_code
        self.error_id = error_id
        self.retry_after = retry_after
        details = [f"HTTP {status_code}"]
        details += [f"error_code {error_code}"] if error_code else []
        details += [f"error_id {error_id}"] if error_id else []
        super().__init__(f"{request}: {message} ({', '.join(details)})")


class MicsAuthError(MicsApiError):
    """The token is missing, wrong, expired or without rights there (401, 403)."""


class MicsNotFoundError(MicsApiError):
    """The platform has no such resource, or no such route (404)."""


class MicsRateLimitError(MicsApiError):
    """Too many requests (429); ``retry_after`` says when to come back, where the platform said so."""


class MicsConnectionError(MicsError):
    """No answer came: refused, reset, timed out, or cut off.

    ``certainly_not_sent`` is True only where the request cannot have reached the platform. ``retriable`` is False
    for what another try cannot mend (a certificate that does not verify).
    """

    def __init__(self, message: str, *, certainly_not_sent: bool = False, retriable: bool = True) -> None:
        super().__init__(message)
        self.certainly_not_sent = certainly_not_sent
        self.retriable = retriable


class MicsResponseError(MicsError):
    """An answer came that cannot be read: not JSON, too large, or without the data asked for."""


class MicsTimeoutError(MicsError):
    """What was waited for did not happen by its deadline; nothing is said of what happens after."""
