"""One answer for a form that is sent twice, also where both arrive at the same moment."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

A = TypeVar("A")
MOST_KEPT = 1000
"""Forms whose answer is kept; the one that came longest ago goes first."""


class AnswersByForm(Generic[A]):
    """The answers to the last forms of this process.

    :param is_done: whether an answer says that something was done; another one is not repeated, but tried again
    """

    def __init__(self, is_done: Callable[[A], bool]) -> None:
        self._is_done = is_done
        self._forms: OrderedDict[Hashable, _Form[A]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, act: Callable[[], A]) -> A:
        """Return what `act` returns, or what it returned for the same form before.

        :param key: what only one form has
        """
        with self._lock:
            form = self._forms.setdefault(key, _Form())
            if len(self._forms) > MOST_KEPT:
                self._forms.popitem(last=False)
        with form.lock:
            if form.answer is None or not self._is_done(form.answer):
                form.answer = act()
            return form.answer


class _Form(Generic[A]):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answer: A | None = None
