"""The errors of this package. Each message is one line.

MicsError                    any error below, or an invalid argument
├── MicsApiError             an error response: .status_code .error_code .error_id .message .retry_after
│   │                        .from_platform: False for the page of a gateway, a proxy or a login
│   ├── MicsAuthError        401, 403 of the platform: the token or its rights
│   ├── MicsNotFoundError    404 of the platform
│   └── MicsRateLimitError   429
├── MicsConnectionError      no response: .certainly_not_sent .retriable
├── MicsResponseError        a response that cannot be read
├── MicsUncertainError       whether something exists cannot be known, so nothing was created
└── MicsTimeoutError         a deadline passed
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class MicsError(Exception):
    """The base of all errors of this package; its message is one line and never contains the token."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the attributes in a copy for another process: by default, Python calls the type with ``args`` only."""
        return _restored, (type(self), self.args, dict(vars(self)))


def _restored(
    error_type: type[MicsError], args: tuple[object, ...], attributes: Mapping[str, Any]
) -> MicsError:
    error = error_type.__new__(error_type, *args)
    vars(error).update(attributes)
    return error


class MicsApiError(MicsError):
    """The platform responded with an error, or something between us and the platform did.

    ``error_code`` and ``error_id`` are the platform's, or None; mediarithmics' support asks for ``error_id``.
    ``retry_after`` is the pause in seconds that the platform asks for, or None. ``from_platform`` is False if the
    response lacks the platform's wrapper: it says nothing about the token or the resource.
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
        from_platform: bool = True,
    ) -> None:
        self.message = message
        self.from_platform = from_platform
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
    """The token is missing, wrong or expired, or has no right to do this (401, 403).

    ``is_temporary``: the token has worked in this process, and has not been refused for long. It counts as an outage.
    """

    is_temporary = False


class MicsNotFoundError(MicsApiError):
    """The platform has no such resource, or no such route (404)."""


class MicsRateLimitError(MicsApiError):
    """Too many requests (429)."""


class MicsConnectionError(MicsError):
    """No complete response: the connection was refused, reset or cut off, or timed out.

    ``certainly_not_sent`` is True only if the request cannot have reached the platform. ``retriable`` is False if a
    retry would fail too (a certificate that does not verify).
    """

    def __init__(self, message: str, *, certainly_not_sent: bool = False, retriable: bool = True) -> None:
        super().__init__(message)
        self.certainly_not_sent = certainly_not_sent
        self.retriable = retriable


class MicsResponseError(MicsError):
    """A response that cannot be read: not JSON, too large, or without the requested data."""


class MicsUncertainError(MicsError):
    """What the platform shows does not tell whether an execution exists already, so none was created."""


class MicsTimeoutError(MicsError):
    """A deadline passed before the result was there. What was waited for may still happen."""
