"""What the page reads of the platform, and how often it asks for it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_mics.page.marks import EPOCH_START
from airflow_provider_mics.page.platform_reading import (
    INSTANCES_ASKED,
    INSTANCES_KEPT_FOR,
    KEPT,
    MOST_OUTAGES_IN_A_ROW,
    OWN_LIST_KEPT_FOR,
    PlatformState,
    read_platform,
)
from tests.flow_driver import NOON, FlowDriver
from tests.page.organisation import INSTANCES, Organisation, execution_json, instance

MINUTE = timedelta(minutes=1)
LIST = f"{INSTANCES}.executions"


class Reader:
    """Reads an organisation again and again."""

    def __init__(self, organisation: Organisation) -> None:
        self.organisation = organisation
        self.driver = FlowDriver(organisation)
        self.state = PlatformState(organisation_id="1185")

    def read(self, *, after: timedelta = timedelta(seconds=10)) -> PlatformState:
        self.driver.now += after
        self.state = self.driver.run(read_platform(self.state))
        return self.state

    def shown(self, instance_id: str) -> list[str]:
        return [each.id for each in self.state.executions.get(instance_id, ())]


def minutely(count: int, instance_id: str = "1", first_id: int = 1) -> list[dict[str, object]]:
    return [
        execution_json(first_id + number, instance_id, due=NOON - (count - number) * MINUTE)
        for number in range(count)
    ]


@pytest.mark.parametrize("newest_first", [True, False])
def test_each_instance_has_its_newest_executions_first(newest_first: bool) -> None:
    organisation = Organisation(
        [instance("1"), instance("2")],
        [*minutely(30, "1"), *minutely(3, "2", 101)],
        newest_first=newest_first,
    )
    reader = Reader(organisation)
    state = reader.read()
    assert reader.shown("1") == [str(each) for each in range(30, 30 - KEPT, -1)]
    assert reader.shown("2") == ["103", "102", "101"]
    assert (state.user_id, state.failure, state.read_at) == ("77", None, reader.driver.now)
    history = state.history("2")
    assert history is not None
    assert history.known_since == EPOCH_START
    history = state.history("1")
    assert history is not None
    assert history.known_since == NOON - KEPT * MINUTE


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_later_reading_costs_a_request_or_two_however_long_the_list_is(newest_first: bool) -> None:
    organisation = Organisation([instance("1")], minutely(3000), newest_first=newest_first)
    reader = Reader(organisation)
    reader.read()
    organisation.requests.clear()
    organisation.executions += [execution_json(9001, due=NOON)]
    reader.read()
    assert reader.shown("1")[0] == "9001"
    assert len(organisation.asked(LIST)) <= 2


def test_what_has_changed_is_shown_and_what_has_not_ended_is_looked_at_again() -> None:
    running = execution_json(1, due=NOON - 50 * MINUTE, status="RUNNING", seconds=None)
    organisation = Organisation([instance("1"), instance("2")], [running, *minutely(40, "2", 100)])
    reader = Reader(organisation)
    assert reader.read().executions["1"][0].status == "RUNNING"
    running |= {"status": "FAILED", "duration": 1000}
    assert reader.read().executions["1"][0].status == "FAILED"


def test_an_execution_that_was_deleted_is_shown_no_more() -> None:
    organisation = Organisation([instance("1")], minutely(30))
    reader = Reader(organisation)
    reader.read()
    del organisation.executions[-1]
    reader.read()
    assert reader.shown("1")[0] == "29"


def test_an_outage_leaves_what_was_known_with_the_reason() -> None:
    organisation = Organisation([instance("1")], minutely(3))
    reader = Reader(organisation)
    before = reader.read()
    organisation.is_down = True
    state = reader.read()
    assert (state.executions, state.instances, state.read_at) == (
        before.executions,
        before.instances,
        before.read_at,
    )
    assert state.failure is not None
    assert "error_id id-1" in state.failure
    assert state.failed_at == reader.driver.now
    organisation.is_down = False
    assert reader.read().failure is None


def test_a_platform_that_is_down_from_the_beginning_shows_nothing_but_the_reason() -> None:
    state = Reader(Organisation(is_down=True)).read()
    assert state.instances == {}
    assert state.read_at is None
    assert state.failure


def test_instances_are_listed_less_often_than_executions() -> None:
    organisation = Organisation([instance("1")], minutely(3))
    reader = Reader(organisation)
    reader.read()
    organisation.requests.clear()
    reader.read()
    assert organisation.asked(INSTANCES) == []
    organisation.instances = [instance("1", name="renamed")]
    state = reader.read(after=INSTANCES_KEPT_FOR)
    assert state.instances["1"].name == "renamed"


def test_after_an_action_the_instances_are_listed_at_once() -> None:
    organisation = Organisation([instance("1")], minutely(3))
    reader = Reader(organisation)
    reader.read()
    organisation.instances = [instance("1", name="renamed")]
    reader.state = reader.state.outdated()
    organisation.is_down = True
    reader.read()
    organisation.is_down = False
    assert reader.read().instances["1"].name == "renamed"
    organisation.requests.clear()
    reader.read()
    assert organisation.asked(INSTANCES) == []


@pytest.mark.parametrize("way", ["no list", "no instances in the list"])
def test_a_platform_without_a_list_for_all_is_asked_for_some_instances_in_turn(way: str) -> None:
    count = INSTANCES_ASKED + 5
    organisation = Organisation(
        [instance(str(number)) for number in range(count)],
        [each for number in range(count) for each in minutely(2, str(number), 10 * number)],
        has_list=way != "no list",
        shows_instances=way == "no list",
    )
    reader = Reader(organisation)
    reader.read()
    assert len(reader.state.executions) == INSTANCES_ASKED
    reader.read()
    assert len(reader.state.executions) == count
    assert reader.state.history("0") is not None
    assert reader.shown("24") == ["241", "240"]


def test_a_batch_that_seldom_runs_is_found_beyond_what_is_read_of_the_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("airflow_provider_mics.page.platform_reading.MOST_READ_FIRST", 500)
    seldom = [execution_json(1 + each, "2", due=NOON - timedelta(days=30 - each)) for each in range(12)]
    organisation = Organisation([instance("1"), instance("2")], [*seldom, *minutely(2000, "1", 100)])
    reader = Reader(organisation)
    state = reader.read()
    assert reader.shown("2") == [str(each) for each in range(12, 0, -1)]
    assert state.covered_since is not None
    assert state.covered_since > NOON - timedelta(days=1)
    history = state.history("2")
    assert history is not None
    assert history.known_since == EPOCH_START
    organisation.requests.clear()
    reader.read()
    assert organisation.asked(f"{INSTANCES}/2/executions") == []


def without_a_list_for_all(count: int) -> Organisation:
    executions = [each for number in range(count) for each in minutely(2, str(number), 10 * number)]
    return Organisation([instance(str(number)) for number in range(count)], executions, has_list=False)


@pytest.mark.parametrize("status", [500, 403, 404])
def test_an_instance_whose_own_list_is_refused_stops_no_other(status: int) -> None:
    organisation = without_a_list_for_all(INSTANCES_ASKED + 5)
    organisation.refused = {"0": status, "7": status}
    reader = Reader(organisation)
    for _ in range(3):
        state = reader.read()
        assert (state.failure, state.read_at) == (None, reader.driver.now)
    assert state.executions.keys() == state.instances.keys() - {"0", "7"}
    assert state.history("0") is None
    organisation.refused.clear()
    for _ in range(2):
        reader.read()
    assert reader.shown("0") == ["1", "0"]


def test_many_refused_lists_in_a_row_delay_the_others_and_no_more() -> None:
    organisation = without_a_list_for_all(10)
    organisation.refused = {str(number): 500 for number in range(MOST_OUTAGES_IN_A_ROW + 1)}
    reader = Reader(organisation)
    assert reader.read().failure is not None
    assert len([each for each in organisation.requests if "/executions@" in each]) == MOST_OUTAGES_IN_A_ROW
    state = reader.read()
    assert state.executions.keys() == state.instances.keys() - organisation.refused.keys()


def test_an_outage_while_own_lists_are_read_leaves_those_that_were_read() -> None:
    organisation = without_a_list_for_all(10)
    organisation.refused = {str(number): 503 for number in range(4, 10)}
    state = Reader(organisation).read()
    assert state.failure is not None
    assert "error_id id-1" in state.failure
    assert state.executions.keys() == {"0", "1", "2", "3"}
    assert state.read_at is None


def test_what_is_known_of_an_own_list_holds_until_it_was_read() -> None:
    organisation = without_a_list_for_all(1)
    reader = Reader(organisation)
    read_at = reader.read().read_at
    organisation.refused = {"0": 500}
    state = reader.read()
    history = state.history("0")
    assert history is not None
    assert read_at is not None
    assert state.read_at is not None
    assert (history.read_at, history.known_since) == (read_at, EPOCH_START)
    assert state.read_at > read_at


def test_an_old_execution_that_has_not_ended_does_not_make_each_reading_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("airflow_provider_mics.page.platform_reading.MOST_READ_FIRST", 500)
    monkeypatch.setattr("airflow_provider_mics.page.platform_reading.MOST_READ", 300)
    due = NOON + timedelta(days=20)
    waiting = execution_json(
        1, "2", due=due, created=NOON - timedelta(days=3), status="PENDING", started=None, seconds=None
    )
    seldom = [execution_json(10 + each, "3", due=NOON - timedelta(days=30 - each)) for each in range(12)]
    organisation = Organisation(
        [instance("1"), instance("2"), instance("3")], [waiting, *seldom, *minutely(2000, "1", 100)]
    )
    reader = Reader(organisation)
    covered_since = reader.read().covered_since
    assert (reader.shown("2"), len(reader.shown("3"))) == (["1"], 12)
    organisation.requests.clear()
    state = reader.read()
    assert state.covered_since == covered_since
    assert state.own_lists.keys() == {"2", "3"}
    assert len(organisation.requests) <= 2
    waiting |= {"status": "CANCELED"}
    assert reader.read(after=OWN_LIST_KEPT_FOR).executions["2"][0].status == "CANCELED"


def test_a_long_reading_that_reaches_what_was_known_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_mics.page.platform_reading.MOST_READ_FIRST", 500)
    monkeypatch.setattr("airflow_provider_mics.page.platform_reading.MOST_READ", 300)
    running = execution_json(1, "2", due=NOON - timedelta(hours=6), status="RUNNING", seconds=None)
    organisation = Organisation([instance("1"), instance("2")], [running, *minutely(2000, "1", 100)])
    reader = Reader(organisation)
    covered_since = reader.read().covered_since
    own_list = reader.state.own_lists["2"]
    state = reader.read()
    assert state.covered_since == covered_since
    assert state.own_lists["2"] == own_list


def test_a_gap_in_what_was_read_is_no_proof_of_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_mics.page.platform_reading.MOST_READ", 100)
    organisation = Organisation([instance("1")], minutely(50))
    reader = Reader(organisation)
    assert reader.read().covered_since == EPOCH_START
    organisation.executions += [
        execution_json(1000 + each, due=NOON + each * timedelta(seconds=1)) for each in range(400)
    ]
    state = reader.read(after=timedelta(hours=1))
    assert state.covered_since is not None
    assert state.covered_since > NOON


def test_a_connection_that_leads_elsewhere_begins_anew() -> None:
    reader = Reader(Organisation([instance("1")], minutely(3)))
    state = reader.read()
    settings = {"timezone": "Europe/Paris", "console_url": "", "inventory_at": None}
    same = state.of_connection(host=state.host, organisation_id="1185", **settings)
    assert (same.timezone, same.instances) == ("Europe/Paris", state.instances)
    other = state.of_connection(host="https://other.example", organisation_id="1185", **settings)
    assert other.instances == {}
    assert other.read_at is None
