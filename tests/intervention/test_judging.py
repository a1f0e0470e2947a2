"""Scoring models judged by an experiment: all count for the model that assessed them, whoever is helped."""

import dataclasses
from collections.abc import Mapping, Sequence

import pytest
from journeymesh.experiments.v1.experiments_pb2_grpc import add_ExperimentsServiceServicer_to_server

from comparison.assignment import Arm
from mesh.clock import monotonic_clock, system_clock
from mesh.errors import Unavailable
from mesh.observability import telemetry
from mesh.observability.metrics import Metrics
from mesh.rpc import channel
from mesh.settings import SettingError
from mesh.store import redis
from records.tenants import qualified
from services.experiments import bootstrap
from services.experiments.adapters.memory import MemoryExperiments
from services.experiments.domain.definition import Definition, Metric
from services.intervention.batch.deciding import BatchResult
from services.intervention.decision.domain.facts import Outcome, Purchase
from services.intervention.lift.adapters.experiments import ToldExperiments
from services.intervention.lift.domain.judged import Judged, judged_by
from services.intervention.lift.domain.report import STAYED, Report
from services.intervention.lift.usecases import Judges, Telling
from services.intervention.policy.adapters.experiments import KEPT_OF_ALL, MeshConfigurations
from services.intervention.policy.domain.arms import Configured
from services.intervention.policy.domain.policy import EventKind
from services.intervention.settings import Settings
from tests.intervention.builders import NOON_ISH, ManualClock, Row, World, batch, outcome
from tests.serving import serving

# The model that the builders' rows are assessed by.
LIVE, CANARY = "model-1", "model-2"
ARMS = (Arm("control", 3, LIVE), Arm("candidate", 1, CANARY))
JUDGED = Judged("canary", {LIVE: "control", CANARY: "candidate"})
BUY = {"kind": EventKind.PURCHASE, "bought": Purchase(9.0, "EUR")}


async def decided(world: World, *rows: Row, canary: Sequence[str] = (), model: str = LIVE) -> BatchResult:
    """What came of a batch, in which the canary assessed some users."""
    world.sequence += 1
    at, made = batch(world.sequence, [rows])
    others = {number: CANARY for number, user_id in enumerate(made.user_ids) if user_id in canary}
    return await world.deciding.decide(at, dataclasses.replace(made, model_version=model, other_models=others))


async def assessed(world: World, *rows: Row, canary: Sequence[str] = (), model: str = LIVE) -> list[Report]:
    """What waits to be told after such a batch, but for who is there."""
    await decided(world, *rows, canary=canary, model=model)
    return [each for each in (await world.reports.first(1_000)).values() if each.outcome != STAYED]


def met(user_id: str, arm: str = "control") -> Report:
    return Report("", "canary", user_id, arm, at_us=NOON_ISH)


async def test_everybody_counts_for_the_model_that_assessed_them() -> None:
    world = World(judged={"": JUDGED})
    calm, troubled = Row(5.0, user_id="ada"), Row(95.0, user_id="bob")
    elsewhere = Row(5.0, user_id=qualified("acme", "eve"))
    told = await assessed(world, calm, troubled, elsewhere, canary=["bob"])
    assert told == [met("ada"), met("bob", "candidate")]


@pytest.mark.parametrize("row", [Row(5.0, is_bot=True), Row(5.0, is_system=True), Row(5.0, is_copy=True)])
async def test_who_is_nobody_does_not_count(row: Row) -> None:
    assert await assessed(World(judged={"": JUDGED}), row) == []


async def test_an_assessment_by_rules_alone_is_of_no_arm() -> None:
    world = World(judged={"": JUDGED})
    assert await assessed(world, Row(5.0, user_id="ada"), model="rules-only") == []


async def test_who_was_told_of_is_told_of_again_only_if_that_may_be_lost() -> None:
    world = World(judged={"": JUDGED})
    told = await assessed(world, Row(5.0, user_id="ada"))
    await world.reports.remove([*await world.reports.first(10)])
    assert await assessed(world, Row(6.0, user_id="ada")) == []
    # A process that begins knows nobody.
    other = World(judged={"": JUDGED})
    assert await assessed(other, Row(5.0, user_id="ada")) == told
    # What there was no room for is lost.
    full = World(judged={"": JUDGED}, most_reports=1)
    await assessed(full, Row(5.0, user_id="ada"), Row(5.0, user_id="bob"))
    await full.reports.remove([*await full.reports.first(10)])
    assert len(await assessed(full, Row(5.0, user_id="ada"))) == 1


