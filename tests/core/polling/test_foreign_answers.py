"""An answer that is not the platform's ends no wait, whichever request gets it."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.polling.simulated import (
    ORGANISATION_LIST,
    end,
    running,
    simulate,
    wait_for,
    wait_for_creation,
)
from tests.foreign_answers import SHAPES, foreign_until
from tests.simulated_platform import always

ROUTES = {
    "all": "",
    "the organisation's list": ORGANISATION_LIST,
    "by id": "/1",
    "the instance's list": "/executions",
}


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("path", ROUTES.values(), ids=ROUTES.keys())
@pytest.mark.parametrize("shape", SHAPES)
def test_a_foreign_answer_for_minutes_ends_no_wait(shape: str, path: str, count: int) -> None:
    async def scenario(status: int) -> None:
        platform = running(count)
        platform.faults = always(foreign_until(150, status, shape, path=path))
        waiters = [wait_for(platform, str(each)) for each in range(1, count + 1)]
        later = wait_for_creation(platform, "99")
        await asyncio.sleep(160)
        assert not any(each.task.done() for each in waiters), status
        platform.add("99")
        assert all(each.succeeded for each in await end(platform, waiters)), status
        assert (await later.task).id == "99"

    for status in (200, 302, 401, 403, 404, 405, 503):
        simulate(scenario(status))
