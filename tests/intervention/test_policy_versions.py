"""Policies that builds of several versions have put in force, in one store."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from mesh.errors import VersionMismatch
from mesh.store import redis
from services.intervention.decision.domain.facts import Outcome, OutcomeReport
from services.intervention.decision.domain.offer import Standing
from services.intervention.decision.domain.outcome import welcome_channels
from services.intervention.policy.adapters.store import MemoryPolicies
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain import interpretation
from services.intervention.policy.domain.document import Document, Duration
from services.intervention.policy.domain.interpretation import policy_of
from services.intervention.policy.domain.timeline import DatedPolicy, Timeline
from services.intervention.policy.usecases import Policies
from tests.golden.formats import FORMATS, POLICY, At
from tests.golden.kept import put
from tests.golden.test_golden import FOLDER, assert_holds, read
from tests.intervention.builders import DOCUMENT, MINUTE, NOON_ISH, ManualClock, Row, World, documents, edited, policy


class Newer(Document, frozen=True, kw_only=True):
    """The document of a build with one more rule."""

    patience: Duration = "1h"


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The build with one more rule, until it is undone."""
    monkeypatch.setattr(interpretation, "Document", Newer)
    return monkeypatch


async def opened(store: MemoryPolicies, document: str, clock: ManualClock | None = None) -> Policies:
    """What a process knows that starts with a document."""
    policies = Policies(store, MemoryPolicies(), parse, clock or ManualClock(), Timeline([]))
    await policies.begin(documents(document))
    return policies


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/intervention.json")), ids=lambda path: path.parent.name)
async def test_what_was_decided_is_read_by_a_build_with_one_more_rule(
    path: Path, newer: pytest.MonkeyPatch, valkey: redis.Client, tmp_path: Path
) -> None:
    golden = read(path)
    at = At(valkey, tmp_path)
    await put(golden["stored"], *at)
    stored = json.loads(json.dumps(await FORMATS["intervention"].read(at)))
    assert_holds(stored, golden["told"], "intervention")
    assert policy_of(parse(POLICY)).version not in golden["told"]["policies"]  # it would be named otherwise now


async def test_a_build_that_names_a_policy_otherwise_decides_by_a_name_that_the_store_knows(
    newer: pytest.MonkeyPatch,
) -> None:
    newer.undo()
    clock, store = ManualClock(), MemoryPolicies()
    first = (await opened(store, DOCUMENT, clock)).at(clock.now_us).version
    newer.setattr(interpretation, "Document", Newer)
    upgraded = await opened(store, DOCUMENT, clock)
    assert upgraded.at(clock.now_us).version == first
    later = upgraded.at(clock.now_us + MINUTE).version
    assert later != first
    assert {first, later} == {each.version for each in await store.all()}
    newer.undo()
    back = await opened(store, DOCUMENT, clock)
    for version in (first, later):
        assert (await back.find(version)).version == version
    assert (await back.find(later)).cooldown_us == (await back.find(first)).cooldown_us


async def test_a_policy_keeps_the_defaults_it_was_put_in_force_with(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryPolicies()
    tree = yaml.safe_load(DOCUMENT)
    tree.pop("cooldown", None)
    before = await opened(store, yaml.safe_dump(tree))

    class Otherwise(Document, frozen=True, kw_only=True):
        cooldown: Duration = "3h"

    monkeypatch.setattr(interpretation, "Document", Otherwise)
    after = await opened(store, yaml.safe_dump(tree))
    assert after.at(0).cooldown_us == before.at(0).cooldown_us == 15 * MINUTE


async def test_a_policy_of_a_newer_build_waits_for_it_and_the_others_are_read(newer: pytest.MonkeyPatch) -> None:
    clock, store = ManualClock(), MemoryPolicies()
    await opened(store, DOCUMENT, clock)
    await opened(store, edited(patience="2h"), clock)
    newer.undo()
    older = await opened(store, edited(patience="2h"), clock)  # the file is for the newer build
    assert "patience" in older.trouble()
    assert len(older.timeline.dated) == 2
    assert older.at(clock.now_us).cooldown_us == policy().cooldown_us
    newest = older.timeline.dated[-1].version
    assert older.timeline.version_at(clock.now_us + MINUTE) == newest
    with pytest.raises(VersionMismatch):
        older.at(clock.now_us + MINUTE)


def test_a_channel_that_no_action_uses_needs_no_prior() -> None:
    """As in a document that was written before there was the channel."""
    tree: dict[str, Any] = yaml.safe_load(DOCUMENT)
    tree["actions"] = [
        each for each in tree["actions"] if "push" not in {each["channel"], *each.get("also_channels", [])}
    ]
    assert tree["actions"]
    del tree["priors"]["push"]
    assert "push" not in policy_of(tree).priors


async def test_outcomes_of_a_channel_that_the_policy_does_not_know_break_nothing() -> None:
    learned = {"telegram": (9, 0), "email": (9, 0)}
    assert welcome_channels(policy(), Standing(learned=learned).learned) == ["email"]
    world = World()
    await world.send(Row(80.0))
    report = OutcomeReport("i-3-1-0", Outcome.ACCEPTED, "telegram")
    await world.send(Row(10.0, NOON_ISH + MINUTE, outcome=report))
    await world.send(Row(50.0, NOON_ISH + 40 * MINUTE))


def test_an_entry_of_version_0_1_0_has_no_canonical_form() -> None:
    blob = msgspec.msgpack.encode([5, "v+1", "version: v"])
    assert msgspec.msgpack.decode(blob, type=DatedPolicy) == DatedPolicy(5, "v+1", "version: v", "")
