"""A platform that lists instances in ways of its own, and parses that keep an inventory of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.core.planning.inventory_updates import updated_inventory
from airflow_provider_mics.core.planning.listing import ListingPass
from tests.core.planning.instances import CONSOLE
from tests.flow_driver import NOON, FlowDriver, ok, refusal

HOST = "https://platform.test"
LIMIT = timedelta(seconds=10)


class ListedPlatform:
    """Has ``instances`` by id. ``shown`` changes what a list gives; ``answer`` replaces an answer, unless None."""

    def __init__(self, instances: Sequence[Instance] = ()) -> None:
        self.instances = {each.id: each for each in instances}
        self.shown: Callable[[list[Instance]], list[Instance]] = list
        self.answer: Callable[[Call[Any]], Any] = lambda call: None
        self.total: int | None = None
        self.seconds_a_page = 0.0
        self.most_a_page = 1000
        self.driver = FlowDriver(self._answer, now=NOON)

    def _answer(self, call: Call[Any]) -> Any:
        given = self.answer(call)
        if given is not None:
            return given
        if "first_result" not in call.query:
            one = self.instances.get(call.path.rpartition("/")[2])
            return refusal(404, "not found") if one is None else ok(one.to_json())
        self.driver.now += timedelta(seconds=self.seconds_a_page)
        first, most = call.query["first_result"], min(call.query["max_results"], self.most_a_page)
        shown = self.shown(list(self.instances.values()))
        return ok([each.to_json() for each in shown[first : first + most]], total=self.total)

    def parse(self, known: Inventory | None, *, limit: timedelta = LIMIT) -> Inventory | None:
        """What a parse knows afterwards: as `InventorySource` does it, without files."""
        listing_pass = ListingPass(known, self.driver.now)
        try:
            self.driver.run(listing_pass.steps(limit))
            listing = listing_pass.listing()
        except MicsError as error:
            if not listing_pass.is_worth_keeping:
                return known
            listing = listing_pass.listing(error)
        return updated_inventory(
            known,
            listing,
            host=HOST,
            organisation_id="1185",
            timezone="Europe/Paris",
            console_url=CONSOLE,
            fetched_at=self.driver.now,
        )
