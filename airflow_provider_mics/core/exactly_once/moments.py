"""Compute the moments that belong to one piece of work: where the platform keeps our identity of an execution.

The platform keeps ``expected_start_date`` in milliseconds and nothing else that a client may choose, so these
milliseconds have to tell apart all the executions that Airflow asks of one instance.

* **Without a given moment** any moment in the past starts at once, and a range of 2**36 ms (2.2 years) is free. Each
  task of a DAG has a block of 2**17 ms in it, with room for 2,048 mapped tasks that were cleared 63 times. Blocks are
  drawn from the names of the tasks, and a draw that another task has taken steps on. A scheduled or backfilled run
  counts back from its logical date, which no other run of the DAG has. Any other run, whose date is not its own
  alone, also moves by 36 bits of a hash of its run id.
* **With a given moment** the rest of its second is free: a thousand moments. They are drawn in the same way for each
  task and mapped task, and moved by the run and by each clear. Two runs may meet there, so a run steps on from a
  moment that is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from math import gcd

from airflow_provider_mics.api.field_types import EPOCH, from_milliseconds, milliseconds

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far the clocks of the platform, the scheduler and the workers may be apart."""
RANGE_MS = 2**36
BLOCK_MS = 2**17
MAPPED_STEP_MS = 64
"""Between two mapped tasks of a block. Clears count up in between."""
EARLIEST = EPOCH + timedelta(milliseconds=RANGE_MS) + CLOCK_TOLERANCE
"""Before this there is no whole range after 1970, and the platform takes no negative milliseconds."""


@dataclass(frozen=True)
class TaskName:
    """A task of the DAG that creates executions. ``is_mapped`` includes a task in a mapped task group."""

    task_id: str
    is_mapped: bool = False


@dataclass(frozen=True)
class WorkName:
    """The names of one piece of work. ``siblings`` are the tasks of the DAG that create executions."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    generation: int = 0
    siblings: tuple[TaskName, ...] = ()

    @property
    def tasks(self) -> list[TaskName]:
        """The siblings and this task itself, in the order of their names."""
        own = TaskName(self.task_id, self.map_index >= 0)
        others = {each for each in self.siblings if each.task_id != self.task_id}
        return sorted({*others, own}, key=lambda each: each.task_id)


@dataclass(frozen=True)
class Moments:
    """The moments of one piece of work, in the order in which it tries them.

    They are ``count`` consecutive milliseconds from ``first_ms`` on, each once, beginning with ``number``; then the
    same again one second later. ``laps`` is how many seconds later they begin.
    """

    first_ms: int
    count: int
    number: int
    step: int
    laps: int = 0

    @property
    def is_wide(self) -> bool:
        """Whether there are so many that two pieces of work do not meet by chance."""
        return self.count == RANGE_MS

    def at(self, attempt: int) -> datetime:
        """Return the moment (UTC) that comes after ``attempt`` others."""
        position = (self.number + attempt * self.step) % self.count
        laps = self.laps + attempt // self.count
        return from_milliseconds(self.first_ms + laps * 1000 + position)


def moments_at_once(work: WorkName, date: datetime, started: datetime, *, is_own_date: bool) -> Moments:
    """Return moments in the past.

    :param date: the run's date
    :param started: when the run began; taken in place of a ``date`` that lies after it or too near to 1970
    :param is_own_date: whether no other run of the DAG has this date
    """
    is_usable = EARLIEST <= date <= started + CLOCK_TOLERANCE
    offset = _block(work) * BLOCK_MS + (work.map_index + 1) * MAPPED_STEP_MS + work.generation
    if not (is_usable and is_own_date):
        offset += _hash(work.run_id)
    last_ms = milliseconds(date if is_usable else started) - CLOCK_TOLERANCE // timedelta(milliseconds=1)
    number = RANGE_MS - 1 - offset % RANGE_MS
    return Moments(last_ms - RANGE_MS + 1, RANGE_MS, number, _step(work, started, RANGE_MS))


def moments_in_second(work: WorkName, given: datetime, started: datetime) -> Moments:
    """Return moments from ``given`` to the end of its second, then of later seconds: never earlier than given.

    A second that is full, because of more than a thousand mapped tasks, is left for the next one.
    """
    first_ms = -(-(given - EPOCH) // timedelta(milliseconds=1))
    count = 1000 - first_ms % 1000
    laps, position = _place_in_second(work, count)
    shift = _hash(work.run_id) + work.generation * _coprime(count * 618 // 1000, count)
    return Moments(first_ms, count, (position + shift) % count, _step(work, started, count), laps)


def _block(work: WorkName) -> int:
    """Return the block of the task: the one that its name draws, or the next free one after a draw that is taken."""
    count = RANGE_MS // BLOCK_MS
    taken: set[int] = set()
    for task in work.tasks:
        name = f"{work.dag_id}\n{task.task_id}"
        block = _first_free(name, _hash(name), count, taken)
        if task.task_id == work.task_id:
            return block
        taken.add(block)
    raise AssertionError(work)


def _place_in_second(work: WorkName, count: int) -> tuple[int, int]:
    """Return how many seconds later, and which of ``count`` milliseconds, the mapped task has.

    All mapped tasks that may come before it are placed, since each takes a millisecond: of all tasks the first ones,
    then the second ones, and so on. So nothing depends on how many mapped tasks there are.
    """
    tasks = [(task, f"{work.dag_id}\n{task.task_id}") for task in work.tasks]
    draws = {name: _hash(name) for _, name in tasks}
    laps, index, taken = 0, 0, set[int]()
    while True:
        for task, name in tasks:
            if len(taken) == count:
                laps, taken = laps + 1, set()
            position = _first_free(f"{name}\n{index}", draws[name] + index, count, taken)
            if task.task_id == work.task_id and index == max(work.map_index, 0):
                return laps, position
            taken.add(position)
        tasks, index = [(task, name) for task, name in tasks if task.is_mapped], index + 1


def _first_free(name: str, draw: int, count: int, taken: set[int]) -> int:
    position = draw % count
    step = 0
    while position in taken:
        step = step or _coprime(_hash(f"{name}\nstep"), count)
        position = (position + step) % count
    return position


def _step(work: WorkName, started: datetime, count: int) -> int:
    """Return a step that visits all moments, another for each run: two runs that meet do not meet again."""
    return _coprime(_hash(f"{work.run_id}\n{started.isoformat()}"), count)


def _coprime(number: int, count: int) -> int:
    """Return a number from 1 on that has no common divisor with ``count``."""
    number = number % count or 1
    while gcd(number, count) != 1:
        number = number % count + 1
    return number


def _hash(name: str) -> int:
    """Return 64 bits that depend on the name only, in every process and on every version of Python."""
    return int.from_bytes(sha256(name.encode("utf-8", "surrogatepass")).digest()[:8])
