"""Tokens against forged requests, and answers that a redirect carries: both signed, both bound to a session."""

from __future__ import annotations

import base64
import hmac
import json
from hashlib import sha256
from typing import Any

LONGEST_ANSWER = 3000
"""Characters: a browser keeps no longer cookie."""


class Signer:
    """Signs what comes back from a browser.

    :param secret: known to all API servers, and to nobody else
    """

    def __init__(self, secret: str) -> None:
        self._key = sha256(b"mediarithmics page\0" + secret.encode()).digest()

    def csrf_token(self, session: str) -> str:
        """Return the token of a session's forms. ``session`` is what proves the session, such as its JWT."""
        return self._signature("csrf", session)

    def is_csrf_token(self, token: str, session: str) -> bool:
        """Whether a token is that of this session."""
        return hmac.compare_digest(token.encode(), self.csrf_token(session).encode())

    def seal(self, value: Any, session: str) -> str:
        """Return JSON as text that only this session gets back."""
        content = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
        return f"{content}.{self._signature('answer', session, content)}"

    def unseal(self, text: str, session: str) -> Any:
        """Return what `seal` was given; None for any other text."""
        content, _, signature = text.partition(".")
        expected = self._signature("answer", session, content)
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            return None
        return json.loads(base64.urlsafe_b64decode(content))

    def _signature(self, *parts: str) -> str:
        return hmac.new(self._key, "\0".join(parts).encode(), sha256).hexdigest()
