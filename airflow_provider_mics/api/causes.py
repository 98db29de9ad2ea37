"""What HTTP libraries wrap around an error, unwrapped."""

from __future__ import annotations

import ssl
from collections.abc import Iterator


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, the one it was made from, and so on down to the one that says what happened.

    What was being handled meanwhile (``__context__``) does not count: it may be of another request.
    """
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        below = (getattr(current, "reason", None), *current.args, current.__cause__)
        current = next((each for each in below if isinstance(each, BaseException)), None)


def reason(error: BaseException) -> str:
    """What happened, on one line."""
    *_, innermost = causes(error)
    return " ".join(str(innermost).split()) or type(innermost).__name__


def is_untrusted_certificate(error: BaseException) -> bool:
    """Whether the server's certificate did not verify: nothing was sent, and trying again changes nothing."""
    # urllib3 before 2 has a class of its own for a name that does not match.
    return any(
        isinstance(each, ssl.SSLCertVerificationError) or type(each).__name__ == "CertificateError"
        for each in causes(error)
    )
