"""The canary of scoring follows the experiment that judges it: ended, made live, and never against anybody's will."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from journeymesh.scoring.v1.models_pb2_grpc import add_ModelsServiceServicer_to_server

from comparison.assignment import Arm
from mesh.errors import FailedPrecondition, Unavailable
from services.experiments import bootstrap
from services.experiments.adapters.memory import MemoryExperiments
from services.experiments.adapters.stages import MeshStages
from services.experiments.canaries import Canaries
from services.experiments.domain.canary import Move, Staged, consequence, shares
from services.experiments.domain.definition import Definition, Metric
from services.experiments.domain.evidence import Exposure, Report
from services.experiments.domain.experiment import Change, Experiment
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.domain.stages import CHANGES_KEPT, Stage, Stages, Wanted
from services.scoring.servicer import ModelsServicer
from services.scoring.usecases import Promotion
from tests.builders import NOW_US
from tests.scoring.builders import MODELS
from tests.scoring.test_models import LIVE, copy
from tests.serving import serving

SECOND_US = 1_000_000
ARMS = (Arm("live", 90, LIVE), Arm("candidate", 10, "next"))
DEFINITION = Definition("canary", "", "canary", ARMS, (Metric("converted", harm=0.1),), ramp=(100.0,))
ROLLED_BACK = Experiment("", DEFINITION, "rolled_back", (Change(10 * SECOND_US, "rolled_back", 0.0, "ann", ""),))
PROMOTED = ROLLED_BACK._replace(state="promoted", promoted="candidate")
CANARY = Staged(LIVE, "next", 0.1, 9, "ann", "older")


class Clock:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now_us = NOW_US

    def __call__(self) -> int:
        return self.now_us


class World:
    """The experiments service, and the registry of models."""

    def __init__(
        self, use_cases: bootstrap.UseCases, promotion: Promotion, clock: Clock, begin: Callable[[], Canaries]
    ) -> None:
        self.use_cases = use_cases
        self.promotion = promotion
        self.clock = clock
        self.begin = begin

    def stage(self, stage: Stage, version: str = "next", percent: float = 10.0, tenant: str = "") -> None:
        """Somebody changes a stage, a second later."""
        self.clock.now_us += SECOND_US
        self.promotion.move(Wanted(version, stage, "ann", tenant, percent))

    async def act(self, action: Any, arm: str = "", tenant: str = "") -> None:
        """Somebody changes the experiment, a second later, and the canary follows."""
        self.clock.now_us += SECOND_US
        await self.use_cases.experiments.change(tenant, "canary", action, arm, "ann", "")
        await self.follow()

    async def follow(self) -> None:
        """One process follows, and one that begins only now."""
        for _ in range(2):
            canaries = self.begin()
            for _ in range(2):
                await canaries.follow()

    @property
    def stages(self) -> Stages:
        return self.promotion.stages()


@contextlib.asynccontextmanager
async def world_of(folder: Path, tenant: str = "") -> AsyncIterator[World]:
    directory = Path(shutil.copytree(MODELS, folder / "models"))
    copy(directory, "next")
    clock = Clock()
    use_cases = bootstrap.over(MemoryExperiments(), clock, clock, 10_000)
    promotion = Promotion(ModelDirectory(directory, directory), clock)
    await use_cases.experiments.create(tenant, DEFINITION, "ann", "")
    async with serving(lambda to: add_ModelsServiceServicer_to_server(ModelsServicer(promotion), to)) as scoring:
        yield World(use_cases, promotion, clock, lambda: Canaries(use_cases.experiments, MeshStages(scoring), "canary"))


async def test_a_rolled_back_experiment_ends_the_canary_and_leaves_the_next_one_alone(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.stage(Stage.CANARY)
        await world.act("start")
        assert world.stages.of("").canary == "next"
        await world.act("roll_back")
        assert world.stages.of("").canary == ""
        last = world.stages.changes[-1]
        assert (last.version, last.stage, last.actor, last.why) == (
            "next",
            Stage.CANDIDATE,
            "experiment canary",
            "The experiment was rolled back.",
        )
        # Somebody wants it again, knowing what came of it.
        world.stage(Stage.CANARY)
        await world.follow()
        assert world.stages.of("").canary == "next"


async def test_a_canary_that_somebody_wants_again_stays_when_that_is_no_longer_known(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.stage(Stage.CANARY)
        await world.act("start")
        await world.act("roll_back")
        world.stage(Stage.CANARY)
        # The registry keeps the last changes only, of all tenants.
        for number in range(CHANGES_KEPT):
            world.stage(Stage.CANARY, percent=1.0 + number % 2, tenant="acme")
        await world.follow()
        assert world.stages.of("").canary == "next"


async def test_an_end_of_after_all_that_is_known_counts(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.stage(Stage.CANARY)
        await world.act("start")
        for number in range(CHANGES_KEPT):
            world.stage(Stage.CANARY, percent=1.0 + number % 2, tenant="acme")
        await world.act("roll_back")
        assert world.stages.of("").canary == ""


async def test_a_guardrail_ends_the_canary_by_itself(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.stage(Stage.CANARY)
        await world.act("start")
        experiment = await world.use_cases.experiments.get("", "canary")
        for arm, rate in (("live", 2), ("candidate", 20)):
            units = [f"{arm}-{number}" for number in range(900)]
            await world.use_cases.recording.exposures(experiment, [Exposure(unit, arm) for unit in units])
            bought = [Report(unit, "", NOW_US, {"converted": 1.0}) for unit in units[::rate]]
            await world.use_cases.recording.outcomes(experiment, bought)
        (after,) = await world.use_cases.experiments.tick()
        assert after.state == "rolled_back"
        await world.follow()
        assert world.stages.of("").canary == ""


async def test_a_promoted_canary_is_live_and_goes_back_if_it_harms_after_all(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.stage(Stage.CANARY)
        await world.act("start")
        await world.act("promote", "candidate")
        assert (world.stages.of("").live, world.stages.of("").canary) == ("next", "")
        assert world.stages.changes[-1].actor == "experiment canary"
        await world.act("roll_back")
        assert world.stages.of("").live == LIVE


async def test_a_control_that_is_promoted_ends_the_canary(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.stage(Stage.CANARY)
        await world.act("start")
        await world.act("promote", "live")
        assert (world.stages.of("").live, world.stages.of("").canary) == (LIVE, "")


async def test_a_stopped_or_paused_experiment_leaves_the_canary_alone(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.stage(Stage.CANARY)
        for action in ("start", "pause", "stop"):
            await world.act(action)
            assert world.stages.of("").canary == "next"


async def test_a_tenant_ends_the_canary_for_itself_and_makes_nothing_live(tmp_path: Path) -> None:
    async with world_of(tmp_path, "acme") as world:
        world.stage(Stage.CANARY)
        await world.act("start", tenant="acme")
        await world.act("promote", "candidate", tenant="acme")
        assert world.stages.of("acme").live == LIVE
        await world.act("roll_back", tenant="acme")
        assert (world.stages.of("acme").canary, world.stages.of("").canary) == ("", "next")


async def test_shares_that_do_not_match_are_told_until_they_do(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:

        async def told() -> tuple[str, str]:
            """The level, and what the winner waits for first."""
            _, _, results = await world.use_cases.experiments.results("", "canary")
            return results.shares, results.decision.waits_for[0]

        world.stage(Stage.CANARY, percent=25.0)
        await world.act("start")
        mismatch = (
            "Who is compared does not match the shares: live gets 0.75 of the units and was to get 0.9; "
            "candidate gets 0.25 of the units and was to get 0.1."
        )
        assert await told() == ("alarm", mismatch)
        experiment = await world.use_cases.experiments.get("", "canary")
        assert [(each.actor, each.why) for each in experiment.history][-1] == ("scoring", mismatch)
        world.stage(Stage.CANARY, percent=10.0)
        await world.follow()
        assert (await told())[0] == "fine"
        # Scoring took it back, or somebody did.
        world.stage(Stage.CANDIDATE)
        await world.follow()
        level, why = await told()
        assert (level, "candidate gets 0 of the units" in why) == ("alarm", True)
        # Each was said once, by whichever process.
        experiment = await world.use_cases.experiments.get("", "canary")
        assert [each.actor for each in experiment.history].count("scoring") == 3


@pytest.mark.parametrize(
    ("experiment", "staged", "expected"),
    [
        (ROLLED_BACK, CANARY, Move("next", is_live=False)),
        (PROMOTED, CANARY, Move("next", is_live=True)),
        # Somebody made it a canary, or gave it another share, after the end.
        (ROLLED_BACK, CANARY._replace(since_s=11), None),
        (PROMOTED, CANARY._replace(since_s=11), None),
        # Another canary is none of its business.
        (ROLLED_BACK, CANARY._replace(canary="third"), None),
        (ROLLED_BACK._replace(state="stopped"), CANARY, None),
        (ROLLED_BACK, Staged("next", "", 0.0, 0, "experiment canary", LIVE), Move(LIVE, is_live=True)),
        # Somebody made it live.
        (ROLLED_BACK, Staged("next", "", 0.0, 0, "ann", LIVE), None),
        (ROLLED_BACK, Staged("next", "", 0.0, 0, "experiment canary"), None),
        # It went back before.
        (ROLLED_BACK, Staged(LIVE, "", 0.0, 0, "experiment canary", "next"), None),
        (PROMOTED, Staged("next", "", 0.0, 0, "experiment canary", LIVE), None),
    ],
)
def test_what_an_end_means(experiment: Experiment, staged: Staged, expected: Move | None) -> None:
    assert consequence(experiment, staged) == expected


def test_what_the_default_tenant_promoted_is_not_taken_back_by_a_tenant_whose_experiment_has_the_same_id() -> None:
    promoted = Staged("next", "", 0.0, 0, "experiment canary", LIVE)
    assert consequence(ROLLED_BACK._replace(tenant="acme"), promoted) is None


async def test_a_tenant_that_rolled_back_before_keeps_what_everybody_gets_also_when_a_process_begins_anew(
    tmp_path: Path,
) -> None:
    async with world_of(tmp_path, "acme") as world:
        await world.use_cases.experiments.create("", DEFINITION, "ann", "")
        world.stage(Stage.CANARY)
        for tenant in ("", "acme"):
            await world.act("start", tenant=tenant)
        world.clock.now_us += SECOND_US
        await world.use_cases.experiments.change("acme", "canary", "roll_back", "", "ann", "")
        world.clock.now_us += SECOND_US
        # Nobody followed between.
        await world.use_cases.experiments.change("", "canary", "promote", "candidate", "ann", "")
        await world.follow()
        assert world.stages.of("").live == "next"
        assert [
            each.version for each in world.stages.changes if each.tenant == "acme" and each.stage == Stage.LIVE
        ] == []


def test_shares_of_models_that_serve_nobody_are_none() -> None:
    assert shares(ROLLED_BACK, CANARY) == {"live": 0.9, "candidate": 0.1}
    assert shares(ROLLED_BACK, Staged("third", "next", 0.1)) == {"live": 0.0, "candidate": 0.1}
    assert shares(ROLLED_BACK, Staged(LIVE)) == {"live": 1.0, "candidate": 0.0}


async def test_what_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    class Reluctant:
        """Fails in each way once."""

        def __init__(self) -> None:
            self.moved: list[Move] = []
            self.faults: list[Exception] = [
                Unavailable("DEPENDENCY_UNAVAILABLE", "It is away."),
                FailedPrecondition("MODELS_READ_ONLY", "They are read only."),
            ]

        async def of(self, tenants: Any) -> Mapping[str, Staged]:
            if len(self.faults) == 2:
                raise self.faults.pop(0)
            return dict.fromkeys(tenants, CANARY)

        async def move(self, tenant: str, move: Move, actor: str, why: str) -> None:
            if self.faults:
                raise self.faults.pop(0)
            self.moved.append(move)

    use_cases = bootstrap.over(MemoryExperiments(), Clock(), Clock(), 10)
    assert await use_cases.experiments.store.put(ROLLED_BACK, 0)
    stages = Reluctant()
    canaries = Canaries(use_cases.experiments, stages, "canary")
    with pytest.raises(Unavailable):
        await canaries.follow()
    for _ in range(3):
        await canaries.follow()
    assert stages.moved == [Move("next", is_live=False)]
    assert "is left as it is: MODELS_READ_ONLY" in caplog.text
