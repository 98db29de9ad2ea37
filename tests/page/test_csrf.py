"""Tokens and answers of one session mean nothing in another."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.page.csrf import Signer

SIGNER = Signer("the secret of the API servers")


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=50), st.text(max_size=50))
def test_a_token_is_of_its_session_alone(session: str, other: str) -> None:
    token = SIGNER.csrf_token(session)
    assert SIGNER.is_csrf_token(token, session)
    assert SIGNER.is_csrf_token(token, other) == (session == other)
    assert not Signer("another secret").is_csrf_token(token, session)


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=100))
def test_no_other_text_is_a_token(text: str) -> None:
    assert not SIGNER.is_csrf_token(text, "session")


def test_an_answer_comes_back_to_its_session_alone() -> None:
    value = {"text": "Fertig: <b>✓</b>", "is_done": True}
    sealed = SIGNER.seal(value, "session")
    assert SIGNER.unseal(sealed, "session") == value
    assert SIGNER.unseal(sealed, "other") is None
    assert SIGNER.unseal(sealed[:-1], "session") is None


@pytest.mark.parametrize("text", ["", ".", "a.b", "e30.", "💥.💥", "e30" * 1000])
def test_what_was_not_sealed_is_nothing(text: str) -> None:
    assert SIGNER.unseal(text, "session") is None


def test_a_token_is_no_seal_and_a_seal_no_token() -> None:
    assert SIGNER.csrf_token("a") not in SIGNER.seal({}, "a")
