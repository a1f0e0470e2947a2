"""The policy as a document: what it means, what is refused, and from when on a new one decides."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from mesh.process import lifecycle
from mesh.settings import SettingError
from mesh.store import redis
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.policy import usecases as policies_module
from services.intervention.policy.adapters.store import OF_MESH, MemoryPolicies, RedisPolicies
from services.intervention.policy.adapters.yaml import PolicyFiles, parse
from services.intervention.policy.domain import interpretation
from services.intervention.policy.domain.interpretation import PolicyError, policy_of
from services.intervention.policy.domain.policy import HOUR_US, MINUTE_US
from services.intervention.policy.domain.timeline import DatedPolicy, Timeline
from services.intervention.policy.ports import Documents, PolicyStore
from services.intervention.policy.usecases import Policies
from tests.intervention.builders import (
    DOCUMENT,
    MINUTE,
    NOON_ISH,
    POLICIES,
    ManualClock,
    Row,
    World,
    documents,
    edited,
    policy,
)
from tests.mesh.test_documents import MERGES

SECOND = 1_000_000


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_policy_that_is_shipped_is_one_and_has_the_shape(path: object) -> None:
    text = path.read_text()  # type: ignore[attr-defined]
    assert policy_of(parse(text)).actions
    jsonschema.validate(yaml.safe_load(text), interpretation.schema())


def test_durations_times_and_words_mean_what_they_say() -> None:
    made = policy(cooldown="90m", quiet_hours={"start": "22:30", "end": "06:05", "channels": ["push"], "then": "drop"})
    assert made.cooldown_us == 90 * MINUTE_US
    assert made.quiet is not None
    assert (made.quiet.start_minute, made.quiet.end_minute, made.quiet.is_held) == (22 * 60 + 30, 6 * 60 + 5, False)
    assert (
        policy(conversion={"event": "task_success", "target": "loan", "within": "2h"}).conversion.within_us
        == 2 * HOUR_US
    )


def test_the_version_names_the_content_not_its_writing() -> None:
    same = yaml.safe_dump(yaml.safe_load(DOCUMENT), sort_keys=True)
    assert policy_of(parse(same)).version == policy().version
    assert policy(cooldown="16m").version != policy().version
    assert policy().version.startswith("default-3+")


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"cooldwn": "1m"}, "unknown field"),
        ({"cooldown": "soon"}, "regex"),
        ({"cooldown": "40d"}, "cooldown is longer than 31 days"),
        ({"trigger": {"score": 175}}, "<= 100"),
        ({"caps": [{"most": 1, "per": "fortnight"}]}, "Invalid enum value"),
        ({"quiet_hours": {"start": "25:00", "end": "06:00", "channels": []}}, "regex"),
        ({"quiet_hours": {"start": "06:00", "end": "06:05", "channels": []}}, "at least"),
        ({"office_hours": {"opens": 18, "closes": 9}}, "office_hours.opens"),
        ({"priors": {"email": {"accepted": 1, "refused": 1}}}, "priors must name each"),
        ({"conversion": {"event": "happiness"}}, "conversion.event"),
        ({"holdout": {"share": 1.0}}, "<= 0.9"),
        ({"exploration": {"floor": 0.4}}, "exploration.floor"),
        ({"actions": []}, "length"),
    ],
)
def test_what_is_no_policy_is_refused_with_a_sentence(members: dict[str, object], sentence: str) -> None:
    with pytest.raises(PolicyError, match=sentence):
        policy(**members)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda actions: actions.append(actions[0]), "one name"),
        (lambda actions: actions[0].pop("offer"), "offer"),
        (lambda actions: actions[0].update(offer={"technical": "x"}), "offer needs a sentence"),
        (lambda actions: actions[0].update(lifetime="0s"), "lifetime"),
        (lambda actions: actions[0].update(also_channels=["in_app"]), "also_channels"),
        (lambda actions: actions[0].update(also_channels=["email"]), "in_app stands among also_channels"),
        (lambda actions: actions[0].update(in_office_hours=True), "office hours"),
    ],
)
def test_actions_that_contradict_themselves_are_refused(
    change: Callable[[list[dict[str, object]]], object], sentence: str
) -> None:
    actions = yaml.safe_load(DOCUMENT)["actions"]
    change(actions)
    with pytest.raises(PolicyError, match=sentence):
        policy(actions=actions)


@pytest.mark.parametrize("text", ["{", "a: b: c", "!!python/object:os.system {}", "\x00", "[" * 100_000, MERGES])
def test_what_is_no_yaml_is_no_policy(text: str) -> None:
    with pytest.raises(PolicyError):
        policy_of(parse(text))


@pytest.mark.parametrize("text", ["", "null", "7", "[]"])
def test_another_shape_is_no_policy(text: str) -> None:
    with pytest.raises(PolicyError):
        policy_of(parse(text))


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> PolicyStore:
    return MemoryPolicies() if request.param == "memory" else RedisPolicies(valkey, OF_MESH)


async def test_of_two_that_append_at_once_one_comes_first(store: PolicyStore) -> None:
    one, other = DatedPolicy(0, "a", "A"), DatedPolicy(5, "b", "ü")
    assert await store.append(one, 0)
    assert not await store.append(other, 0)
    assert await store.append(other, 1)
    assert await store.all() == [one, other]


async def test_a_policy_decides_on_what_is_received_some_seconds_later(store: PolicyStore) -> None:
    clock = ManualClock()
    policies = Policies(store, MemoryPolicies(), parse, clock, Timeline([]))
    await policies.begin(documents(DOCUMENT))
    assert policies.at(0).version == policy().version
    await policies.take(Documents(edited(cooldown="2m")))
    assert policies.at(clock.now_us).cooldown_us == 15 * MINUTE_US
    assert policies.at(clock.now_us + 5 * SECOND).cooldown_us == 2 * MINUTE_US
    other = Policies(store, MemoryPolicies(), parse, clock, Timeline([]))
    await other.begin(documents(edited(cooldown="2m")))  # what is in force already is not put in force again
    assert other.timeline.dated == policies.timeline.dated
    await other.take(Documents(DOCUMENT))  # back to the first, which then is the third
    assert len(other.timeline.dated) == 3
    assert (await policies.find(policy().version)).version == policy().version


async def test_an_invalid_document_changes_nothing_and_is_reported(store: PolicyStore) -> None:
    policies = Policies(store, MemoryPolicies(), parse, ManualClock(), Timeline([]))
    with pytest.raises(SettingError, match="cooldown"):
        await policies.begin(documents(edited().replace("cooldown: 15m", "cooldown: soon")))
    await policies.begin(documents(DOCUMENT))
    assert policies.trouble() == ""
    await policies.take(Documents("nonsense"))
    assert "not taken" in policies.trouble()
    assert [each.version for each in policies.timeline.dated] == [policy().version]
    await policies.begin(documents("nonsense"))  # a restart keeps what is in force
    assert policies.at(0).version == policy().version


async def test_an_experiment_keeps_its_share() -> None:
    policies = Policies(MemoryPolicies(), MemoryPolicies(), parse, ManualClock(), Timeline([]))
    await policies.begin(documents(edited(holdout={"share": 0.1, "salt": "a"})))
    await policies.take(Documents(edited(holdout={"share": 0.2, "salt": "a"})))
    assert "holdout.salt" in policies.trouble()
    await policies.take(Documents(edited(holdout={"share": 0.2, "salt": "b"})))
    assert (policies.trouble(), policies.timeline.policies[-1].holdout.share) == ("", 0.2)


async def test_a_file_that_changes_is_taken_without_a_restart(
    store: PolicyStore, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies_module, "_LOOK_SECONDS", 0)
    path = tmp_path / "policy.yaml"  # type: ignore[operator]
    path.write_text(DOCUMENT)
    file = PolicyFiles(str(path))
    policies = Policies(store, MemoryPolicies(), parse, ManualClock(), Timeline([]))
    await policies.begin(file.read)
    async with lifecycle.in_background(policies.watch(file.read)):
        path.write_text("nonsense")
        await until(lambda: policies.trouble() != "")
        path.unlink()
        path.write_text(edited(cooldown="3m"))
        await until(lambda: len(policies.timeline.dated) == 2)
    assert (policies.trouble(), policies.timeline.policies[-1].cooldown_us) == ("", 3 * MINUTE_US)


async def test_a_file_that_cannot_be_read_as_a_whole_is_reported_so(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    policies = Policies(MemoryPolicies(), MemoryPolicies(), parse, ManualClock(), Timeline([]))
    with pytest.raises(SettingError, match="cannot be read: No such file"):
        await policies.begin(PolicyFiles(str(path)).read)
    path.write_bytes(b"version: \xff")
    with pytest.raises(SettingError, match=r"cannot be read: .*utf-8"):
        await policies.begin(PolicyFiles(str(path)).read)
    # What was cut off might be a policy too, of fewer users who are left alone.
    path.write_text(f"{DOCUMENT}\nsuppression:\n  users:\n" + "".join(f"    - u-{n}\n" for n in range(100_000)))
    with pytest.raises(SettingError, match=r"cannot be read: .*1 MiB"):
        await policies.begin(PolicyFiles(str(path)).read)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - the watch looks in its own time
            await asyncio.sleep(0.001)


async def test_a_batch_that_comes_again_is_decided_by_the_policy_of_its_time() -> None:
    world = World(DOCUMENT, (NOON_ISH + 10 * MINUTE, edited(trigger={"score": 95})))
    early, late = Row(80.0), Row(80.0, NOON_ISH + 30 * MINUTE)
    (made,) = await world.deliver(1, [[early], [late]])
    again = await world.deliver(1, [[early], [late]])
    assert [made] == again
    first, second = [(await world.reading.decisions_of_user("ada", 2))[number] for number in (1, 0)]
    assert (first.verdict.reasons[0], second.verdict.reasons[0]) == (Reason.RISK_AT_TRIGGER, Reason.BELOW_TRIGGER)
    assert first.policy_version != second.policy_version


async def test_a_document_is_taken_once_it_is_no_longer_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies_module, "_LOOK_SECONDS", 0)
    half, whole = edited(cooldown="1m"), edited(cooldown="3m")
    looks = [DOCUMENT, half, whole]

    async def read() -> Documents:
        return Documents(looks.pop(0) if looks else whole)

    policies = Policies(MemoryPolicies(), MemoryPolicies(), parse, ManualClock(), Timeline([]))
    await policies.begin(documents(DOCUMENT))
    async with lifecycle.in_background(policies.watch(read)):
        await until(lambda: len(policies.timeline.dated) == 2)
    assert [each.cooldown_us for each in policies.timeline.policies] == [15 * MINUTE_US, 3 * MINUTE_US]


@pytest.mark.parametrize(
    "members",
    [
        {"version": "mine\n"},
        {"freshness": "5m\n"},
        {"trigger": {"reasons": ["form_errors\n"]}},
        {"experiment": {"id": "tone\n"}},
    ],
)
def test_a_line_break_behind_a_word_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(PolicyError):
        policy_of(parse(yaml.safe_dump(yaml.safe_load(DOCUMENT) | members)))
