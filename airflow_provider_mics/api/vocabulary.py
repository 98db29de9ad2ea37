"""The platform's words: statuses, types and sizes, each equal to its text."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BeforeValidator

from airflow_provider_mics.api.fields import text


class Word(StrEnum):
    """A word of the platform's vocabulary; equal to its text."""

    @classmethod
    def _synonyms(cls) -> Mapping[str, str]:
        return {}

    @classmethod
    def _missing_(cls, value: object) -> Word | None:
        word = str(value).upper()
        return cls.__members__.get(cls._synonyms().get(word, word))


class CronStatus(Word):
    """Whether the platform fires the cron of an instance."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"


class ExecutionType(Word):
    """Who planned an execution: a person or a program (MANUAL), or the instance's own cron (CRON)."""

    MANUAL = "MANUAL"
    CRON = "CRON"


class ContainerSize(Word):
    """How large the container of an instance is; the vendor's console writes ``XL`` for EXTRA_LARGE."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    LARGE = "LARGE"
    EXTRA_LARGE = "EXTRA_LARGE"

    @classmethod
    def _synonyms(cls) -> Mapping[str, str]:
        return {"XL": "EXTRA_LARGE"}


class ExecutionStatus(Word):
    """Where an execution stands. The last four are known from the platform's other kinds of job."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    SCHEDULED = "SCHEDULED"
    WAITING_DEPENDENT_JOB = "WAITING_DEPENDENT_JOB"
    EXECUTOR_NOT_RESPONDING = "EXECUTOR_NOT_RESPONDING"
    LOST = "LOST"

    @classmethod
    def _synonyms(cls) -> Mapping[str, str]:
        return {"SUCCESS": "SUCCEEDED", "CANCELLED": "CANCELED"}


NOT_STARTED = frozenset(
    {ExecutionStatus.PENDING, ExecutionStatus.SCHEDULED, ExecutionStatus.WAITING_DEPENDENT_JOB}
)
ENDED_BADLY = frozenset(
    {ExecutionStatus.FAILED, ExecutionStatus.EXECUTOR_NOT_RESPONDING, ExecutionStatus.LOST}
)
OVER = ENDED_BADLY | {ExecutionStatus.SUCCEEDED, ExecutionStatus.CANCELED}

W = TypeVar("W", bound=Word)


def word_of(words: type[W]) -> Any:
    """Read a word of ``words``; one that the platform added since stays plain text."""

    def read(value: Any) -> W | str | None:
        if value is None:
            return None
        try:
            return words(value)
        except ValueError:
            return text(value)

    return BeforeValidator(read)