async def test_who_is_there_leaves_no_arm_told_twice_where_there_is_no_room_for_that() -> None:
    world = World(judged={"": JUDGED}, most_reports=3)
    for minute in range(3):
        at_us = NOON_ISH + minute * 60_000_000
        await decided(world, Row(5.0, user_id="ada", at_us=at_us), Row(5.0, user_id="bob", at_us=at_us))
    kept = [*(await world.reports.first(10)).values()]
    assert [each for each in kept if each.arm] == [met("ada"), met("bob")]


async def test_a_batch_that_comes_again_after_reports_could_not_be_kept_tells_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(judged={"": JUDGED})

    async def away(_reports: Sequence[Report]) -> int:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "It is away.")

    with monkeypatch.context() as broken:
        broken.setattr(world.reports, "add", away)
        with pytest.raises(Unavailable):
            await decided(world, Row(5.0, user_id="ada"))
    world.sequence -= 1
    assert await assessed(world, Row(5.0, user_id="ada")) == [met("ada")]


async def test_nothing_is_told_without_an_experiment() -> None:
    assert await assessed(World(), Row(95.0, user_id="ada"), Row(5.0, user_id="bob", **BUY)) == []  # type: ignore[arg-type]


async def test_what_came_of_it_counts_once_by_the_model() -> None:
    use_cases = bootstrap.over(MemoryExperiments(), system_clock, monotonic_clock, 10_000)
    definition = Definition(
        "canary", "", "canary", ARMS, (Metric("converted", harm=0.1), Metric("accepted")), ramp=(100.0,)
    )
    await use_cases.experiments.create("", definition, "ann", "")
    await use_cases.experiments.change("", "canary", "start", "", "ann", "")
    users = [f"u-{number}" for number in range(40)]
    canary = users[::4]
    world = World(judged={"": JUDGED})
    first = await decided(world, *[Row(95.0, user_id=user) for user in users], canary=canary)
    made = {each.decision.facts.user_id: each.intervention.id for each in first.made}
    await assessed(
        world,
        *[outcome(Outcome.ACCEPTED, made[user], user_id=user) for user in users[:20]],
        *[Row(5.0, user_id=user, **BUY) for user in canary],  # type: ignore[arg-type]
        canary=canary,
    )
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(use_cases.servicer, to)) as dialled:
        kept = [*(await world.reports.first(1_000)).values()]
        telling = Telling(world.reports, ToldExperiments(dialled))
        for _ in range(2):
            assert await telling.tell_some() == len(kept)
            await world.reports.add(kept)  # it was told, and the process was killed before it noted that
    _, totals, results = await use_cases.experiments.results("", "canary")
    assert results.units == {"control": 30, "candidate": 10}
    assert totals.in_several == totals.unmatched == 0
    converted, accepted = results.findings
    assert (converted.treated.mean, converted.control.mean) == (1.0, 0.0)
    assert (accepted.treated.mean, accepted.control.mean) == (0.5, 0.5)


async def test_the_experiment_judges_while_it_runs_also_while_the_service_is_away(valkey: redis.Client) -> None:
    use_cases = bootstrap.over(MemoryExperiments(), system_clock, monotonic_clock, 100)
    await use_cases.experiments.create(
        "", Definition("canary", "", "c", ARMS, (Metric("converted"), Metric(STAYED))), "ann", ""
    )
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(use_cases.servicer, to)) as dialled:
        judges = Judges(
            MeshConfigurations(dialled, valkey, Metrics(), ["canary"], system_clock, kept=KEPT_OF_ALL), "canary"
        )
        await judges.ask()
        assert judges.by_tenant == {}  # a draft
        await use_cases.experiments.change("", "canary", "start", "", "ann", "")
        await judges.ask()
        assert judges.by_tenant == {"": JUDGED}
    async with channel.dial("127.0.0.1:1", telemetry.off()) as nobody:
        away = Judges(
            MeshConfigurations(nobody, valkey, Metrics(), ["canary"], system_clock, kept=KEPT_OF_ALL), "canary"
        )
        await away.ask()
        assert away.by_tenant == {"": JUDGED}


def test_what_does_not_run_judges_nothing() -> None:
    assert judged_by(Configured("canary", "c", ARMS, 50.0)) == JUDGED
    assert judged_by(Configured("canary", "c", ARMS)) is None
    assert judged_by(Configured("canary", "c", ARMS, 100.0, promoted="candidate")) is None
    assert judged_by(Configured("canary", "c", (Arm("control"), ARMS[1]), 1.0)) == Judged(
        "canary", {CANARY: "candidate"}
    )
    with pytest.raises(SettingError, match="not both"):
        Settings(policy_experiment="tone", policy_arms="arms", scoring_experiment="tone")


