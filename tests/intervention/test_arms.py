"""Policies compared: who is decided on by which, what is recorded and told, and what changes with the experiment."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from journeymesh.experiments.v1 import experiments_pb2
from journeymesh.experiments.v1.experiments_pb2_grpc import (
    ExperimentsServiceServicer,
    add_ExperimentsServiceServicer_to_server,
)

from comparison.assignment import Allocation, Arm, assign
from comparison.sequential import ratio_p_value
from mesh.clock import monotonic_clock, system_clock
from mesh.errors import DeadlineExceeded, FailedPrecondition, MeshError, Unavailable, VersionMismatch
from mesh.observability import telemetry
from mesh.observability.metrics import Metrics
from mesh.rpc import channel
from mesh.settings import SettingError
from mesh.store import redis
from records.tenants import qualified
from services.experiments import bootstrap
from services.experiments.adapters.memory import MemoryExperiments
from services.experiments.adapters.redis import RedisExperiments
from services.experiments.adapters.signing import KeySigner
from services.experiments.bootstrap import UseCases
from services.experiments.domain.definition import Definition, Metric
from services.intervention.decision.domain.decision import derive
from services.intervention.decision.domain.facts import Outcome, Purchase
from services.intervention.decision.domain.ledger import Decision
from services.intervention.erasing import Erasing
from services.intervention.exporting import Exporting
from services.intervention.lift.adapters.experiments import ToldExperiments
from services.intervention.lift.adapters.reports import MemoryReports, RedisReports
from services.intervention.lift.domain.report import STAYED, Report
from services.intervention.lift.ports import Reports, Waiting
from services.intervention.lift.usecases import Telling
from services.intervention.policy.adapters.experiments import KEPT, MeshConfigurations
from services.intervention.policy.adapters.yaml import NamedFiles, parse, written
from services.intervention.policy.arms import Arms
from services.intervention.policy.domain.arms import Configured
from services.intervention.policy.domain.interpretation import PolicyError, policy_of
from services.intervention.policy.domain.policy import EventKind, governing
from services.intervention.policy.ports import why_refused
from tests.intervention.builders import DOCUMENT, HOUR, MINUTE, NOON_ISH, Row, World, documents, edited, facts, outcome
from tests.serving import serving

SALT: Final = "tone"
TRACE: Final = facts(Row()).trace_id
USERS: Final = [f"user-{number}" for number in range(400)]


def compared(other: str, percent: float = 100.0, control: str = DOCUMENT, **members: Any) -> str:
    """A policy that compares another with the default one."""
    tree: Any = parse(control)
    arms = [{"name": "control"}, {"name": "other", "policy": parse(other)}]
    tree["experiment"] = {"id": "tone", "salt": SALT, "percent": percent, "arms": arms, **members}
    return written(tree)


def arm_of(user_id: str, percent: float = 100.0) -> str:
    arm, reason = assign(Allocation(SALT, (Arm("control"), Arm("other")), percent), user_id)
    return arm if reason == "assigned" else ""


async def decided(world: World) -> dict[str, Decision]:
    """The last decision on each user."""
    return {each.facts.user_id: each for each in reversed(await world.reading.decisions_of_trace(TRACE, 1_000))}


EAGER: Final = compared(edited(trigger={"score": 50}))


async def test_each_user_is_decided_on_by_the_policy_of_their_arm() -> None:
    world = World(EAGER)
    await world.deliver(0, [[Row(60.0, user_id=user) for user in USERS]])
    decisions = await decided(world)
    helped = {user: each.verdict.intervention is not None for user, each in decisions.items()}
    assert helped == {user: arm_of(user) == "other" for user in USERS}
    assert {each.policy_version for each in decisions.values()} == {world.policies.at(NOON_ISH).version}
    # Both arms met the moment at which their policies differ, and the ledger says which is whose.
    assert {user: each.verdict.arm for user, each in decisions.items()} == {user: arm_of(user) for user in USERS}
    for each in decisions.values():
        policy = await world.policies.find(each.policy_version)
        made_by = each.verdict.intervention
        assert derive(policy, each.facts, each.standing, made_by.id if made_by else "") == each.verdict
    found = reports_in(await world.reports.first(1_000))
    assert {each.unit: each.arm for each in found} == {user: arm_of(user) for user in USERS}
    assert {(each.tenant, each.experiment_id, each.before) for each in found} == {("", "tone", 60.0)}


async def test_arms_change_nothing_where_their_policies_are_alike() -> None:
    measured = edited(holdout={"share": 0.3, "salt": "exp"})
    plain, both = World(measured), World(compared(measured, control=measured))
    rows = [Row(80.0 + number % 15, user_id=user) for number, user in enumerate(USERS)]
    for world in (plain, both):
        await world.deliver(0, [rows])
    sides: dict[tuple[str, bool], int] = {}
    alone, with_arms = await decided(plain), await decided(both)
    for user in USERS:
        one, other = alone[user], with_arms[user]
        assert other.verdict.arm == arm_of(user)
        assert msgspec.structs.replace(other.verdict, arm="") == one.verdict
        assert one.verdict.exposed is not None
        side = other.verdict.arm, one.verdict.exposed.is_treated
        sides[side] = sides.get(side, 0) + 1
    # Arms fit their shares, and so does the holdout within each: neither hash says anything of the other.
    arms = {arm: sides[arm, True] + sides[arm, False] for arm in ("control", "other")}
    assert ratio_p_value(arms, {"control": 1, "other": 1}) > 0.01
    for arm in arms:
        treated, held = sides[arm, True], sides[arm, False]
        assert ratio_p_value({"treated": treated, "held": held}, {"treated": 0.7, "held": 0.3}) > 0.01


async def test_a_batch_that_comes_again_decides_and_tells_the_same() -> None:
    world = World(EAGER)
    records = [[Row(60.0, user_id=user), Row(85.0, user_id=user, at_us=NOON_ISH + MINUTE)] for user in USERS[:40]]
    first = await world.come(0, records)
    told, entries = reports_in(await world.reports.first(1_000)), await decided(world)
    again = await world.come(0, records)
    assert (again.made, again.reasons) == (first.made, first.reasons)
    assert await decided(world) == entries
    assert reports_in(await world.reports.first(1_000)) == told


async def test_a_ramp_adds_users_and_moves_none_and_the_received_time_says_which_step() -> None:
    other = edited(trigger={"score": 50})
    world = World(compared(other, 10.0), (NOON_ISH + HOUR, compared(other, 50.0)))
    seen: list[dict[str, str]] = []
    for number, at_us in enumerate((NOON_ISH, NOON_ISH + 2 * HOUR)):
        await world.deliver(number, [[Row(60.0, user_id=user, at_us=at_us) for user in USERS]])
        seen.append({each.unit: each.arm for each in reports_in(await world.reports.first(1_000)) if each.arm})
    expected = {user: arm_of(user, 10.0) for user in USERS}
    assert seen[0] == {user: arm for user, arm in expected.items() if arm}
    assert seen[0].items() < seen[1].items()


async def test_what_came_of_help_and_who_reached_the_goal_is_told() -> None:
    world = World(EAGER)
    made = await world.send(Row(90.0, user_id="bob"))
    for report in (Outcome.SHOWN, Outcome.ACCEPTED):
        await world.send(outcome(report, made[0].intervention.id, user_id="bob", at_us=NOON_ISH + MINUTE))
    bought = Row(user_id="bob", at_us=NOON_ISH + 2 * MINUTE, kind=EventKind.PURCHASE, bought=Purchase(5.0, "EUR"))
    await world.send(bought)
    found = reports_in(await world.reports.first(100))
    assert {(each.unit, each.outcome) for each in found if each.unit == "bob" and not each.arm} == {
        ("bob", "shown"),
        ("bob", "accepted"),
        ("bob", "converted"),
    }


async def test_whoever_takes_no_part_is_decided_on_by_the_policy_in_force() -> None:
    world = World(compared(edited(trigger={"score": 50}), 0.0))
    tenant_user = qualified("acme", "ada")
    await world.deliver(0, [[Row(60.0), Row(60.0, user_id=tenant_user)]])
    assert (await world.last()).verdict.arm == (await world.last(tenant_user)).verdict.arm == ""
    assert governing(policy_of(parse(EAGER)), tenant_user)[1] == ""
    assert not await world.reports.first(10)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (compared(EAGER), "experiment of its own"),
        (compared(edited(freshness="1h")), "another freshness"),
        (compared(edited(holdout={"share": 0.1, "salt": "x"})), "another holdout"),
        (compared(edited(conversion={"event": "sign_up"})), "another conversion"),
        (compared(edited(priors={"chat": {"accepted": 1, "refused": 1}})), "Arm other: priors must name"),
        (compared(DOCUMENT, arms=[{"name": "a"}, {"name": "a"}]), "have one name"),
        (compared(DOCUMENT, arms=[{"name": "a", "policy": parse(DOCUMENT)}, {"name": "b"}]), "the control"),
    ],
)
def test_what_could_not_be_compared_is_refused(document: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        policy_of(parse(document))


# Reports that wait.


@pytest.fixture(params=["memory", "redis"])
def reports(request: pytest.FixtureRequest, valkey: redis.Client) -> Reports:
    return MemoryReports(5) if request.param == "memory" else RedisReports(valkey, 5)


def reports_in(of: Waiting) -> list[Report]:
    return [*of.values()]


async def test_reports_wait_once_each_arms_first(reports: Reports) -> None:
    came = [Report("", "tone", "ada", outcome="accepted"), Report("", "tone", "bob", outcome="shown")]
    met = [Report("", "tone", "ada", "control", 60.0), Report("acme", "tone", "ada", "other", 1.5)]
    for _ in range(2):
        assert await reports.add([*came, *met]) == 0
    assert {*reports_in(await reports.first(2))} == {*met}
    assert {*reports_in(await reports.first(100))} == {*met, *came}
    assert {*reports_in(await reports.of_users(["ada"]))} == {came[0], met[0]}
    assert {*reports_in(await reports.of_users([qualified("acme", "ada")]))} == {met[1]}
    more = [Report("", "tone", f"u-{number}", outcome="shown") for number in range(3)]
    assert await reports.add([*came, *more]) == 2
    for _ in range(2):
        await reports.remove([name for name, each in (await reports.first(100)).items() if each in met])
    assert not {*met} & {*reports_in(await reports.first(100))}
    assert await reports.add([]) == 0


async def test_who_is_there_leaves_room_for_what_comes_once(reports: Reports) -> None:
    there = [Report("", "tone", f"u-{number}", outcome=STAYED, at_us=1) for number in range(9)]
    assert await reports.add([*there, Report("", "tone", "ada", outcome="converted")]) == 8
    assert await reports.add([Report("", "tone", f"u-{number}", "control") for number in range(4)]) == 1
    assert await reports.add(there) == 8


# With the experiments service.

DEFINITION: Final = Definition(
    "tone",
    "",
    SALT,
    (Arm("control"), Arm("other", value="eager")),
    (Metric("accepted"), Metric("converted")),
    ramp=(100.0,),
)


class Mesh:
    """The experiments service, and what intervention has of it."""

    def __init__(self, use_cases: UseCases, dialled: Any) -> None:
        self.use_cases = use_cases
        self.dialled = dialled

    async def act(self, action: Any, arm: str = "") -> None:
        await self.use_cases.experiments.change("", "tone", action, arm, "ann", "")


@contextlib.asynccontextmanager
async def experiments(folder: Path | None = None) -> AsyncIterator[Mesh]:
    signer = KeySigner(folder / "key.pem") if folder else None
    use_cases = bootstrap.over(MemoryExperiments(), system_clock, monotonic_clock, 10_000, signer)
    await use_cases.experiments.create("", DEFINITION, "ann", "")
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(use_cases.servicer, to)) as dialled:
        yield Mesh(use_cases, dialled)


async def test_what_is_told_counts_once_and_what_has_ended_is_dropped() -> None:
    world = World(EAGER)
    async with experiments() as mesh:
        await mesh.act("start")
        made = await world.send(*[Row(90.0, user_id=user) for user in USERS[:100]])
        for each in made:
            await world.send(outcome(Outcome.ACCEPTED, each.intervention.id, user_id=each.decision.facts.user_id))
        kept = reports_in(await world.reports.first(1_000))
        telling = Telling(world.reports, ToldExperiments(mesh.dialled))
        for _ in range(2):
            assert await telling.tell_some() == len(kept)
            assert await telling.tell_some() == 0
            await world.reports.add(kept)  # it was told, and the process was killed before it noted that
        await telling.tell_some()
        _, totals, results = await mesh.use_cases.experiments.results("", "tone")
        assert results.units == {arm: sum(arm_of(user) == arm for user in USERS[:100]) for arm in ("control", "other")}
        assert totals.in_several == totals.unmatched == 0
        accepted = results.findings[0]
        assert (accepted.treated.mean, accepted.control.mean) == (1.0, 1.0)
        await mesh.act("stop")
        await world.reports.add(kept)
        assert await telling.tell_some() == len(kept)
        assert not await world.reports.first(1)


async def test_what_cannot_be_told_waits() -> None:
    class Away:
        error: MeshError

        async def tell(self, reports: Any) -> None:
            raise self.error

    waiting, away = MemoryReports(), Away()
    await waiting.add([Report("", "tone", "ada", "control")])
    for passing in (
        Unavailable("DEPENDENCY_UNAVAILABLE", "It is away."),
        DeadlineExceeded("DEADLINE_TOO_SHORT", "It hangs."),
    ):
        away.error = passing
        with pytest.raises(type(passing)):
            await Telling(waiting, away).tell_some()
        assert len(await waiting.first(2)) == 1


async def test_telling_goes_on_whatever_stands_in_its_way() -> None:
    class Slow:
        """Hangs, and answers once it is asked again."""

        def __init__(self) -> None:
            self.calls = 0
            self.told = asyncio.Event()

        async def tell(self, reports: Any) -> None:
            self.calls += 1
            if self.calls == 1:
                raise DeadlineExceeded("DEADLINE_TOO_SHORT", "It hangs.")
            self.told.set()

    waiting, slow = MemoryReports(), Slow()
    await waiting.add([Report("", "tone", "ada", "control")])
    telling = asyncio.create_task(Telling(waiting, slow).run())
    await asyncio.wait_for(slow.told.wait(), 10)
    telling.cancel()


async def test_what_has_ended_is_dropped() -> None:
    class Ended:
        error: MeshError

        async def tell(self, reports: Any) -> None:
            raise self.error

    waiting, away = MemoryReports(), Ended()
    await waiting.add([Report("", "tone", "ada", "control")])
    away.error = FailedPrecondition("EXPERIMENT_STATE_INVALID", "It has ended.")
    assert await Telling(waiting, away).tell_some() == 1
    assert not await waiting.first(2)


async def test_reports_of_a_newer_version_are_done_with_or_left_to_it(valkey: redis.Client) -> None:
    report = Report("", "tone", "ada", "control")
    longer, newer = ([version, [*msgspec.structs.astuple(report), "more"]] for version in (1, 2))
    await valkey.zadd("jm:intervention:reports", {msgspec.msgpack.encode(each): 0 for each in (longer, newer)})

    class Taking:
        async def tell(self, reports: Any) -> None:
            assert reports == [report]

    reports = RedisReports(valkey)
    assert await Telling(reports, Taking()).tell_some() == 1
    assert await Telling(reports, Taking()).tell_some() == 0
    assert await valkey.zrange("jm:intervention:reports", 0, -1) == [msgspec.msgpack.encode(newer)]
    with pytest.raises(VersionMismatch):
        await reports.of_users(["bob"])


async def test_what_an_experiment_has_lost_keeps_no_report_to_another(valkey: redis.Client) -> None:
    reports = MemoryReports()
    await reports.add([Report("", each, "ada", "control") for each in ("lost", "tone")])
    use_cases = bootstrap.over(RedisExperiments(valkey), system_clock, system_clock, 100)
    for name in ("lost", "tone"):
        arms = (Arm("control"), Arm("other", value="other"))
        definition = Definition(name, "", name, arms, (Metric("accepted"),), ramp=(100.0,))
        await use_cases.experiments.create("", definition, "ann", "")
        await use_cases.experiments.change("", name, "start", "", "ann", "")
    await valkey.hset("jm:{experiments}:experiments", "/lost", b"\x92\x01")
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(use_cases.servicer, to)) as dialled:
        assert await Telling(reports, ToldExperiments(dialled)).tell_some() == 2
    _, totals, _ = await use_cases.experiments.results("", "tone")
    assert totals.units == 1
    assert not await reports.first(1)


async def test_a_report_that_nobody_can_read_keeps_no_other_and_is_removed(valkey: redis.Client) -> None:
    reports = RedisReports(valkey)
    await valkey.zadd("jm:intervention:reports", {b"\x92\x01": 0})
    await reports.add([Report("", "tone", "ada", "control")])
    told: list[Any] = []

    class Taking:
        async def tell(self, reports: Any) -> None:
            told.extend(reports)

    assert await Telling(reports, Taking()).tell_some() == 1
    assert [each.unit for each in told] == ["ada"]
    assert not await valkey.exists("jm:intervention:reports")


async def test_the_documents_follow_the_experiment(valkey: redis.Client, tmp_path: Path) -> None:
    (tmp_path / "eager.yaml").write_text(edited(trigger={"score": 50}))
    async with experiments() as mesh:
        configurations = MeshConfigurations(mesh.dialled, valkey, Metrics(), ["tone"], system_clock)
        parsed: list[str] = []

        def parsing(text: str) -> object:
            parsed.append(text)
            return parse(text)

        arms = Arms(documents(DOCUMENT, acme=DOCUMENT), configurations, NamedFiles(str(tmp_path)), parsing, written)
        assert await arms.read() == (DOCUMENT, {"acme": DOCUMENT})  # a draft decides nothing
        await mesh.act("start")
        of_mesh, of_tenants = await arms.read()
        assert (await arms.read()).of_mesh == of_mesh
        assert len(parsed) == 2  # that of each arm; what has not changed is not made again
        policy = policy_of(parse(of_mesh))
        assert policy == policy_of(parse(EAGER))
        assert of_tenants == {"acme": DOCUMENT}  # which has no such experiment
        await mesh.act("pause")
        assert (await arms.read()).of_mesh == DOCUMENT
        await mesh.act("promote", "other")
        assert policy_of(parse((await arms.read()).of_mesh)) == policy_of(parse(edited(trigger={"score": 50})))
        await mesh.act("roll_back")
        assert (await arms.read()).of_mesh == DOCUMENT


@pytest.mark.parametrize("promoted", ["", "other"])
async def test_a_tenant_without_a_policy_compares_with_the_mesh_s_while_its_experiment_decides(
    tmp_path: Path, promoted: str
) -> None:
    (tmp_path / "eager.yaml").write_text(edited(trigger={"score": 50}))
    of_acme = Configured("tone", "tone", DEFINITION.arms, 100.0, promoted=promoted)

    class Fixed:
        def __init__(self) -> None:
            self.configured = {"acme": [of_acme]}

        async def read(self) -> dict[str, list[Configured]]:
            return self.configured

    fixed, files = Fixed(), NamedFiles(str(tmp_path))
    arms = Arms(documents(DOCUMENT, other=DOCUMENT), fixed, files, parse, written)
    of_mesh, of_tenants = await arms.read()
    assert of_mesh == DOCUMENT
    assert of_tenants is not None
    assert of_tenants["other"] == DOCUMENT
    policy = policy_of(parse(of_tenants["acme"]), "acme")
    assert {governing(policy, qualified("acme", user))[1] for user in USERS[:20]} == (
        {""} if promoted else {"control", "other"}
    )
    assert (policy.trigger_score == 50) == bool(promoted)
    # Once it has ended the mesh's policy decides for the tenant again.
    fixed.configured = {"acme": [of_acme._replace(percent=0.0, promoted="")]}
    assert await arms.read() == (DOCUMENT, {"other": DOCUMENT})
    # Where tenants' policies are not looked at, those in force stay.
    assert (
        await Arms(documents(DOCUMENT), Fixed(), NamedFiles(str(tmp_path)), parse, written).read()
    ).of_tenants is None


async def test_where_the_service_is_away_policies_are_compared_as_they_were_for_a_day(valkey: redis.Client) -> None:
    async with experiments() as mesh:
        await mesh.act("start")
        known = await MeshConfigurations(mesh.dialled, valkey, Metrics(), ["tone"], system_clock).read()
        arms = Arm("control"), Arm("other", value="eager")
        (one,) = known[""]
        expected = Configured("tone", SALT, arms, 100.0, state="running", outcomes=one.outcomes)
        assert one._replace(changed_s=0) == expected
        assert one.outcomes
    async with channel.dial("127.0.0.1:1", telemetry.off()) as nobody:
        replica = MeshConfigurations(nobody, valkey, Metrics(), ["tone"], system_clock)
        assert await replica.read() == known
        assert 86_000 < await valkey.ttl(KEPT) <= 86_400
        await valkey.delete(KEPT)
        assert await replica.read() == {}


async def test_what_is_not_signed_by_the_trusted_key_is_refused(valkey: redis.Client, tmp_path: Path) -> None:
    async with experiments(tmp_path) as mesh:
        (signed,) = await mesh.use_cases.configuring.configurations([""], ["tone"])
        assert json.loads(signed.payload)["experiments"][0]["id"] == "tone"
        assert KeySigner(tmp_path / "key.pem").sign(signed.payload) == (signed.signature, signed.public_key)
        assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
        trusting = MeshConfigurations(mesh.dialled, valkey, Metrics(), ["tone"], system_clock, signed.public_key.hex())
        assert set(await trusting.read()) == {""}
        await valkey.delete(KEPT)
        metrics = Metrics()
        assert await MeshConfigurations(mesh.dialled, valkey, metrics, ["tone"], system_clock, "00" * 32).read() == {}
        assert b"journeymesh_configurations_refused_total 1.0" in metrics.render()
        key = signed.public_key.hex()
        # Somebody repeats an answer that was signed before.
        late = MeshConfigurations(
            mesh.dialled, valkey, metrics, ["tone"], lambda: system_clock() + 86_400_000_000 + HOUR, key
        )
        assert await late.read() == {}
        assert b"journeymesh_configurations_refused_total 2.0" in metrics.render()
        assert await valkey.get(KEPT) is None
        await trusting.read()
        kept: Any = await valkey.get(KEPT)
        await valkey.set(KEPT, kept.replace(b"tone", b"tame"))  # somebody changed what is kept
    async with channel.dial("127.0.0.1:1", telemetry.off()) as nobody:
        metrics = Metrics()
        replica = MeshConfigurations(nobody, valkey, metrics, ["tone"], system_clock, signed.public_key.hex())
        assert await replica.read() == {}
        assert b"journeymesh_configurations_refused_total 1.0" in metrics.render()
    with pytest.raises(SettingError, match="64 hexadecimal digits"):
        MeshConfigurations(mesh.dialled, valkey, Metrics(), ["tone"], system_clock, "key")


@pytest.mark.parametrize("value", ["none", "../eager", ""])
async def test_an_arm_without_a_policy_leaves_in_force_what_is(value: str, tmp_path: Path) -> None:
    class Fixed:
        async def read(self) -> dict[str, list[Configured]]:
            return {"": [Configured("tone", SALT, (Arm("control"), Arm("other", value=value)), 50.0)]}

    (tmp_path.parent / "eager.yaml").write_text(DOCUMENT)
    arms = Arms(documents(DOCUMENT), Fixed(), NamedFiles(str(tmp_path)), parse, written)
    assert why_refused((await arms.read()).of_mesh)
    with pytest.raises(PolicyError):
        policy_of(parse((await arms.read()).of_mesh))


async def test_what_waits_to_be_told_of_a_person_is_exported_and_erased() -> None:
    world = World(EAGER)
    await world.send(Row(90.0), Row(90.0, user_id="bob"))
    exporting = Exporting(world.state, world.ledger, world.outbox, world.policies, world.reports)
    told = [each for each in await exporting.export(["ada"], str) if each.store == "intervention.reports"]
    assert [json.loads(each.json)["unit"] for each in told] == ["ada"]
    erasing = Erasing(world.state, world.ledger, world.outbox, world.reports)
    assert (await erasing.kept(["ada"]))["intervention.reports"] == 1
    for _ in range(2):
        await erasing.erase(["ada"], "pseudonym")
    assert (await erasing.kept(["ada"]))["intervention.reports"] == 0
    assert {each.unit for each in reports_in(await world.reports.first(10))} == {"bob"}


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{}", b'{"version":2,"tenant":"","experiments":[]}', b'{"version":1,"tenant":"b"}']
)
async def test_a_configuration_that_says_something_else_is_refused(payload: bytes, valkey: redis.Client) -> None:
    class Odd(ExperimentsServiceServicer):
        async def GetConfigurations(self, request: Any, _context: Any) -> experiments_pb2.GetConfigurationsResponse:
            assert request.experiment_ids == ["tone"]
            said = experiments_pb2.ExperimentConfiguration(payload=payload)
            return experiments_pb2.GetConfigurationsResponse(configurations=[said])

    odd = Odd()  # type: ignore[abstract]
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(odd, to)) as dialled:
        metrics = Metrics()
        configurations = MeshConfigurations(dialled, valkey, metrics, ["tone"], system_clock)
        assert await configurations.read() == {}
        assert await valkey.get(KEPT) is None
        await valkey.set(KEPT, b"\xff")
        assert await configurations.read() == {}
        assert b"journeymesh_configurations_refused_total 3.0" in metrics.render()
