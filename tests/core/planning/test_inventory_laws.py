"""Whatever a platform answers, and whatever becomes of a snapshot: no DAG is lost, and no schedule begins anew."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.api.errors import MicsConnectionError
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.transport import Response
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.core.planning.listing import MAX_MISSING_ASKED
from tests.case_counts import cases
from tests.core.planning.instances import instance
from tests.core.planning.listed_platform import ListedPlatform
from tests.flow_driver import ok, refusal

NUMBER = 25
SHOWN: dict[str, Callable[[random.Random], Callable[[list[Instance]], list[Instance]]]] = {
    "full": lambda chance: list,
    "half": lambda chance: lambda listed: [each for each in listed if chance.random() < 0.5],
    "without the last": lambda chance: lambda listed: listed[:-3],
    "empty": lambda chance: lambda listed: [],
    "reordered": lambda chance: lambda listed: chance.sample(listed, len(listed)),
    "twice": lambda chance: lambda listed: [*listed, *listed[::2]],
    "without the archived": lambda chance: lambda listed: [each for each in listed if not each.archived],
}


def dropped(call: Any) -> Any:
    raise MicsConnectionError("connection reset")


ANSWERS: dict[str, Callable[[Any], Any]] = {
    "ok": lambda call: None,
    "500": lambda call: refusal(500),
    "401": lambda call: refusal(401),
    "404 of a gateway": lambda call: Response(404, {}, b"<html>Not Found</html>"),
    "404 of a gateway, in JSON": lambda call: Response(404, {}, b'{"status":404,"error":"Not Found"}'),
    "404 to lists": lambda call: refusal(404) if call.query else None,
    "dropped": dropped,
    "no JSON": lambda call: b"<html>",
    "a bad item": lambda call: ok([None, 7, {"name": "no id"}]) if call.query else None,
    "other data": lambda call: ok({"items": []}),
    "the second page fails": lambda call: refusal(503) if call.query.get("first_result") else None,
}
CHANGES = ("nothing", "archive", "restore", "delete", "return", "rename", "another cron", "pause")
DAMAGES = ("none", "restart", "truncated", "a bad line", "no snapshot")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(sorted(SHOWN)),
        st.sampled_from(sorted(ANSWERS)),
        st.sampled_from(CHANGES),
        st.sampled_from(DAMAGES),
        st.sampled_from([7, 1000]),
        st.integers(0, 2**32),
    ),
    max_size=12,
)


class Parses:
    """Parses of one organisation, and what must be true after each."""

    def __init__(self) -> None:
        self.platform = ListedPlatform([instance(number) for number in range(1, NUMBER + 1)])
        self.deleted: dict[str, Instance] = {}
        known = self.platform.parse(None)
        assert known is not None
        self.known = self.copy = known

    def step(self, shown: str, answer: str, change: str, damage: str, page: int, seed: int) -> None:
        chance = random.Random(seed)
        self.platform.driver.now += timedelta(minutes=5)
        self.platform.shown = SHOWN[shown](chance)
        self.platform.answer = ANSWERS[answer]
        self.platform.most_a_page = page
        before = self.known
        changed = self._change(change, chance)
        self.known = self._damaged(damage, chance)
        assert self.known.instances == before.instances
        self.platform.driver.calls.clear()
        parsed = self.platform.parse(self.known)
        assert parsed is not None
        self._check(before, parsed, changed)
        self.known = self.copy = parsed

    def _change(self, change: str, chance: random.Random) -> str:
        """Change an instance on the platform; return its id where its schedule may begin anew."""
        there = self.platform.instances
        number = chance.choice(sorted(there) or ["0"])
        edited = {"last_modified_ts": self.platform.driver.now}
        edit = {
            "archive": {"archived": True},
            "restore": {"archived": False},
            "rename": {"name": "renamed"},
            "another cron": {"cron": f"{chance.randrange(60)} 6 * * *"},
            "pause": {"cron_status": "PAUSED"},
        }.get(change)
        if change == "delete" and there:
            self.deleted[number] = there.pop(number)
        elif change == "return" and self.deleted:
            number, returned = self.deleted.popitem()
            there[number] = returned
        elif edit is not None and there:
            there[number] = there[number].model_copy(update=edit | edited)
            return "" if change == "rename" else number
        return ""

    def _damaged(self, damage: str, chance: random.Random) -> Inventory:
        """What is read of the snapshot, and of its copy where the snapshot is damaged."""
        if damage == "none":
            return self.known
        content = self.known.to_bytes()
        lines = content.split(b"\n")
        if damage == "truncated":
            content = content[: chance.randrange(len(lines[0]) + 1, len(content))]
        elif damage == "a bad line":
            lines[chance.randrange(1, len(lines) - 1 or 2)] = b'{"id":"7","instance":null}'
            content = b"\n".join(lines)
        copy = Inventory.from_bytes(self.copy.to_bytes())
        return copy if damage == "no snapshot" else Inventory.from_bytes(content).filled_in_from(copy)

    def _check(self, before: Inventory, after: Inventory, changed: str) -> None:
        ids_after = {each.id for each in after.instances}
        for each in before.instances:
            on_platform = self.platform.instances.get(each.id)
            if each.id not in ids_after:
                assert on_platform is None or on_platform.archived, f"{each.id} was lost"
        for each in after.instances:
            known = before.get(each.id) or before.gone.get(each.id, (None, None))[0]
            if known is not None and (known.cron, known.cron_status) == (each.cron, each.cron_status):
                assert after.schedule_since[each.id] == before.schedule_since[each.id], f"{each.id} moved"
            elif known is not None:
                assert after.schedule_since[each.id] > before.schedule_since[each.id]
        gets = [call for call in self.platform.driver.calls if not call.query]
        assert len(gets) <= MAX_MISSING_ASKED


@settings(max_examples=cases(150), deadline=None)
@given(STEPS)
def test_no_dag_is_lost_and_no_schedule_begins_anew(steps):
    parses = Parses()
    for step in steps:
        parses.step(*step)


@settings(max_examples=cases(30), deadline=None)
@given(STEPS)
def test_in_the_end_the_inventory_is_the_platform(steps):
    parses = Parses()
    for step in steps:
        parses.step(*step)
    for number in range(1 + NUMBER // MAX_MISSING_ASKED + 1):
        parses.step("full", "ok", "nothing", "none", 1000, number)
    present = {each.id for each in parses.platform.instances.values() if not each.archived}
    assert {each.id for each in parses.known.instances} == present
