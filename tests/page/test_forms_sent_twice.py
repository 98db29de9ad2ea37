"""A form that is sent twice acts once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_mics.page.forms_sent_twice import MOST_KEPT, AnswersByForm


class Batch:
    """Counts how often it is run. A run waits until it is allowed to end."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.began, self.may_end = threading.Event(), threading.Event()
        self.answers = AnswersByForm[str](lambda answer: answer != "not done")

    def run(self, answer: str = "done") -> str:
        self.runs.append(answer)
        self.began.set()
        assert self.may_end.wait(10)
        return f"{answer} {len(self.runs)}" if answer == "done" else answer

    def send(self, form: str, answer: str = "done") -> str:
        return self.answers.get(form, lambda: self.run(answer))


@pytest.fixture
def batch() -> Batch:
    return Batch()


def test_two_at_the_same_moment_act_once_and_have_the_same_answer(batch: Batch) -> None:
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(batch.send, "form")
        assert batch.began.wait(10)
        second = threads.submit(batch.send, "form")
        assert not second.done()
        batch.may_end.set()
        assert {first.result(10), second.result(10)} == {"done 1"}
    assert batch.send("form") == "done 1"
    assert batch.runs == ["done"]


def test_two_forms_do_not_wait_for_each_other(batch: Batch) -> None:
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(batch.send, "slow")
        assert batch.began.wait(10)
        quick = threads.submit(batch.answers.get, "quick", lambda: "at once")
        assert quick.result(10) == "at once"
        assert not slow.done()
        batch.may_end.set()


def test_what_was_not_done_is_tried_again(batch: Batch) -> None:
    batch.may_end.set()
    assert batch.send("form", "not done") == "not done"
    assert batch.send("form") == "done 2"


def test_a_failure_blocks_nobody(batch: Batch) -> None:
    batch.may_end.set()
    with pytest.raises(ZeroDivisionError):
        batch.answers.get("form", lambda: str(1 // 0))
    assert batch.send("form") == "done 1"


def test_old_forms_are_forgotten(batch: Batch) -> None:
    batch.may_end.set()
    for number in range(MOST_KEPT + 1):
        batch.send(str(number))
    assert batch.send("0") == f"done {MOST_KEPT + 2}"
