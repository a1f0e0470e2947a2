"""Experiments of policies and of words are judged by who left, as a canary is: who is there is told by the mesh."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import pytest
from journeymesh.experiments.v1.experiments_pb2_grpc import add_ExperimentsServiceServicer_to_server

from comparison.assignment import Arm
from mesh.clock import system_clock
from mesh.observability.metrics import Metrics
from mesh.store import redis
from records.tenants import qualified
from services.experiments import bootstrap
from services.experiments.adapters.memory import MemoryExperiments
from services.experiments.domain.definition import Definition, Metric
from services.intervention.decision.domain.facts import Outcome
from services.intervention.language.adapters.trials import MeshTrials
from services.intervention.language.domain.generated_copy import GeneratedCopy
from services.intervention.language.state import GENERATED_COPY
from services.intervention.lift.adapters.experiments import ToldExperiments
from services.intervention.lift.domain.judged import Judged
from services.intervention.lift.domain.report import STAYED, Report
from services.intervention.lift.usecases import Judges, Telling
from services.intervention.policy.adapters.experiments import MeshConfigurations
from services.intervention.policy.adapters.yaml import parse, written
from services.intervention.policy.domain.arms import Configured, takes_part
from tests.intervention.builders import DOCUMENT, HOUR, MINUTE, NOON_ISH, ManualClock, Row, World, edited, outcome
from tests.serving import serving

ARMS: Final = (Arm("control"), Arm("other", value="other"))
RUNNING: Final = Configured("tone", "tone", ARMS, 100.0, outcomes=("accepted", STAYED))
START: Final = NOON_ISH // HOUR * HOUR
STAYS: Final = Metric(STAYED, harm=0.1, from_hours=24.0, within_hours=168.0)
WARM: Final = GeneratedCopy(
    text="Shall we look at it together?",
    model_id="amazon.nova-micro-v1:0",
    prompt_version="warm-1",
    prompt_hash="0",
    is_used=True,
    refusal="",
    input_tokens=1,
    output_tokens=1,
    cost_micro_usd=1.0,
    written_us=NOON_ISH,
    is_cached=False,
)


def there(user_id: str, at_us: int, experiment_id: str = "tone", tenant: str = "") -> Report:
    """Somebody is there."""
    return Report(tenant, experiment_id, user_id, outcome=STAYED, at_us=at_us)


async def told(world: World, *rows: Row) -> Sequence[Report]:
    """What is told of a record and was not told before."""
    await world.reports.remove([*await world.reports.first(1_000)])
    await world.send(*rows)
    return [*(await world.reports.first(1_000)).values()]


async def test_who_is_there_is_told_once_an_hour_and_experiment() -> None:
    words = RUNNING._replace(id="words", salt="words")
    world = World(by_stays={"": [RUNNING, words]})
    others = (Row(user_id="bot", is_bot=True), Row(user_id="shop", is_system=True), Row(user_id="ada", is_copy=True))
    assert await told(world, *others) == []
    elsewhere = Row(user_id=qualified("acme", "eve"), at_us=START)
    assert await told(world, Row(at_us=START + MINUTE), elsewhere) == [
        there("ada", START),
        there("ada", START, "words"),
    ]
    assert await told(world, Row(at_us=START + HOUR - 1)) == []
    later = START + HOUR
    assert await told(world, Row(at_us=later)) == [there("ada", later), there("ada", later, "words")]


async def test_who_takes_no_part_is_not_told_of() -> None:
    few = RUNNING._replace(percent=10.0, holdout_percent=20.0)
    users = [f"u-{number}" for number in range(500)]
    world = World(by_stays={"": [few]})
    found = {each.unit for each in await told(world, *[Row(user_id=user, at_us=START) for user in users])}
    assert found == {user for user in users if takes_part(few, user)}
    assert 20 < len(found) < 60
    assert await told(world, *[Row(user_id=user, at_us=START) for user in users]) == []


@pytest.mark.parametrize("is_by_stays", [True, False])
async def test_a_canary_that_is_judged_by_something_else_is_not_told(is_by_stays: bool) -> None:  # noqa: FBT001
    world = World(judged={"": Judged("canary", {"model-1": "live"}, is_by_stays)})
    found = [each.outcome for each in await told(world, Row(at_us=START)) if not each.arm]
    assert found == [STAYED] * is_by_stays


async def test_which_experiments_are_told_is_known_from_their_configuration(valkey: redis.Client) -> None:
    use_cases = bootstrap.over(MemoryExperiments(), system_clock, system_clock, 100)
    accepted = Metric("accepted")
    for name, metrics in (("canary", (STAYS,)), ("tone", (accepted, STAYS)), ("words", (accepted,)), ("x", (STAYS,))):
        await use_cases.experiments.create("", Definition(name, "", name, ARMS, metrics, ramp=(100.0,)), "ann", "")
        await use_cases.experiments.change("", name, "start", "", "ann", "")
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(use_cases.servicer, to)) as dialled:
        asked = MeshConfigurations(dialled, valkey, Metrics(), ["canary", "tone", "words"], system_clock)
        judges = Judges(asked, "canary")
        await judges.ask()
        assert [each.id for each in judges.by_stays[""]] == ["tone"]
        assert judges.by_tenant[""] == Judged("canary", {"other": "other"}, is_by_stays=True)
        await use_cases.experiments.change("", "tone", "pause", "", "ann", "")
        await judges.ask()
        assert judges.by_stays == {}


async def test_an_older_experiments_service_is_not_told_of_people_whom_it_would_count_as_unmatched() -> None:
    class Older:
        async def read(self) -> Mapping[str, Sequence[Configured]]:
            return {"": [each._replace(outcomes=None) for each in (RUNNING, RUNNING._replace(id="canary"))]}

    judges = Judges(Older(), "canary")
    await judges.ask()
    assert judges.by_stays == {}
    assert judges.by_tenant[""].is_by_stays  # those whom its models assess have met an arm


async def test_policies_and_words_are_judged_by_who_left() -> None:
    clock = ManualClock()
    use_cases = bootstrap.over(MemoryExperiments(), clock, clock, 10_000)
    metrics = (STAYS, Metric("accepted", within_hours=2.0))
    for name in ("tone", "words"):
        await use_cases.experiments.create("", Definition(name, "", name, ARMS, metrics, ramp=(100.0,)), "ann", "")
        await use_cases.experiments.change("", name, "start", "", "ann", "")
    tree = parse(DOCUMENT)
    assert isinstance(tree, dict)
    arms = [{"name": "control"}, {"name": "other", "policy": parse(edited(trigger={"score": 50}))}]
    document = written({**tree, "experiment": {"id": "tone", "salt": "tone", "percent": 100.0, "arms": arms}})
    running = [RUNNING, RUNNING._replace(id="words", salt="words")]
    world = World(document, by_stays={"": running}, compares_words=True)
    calm = [Row(5.0, user_id=f"calm-{number}") for number in range(20)]
    troubled = [f"u-{number}" for number in range(40)]
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(use_cases.servicer, to)) as dialled:
        telling, trials = Telling(world.reports, ToldExperiments(dialled)), MeshTrials(dialled, "words", "")

        async def tell() -> None:
            kept = [*(await world.reports.first(1_000)).values()]
            while await telling.tell_some():
                pass
            await world.reports.add(kept)  # the process was killed before it noted that
            while await telling.tell_some():
                pass

        made = await world.send(*calm, *[Row(95.0, user_id=user) for user in troubled])
        for each in made:
            facts, help_ = each.decision.facts, each.intervention
            trial = (await trials.begin(facts.user_id)).model
            assert trial is not None
            assert await trials.meet(facts.user_id, [trial], 95.0, facts.received_us) == [trial]
            copy = GENERATED_COPY.encode(msgspec.structs.replace(WARM, arms=(("words", trial.name),)))
            await world.state.save({GENERATED_COPY.key(help_.id): copy}, None)
        await tell()
        # A day later the experiments are away, and what came is told a day after.
        offers = {each.decision.facts.user_id: each.intervention.id for each in made}
        assert set(offers) == set(troubled)
        soon = NOON_ISH + 10 * MINUTE
        await world.send(*[outcome(Outcome.ACCEPTED, offers[each], user_id=each, at_us=soon) for each in troubled[:10]])
        day = NOON_ISH + 25 * HOUR
        await world.send(*calm, *[Row(5.0, user_id=each, at_us=day) for each in troubled[::4]])
        clock.now_us = NOON_ISH + 48 * HOUR
        await tell()
    for name in ("tone", "words"):
        _, totals, _ = await use_cases.experiments.results("", name)
        assert (totals.in_several, totals.unmatched) == (0, 0)
        groups = totals.assigned.values()
        assert sum(each.units for each in groups) == 40
        assert sum(each.sums[STAYED].x for each in groups) == 10
        assert sum(each.sums["accepted"].x for each in groups) == 10