async def test_a_store_that_is_away_changes_nothing() -> None:
    class Away:
        async def read(self) -> Mapping[str, Sequence[Configured]]:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "It is away.")

    judges = Judges(Away(), "canary")
    judges.by_tenant = {"": JUDGED}
    with pytest.raises(Unavailable):
        await judges.ask()
    assert judges.by_tenant == {"": JUDGED}


async def test_who_is_there_is_told_once_an_hour() -> None:
    world = World(judged={"": JUDGED})
    hour_us = 3_600_000_000
    start_us = NOON_ISH // hour_us * hour_us

    async def there(at_us: int) -> list[Report]:
        await world.reports.remove([*await world.reports.first(10)])
        await decided(world, Row(5.0, user_id="ada", at_us=at_us), Row(5.0, is_bot=True, user_id="bot", at_us=at_us))
        return [each for each in (await world.reports.first(10)).values() if each.outcome == STAYED]

    def stays(at_us: int) -> Report:
        return Report("", "canary", "ada", outcome=STAYED, at_us=at_us)

    assert await there(start_us + 1) == [stays(start_us)]
    assert await there(start_us + hour_us - 1) == []
    assert await there(start_us + hour_us) == [stays(start_us + hour_us)]


async def test_what_is_told_late_counts_from_when_it_was() -> None:
    """The experiments service was away for two days."""
    clock = ManualClock()
    use_cases = bootstrap.over(MemoryExperiments(), clock, clock, 10_000)
    metrics = (Metric(STAYED, from_hours=24.0, within_hours=168.0), Metric("converted", within_hours=30.0))
    await use_cases.experiments.create("", Definition("canary", "", "canary", ARMS, metrics, ramp=(100.0,)), "ann", "")
    await use_cases.experiments.change("", "canary", "start", "", "ann", "")
    world = World(judged={"": JUDGED})
    for hours in (0, 25):
        await decided(world, Row(5.0, user_id="ada", at_us=NOON_ISH + hours * 3_600_000_000, **BUY))  # type: ignore[arg-type]
    clock.now_us = NOON_ISH + 48 * 3_600_000_000
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(use_cases.servicer, to)) as dialled:
        telling = Telling(world.reports, ToldExperiments(dialled))
        while await telling.tell_some():
            pass
    _, totals, _ = await use_cases.experiments.results("", "canary")
    assert {name: sums.x for name, sums in totals.assigned["control"].sums.items()} == {STAYED: 1.0, "converted": 1.0}


async def test_an_experiment_is_judged_by_who_left() -> None:
    hour_us = 3_600_000_000
    clock = ManualClock()
    use_cases = bootstrap.over(MemoryExperiments(), clock, clock, 10_000)
    stays = Metric(STAYED, harm=0.1, from_hours=24.0, within_hours=168.0)
    definition = Definition("canary", "", "canary", ARMS, (stays,), ramp=(100.0,))
    await use_cases.experiments.create("", definition, "ann", "")
    await use_cases.experiments.change("", "canary", "start", "", "ann", "")
    world = World(judged={"": JUDGED}, most_reports=10_000)
    users = [f"u-{number}" for number in range(1_200)]
    canary = users[::2]
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(use_cases.servicer, to)) as dialled:
        telling = Telling(world.reports, ToldExperiments(dialled))

        async def seen(who: Sequence[str], after_hours: int) -> float:
            """Users are seen some hours after the start; the mean of the canary."""
            at_us = NOON_ISH + after_hours * hour_us
            clock.now_us = at_us
            for some in (who[at : at + 300] for at in range(0, len(who), 300)):
                rows = [Row(5.0, user_id=user, at_us=at_us) for user in some]
                await decided(world, *rows, canary=[user for user in some if user in set(canary)])
            while await telling.tell_some():
                pass
            _, totals, results = await use_cases.experiments.results("", "canary")
            assert (totals.in_several, totals.unmatched) == (0, 0)
            return results.findings[0].treated.mean

        assert await seen(users, 0) == 0.0
        # Too early, and too late.
        assert await seen(users, 5) == 0.0
        assert await seen(canary[:10], 200) == 0.0
        # Of the canary's users most have left.
        assert await seen([*users[1::2], *canary[::5]], 30) == pytest.approx(0.2)
    (after,) = await use_cases.experiments.tick()
    assert (after.state, "worse in stayed" in after.history[-1].why) == ("rolled_back", True)
