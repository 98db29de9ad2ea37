"""Laws of two schedulers, for platforms that are late, ahead or behind, and for schedules that change meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_mics.core.exactly_once.handover import TickContext
from airflow_provider_mics.core.planning.cron_ticks import Cron
from tests.case_counts import cases
from tests.core.exactly_once.ticks import Change, Outcome, Platform, run_tick

DAY = datetime(2026, 3, 2, tzinfo=UTC)
CRONS = {
    "30 5 * * *": timedelta(days=1),
    "0 */2 * * *": timedelta(hours=2),
    "*/15 * * * *": timedelta(minutes=15),
}
ZONES = ["UTC", "Europe/Paris", "Asia/Kolkata", "America/Sao_Paulo"]


def durations(*seconds: int) -> st.SearchStrategy[timedelta]:
    return st.sampled_from([timedelta(seconds=each) for each in seconds])


@st.composite
def platforms(draw: st.DrawFn, *, with_changes: bool) -> tuple[Platform, datetime]:
    """A platform, and the first tick that its task runs."""
    expression = draw(st.sampled_from(sorted(CRONS)))
    zone = draw(st.sampled_from(ZONES))
    cron = Cron(expression, zone)
    tick = DAY + timedelta(hours=3)
    while not cron.fires_at(tick):
        tick += timedelta(minutes=1)
    changes = []
    if with_changes:
        at = tick - draw(durations(5400, 1800, 300, 60)) + draw(durations(0, 30, 90, 200))
        changed = draw(
            st.sampled_from(
                [{"cron_status": "PAUSED"}, {"cron": "7 1 * * *"}, {"archived": True}, {"name": "new"}]
            )
        )
        changes.append(Change(at, changed))
        if draw(st.booleans()):
            back = {"cron_status": "ACTIVE", "cron": expression, "archived": False}
            changes.append(Change(at + draw(durations(20, 120, 600)), back))
    platform = Platform(
        now=tick - timedelta(hours=2),
        cron=expression,
        zone=zone,
        late=draw(durations(-3600, 0, 6, 60, 130, 400)),
        offset=draw(durations(-150, -40, 0, 40, 150)),
        start_latency=draw(durations(0, 5, 60)),
        duration=draw(durations(1, 40, 600)),
        changes=changes,
    )
    return platform, tick


graces = durations(0, 10, 120, 300)
examples = settings(max_examples=cases(30), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def law_of_one(platform: Platform, cron: Cron, tick: datetime) -> None:
    """At most one execution of a tick has started, or a warning names each further one."""
    first, *further = platform.started_for(tick, cron.tolerance) or [None]
    lines = "\n".join(platform.simulated.driver.warnings)
    for each in further:
        named = [f"execution {each['id']}", f"execution {first and first['id']}"]
        assert any(f"{name} " in lines or f"{name}," in lines for name in named), (platform, lines)


@examples
@given(platforms(with_changes=False), graces, durations(0, 5, 30, 100, 1000), durations(5, 30, 120))
def test_a_tick_runs_once_or_a_warning_names_the_second(
    made: tuple[Platform, datetime], grace: timedelta, begins: timedelta, interval: timedelta
) -> None:
    platform, tick = made
    cron = Cron(platform.cron, platform.zone)
    context = TickContext(platform.cron, platform.zone, None, grace)
    ticks = [tick]
    for _ in range(2):
        following = ticks[-1] + timedelta(minutes=1)
        while not cron.fires_at(following):
            following += timedelta(minutes=1)
        ticks.append(following)
    outcomes = []
    for each in ticks:
        platform.advance(each + begins)
        outcomes.append(run_tick(platform.simulated, context, each, interval.total_seconds()))
    platform.settle()
    run_tick(platform.simulated, context, ticks[-1] + CRONS[platform.cron], 60)
    for each, outcome in zip(ticks, outcomes, strict=True):
        assert outcome.execution is not None, outcome
        assert outcome.execution.succeeded
        assert platform.started_for(each, cron.tolerance)
        law_of_one(platform, cron, each)


@examples
@given(platforms(with_changes=True), graces, durations(0, 30, 1000))
def test_no_tick_of_the_schedule_in_force_is_skipped_or_lost(
    made: tuple[Platform, datetime], grace: timedelta, begins: timedelta
) -> None:
    platform, tick = made
    cron = Cron(platform.cron, platform.zone)
    context = TickContext(platform.cron, platform.zone, None, grace)
    platform.advance(tick + begins)
    outcome = run_tick(platform.simulated, context, tick, 30)
    instance = dict(platform.simulated.instance)
    platform.settle()
    has_tick = (
        instance["cron_status"] == "ACTIVE"
        and not instance.get("archived")
        and instance["cron"] == cron.expression
    )
    run_tick(platform.simulated, context, tick + CRONS[platform.cron], 60)
    if outcome.skipped:
        assert not has_tick, outcome
        assert "nothing to run" in outcome.skipped
    if has_tick:
        assert outcome.execution is not None, outcome
    law_of_one(platform, cron, tick)


@settings(max_examples=cases(80), deadline=None)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(ZONES),
    st.integers(0, 23),
    st.integers(0, 23),
    st.integers(0, 12),
    st.integers(0, 12),
    st.booleans(),
)
def test_no_advice_names_a_zone_that_contradicts_the_history_in_force(
    theirs: str, ours: str, hour: int, hour_before: int, days: int, days_before: int, by_hand: bool
) -> None:
    expression, before = f"30 {hour} * * *", f"30 {hour_before} * * *"
    changed = DAY - timedelta(days=days, hours=6)
    tick = DAY
    while not Cron(expression, ours).fires_at(tick):
        tick += timedelta(minutes=1)
    platform = Platform(
        tick + timedelta(minutes=1), expression, theirs, *[timedelta(0)] * 3, timedelta(seconds=1)
    )
    simulated = platform.simulated
    simulated.instance["last_modified_ts"] = int(changed.timestamp() * 1000)
    in_force = []
    moment = changed - timedelta(days=days_before)
    while moment < tick - timedelta(hours=1):
        was = before if moment < changed else expression
        if Cron(was, theirs).fires_at(moment.replace(second=0)):
            simulated.fire(moment, "SUCCEEDED")["creation_date"] = int(moment.timestamp() * 1000)
            in_force += [moment] if moment >= changed else []
        moment += timedelta(minutes=30) if moment.minute in (0, 30) else timedelta(minutes=1)
    if by_hand and len(in_force) >= 4:
        simulated.fire(in_force[0] + timedelta(minutes=97, seconds=13), "SUCCEEDED")
    outcome: Outcome = run_tick(
        platform.simulated, TickContext(expression, ours, None, timedelta(0)), tick, 30
    )
    contradicts = any(not Cron(expression, ours).could_fire_at(each) for each in in_force)
    if outcome.error:
        assert contradicts, outcome
        if "timezone to '" in outcome.error:
            advised = outcome.error.split("timezone to '")[1].split("'")[0]
            assert all(Cron(expression, advised).could_fire_at(each) for each in in_force)
    else:
        assert not contradicts, in_force
