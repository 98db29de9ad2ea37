"""Where an execution stands at a moment: reckoned from what was decided when it was created, never stored.

So a restart loses nothing, and an idle server does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

PENDING, RUNNING, SUCCEEDED, FAILED, CANCELED = "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED"
OVER = frozenset({SUCCEEDED, FAILED, CANCELED})


@dataclass(frozen=True)
class Course:
    """What was decided about an execution. Times in epoch milliseconds of the platform's clock.

    ``duration_ms`` is None for one that never ends by itself. ``stopped_as`` is the status that a person or a
    request gave it at ``stopped_ms``.
    """

    starts_ms: int
    duration_ms: int | None
    succeeds: bool
    num_tasks: int
    stopped_ms: int | None = None
    stopped_as: str | None = None


@dataclass(frozen=True)
class Standing:
    """Where it stands: ``start_ms`` is None before its start, ``duration_ms`` before its end."""

    status: str
    start_ms: int | None
    duration_ms: int | None
    completed_tasks: int
    erroneous_tasks: int

    @property
    def is_over(self) -> bool:
        return self.status not in {PENDING, RUNNING}


def standing(course: Course, now_ms: int) -> Standing:
    """Where an execution stands at a moment of the platform's clock."""
    end_ms = None if course.duration_ms is None else course.starts_ms + course.duration_ms
    stopped_ms = course.stopped_ms
    if stopped_ms is not None and stopped_ms <= now_ms and (end_ms is None or stopped_ms < end_ms):
        return _stopped(course, stopped_ms)
    if now_ms < course.starts_ms:
        return Standing(PENDING, None, None, 0, 0)
    if end_ms is None or now_ms < end_ms:
        return Standing(RUNNING, course.starts_ms, None, _completed_tasks(course, now_ms), 0)
    failed_tasks = 0 if course.succeeds else min(1, course.num_tasks)
    status = SUCCEEDED if course.succeeds else FAILED
    return Standing(
        status, course.starts_ms, course.duration_ms, course.num_tasks - failed_tasks, failed_tasks
    )


def _stopped(course: Course, stopped_ms: int) -> Standing:
    status = course.stopped_as or CANCELED
    if stopped_ms < course.starts_ms:
        return Standing(status, None, None, 0, 0)
    done = course.num_tasks if status == SUCCEEDED else _completed_tasks(course, stopped_ms)
    return Standing(status, course.starts_ms, stopped_ms - course.starts_ms, done, int(status == FAILED))


def _completed_tasks(course: Course, now_ms: int) -> int:
    """Tasks done by now: evenly over the duration; one that never ends gets stuck half way, after a minute."""
    whole_ms = course.duration_ms if course.duration_ms is not None else 120_000
    share = min(1.0, (now_ms - course.starts_ms) / max(1, whole_ms))
    if course.duration_ms is None:
        share = min(share, 0.5)
    return min(int(share * course.num_tasks), max(0, course.num_tasks - 1))
