"""Policies of single tenants: for whom they decide, from when on, and what happens when they are taken back."""

import hashlib
from pathlib import Path

import pytest
from journeymesh.intervention.v1 import intervention_pb2

from mesh.errors import Unavailable
from mesh.store import redis
from records.tenants import qualified
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.policy.adapters.store import OF_MESH, OF_TENANTS, MemoryPolicies, RedisPolicies
from services.intervention.policy.adapters.yaml import PolicyFiles, parse
from services.intervention.policy.domain.timeline import Timeline
from services.intervention.policy.ports import Documents, PolicyStore
from services.intervention.policy.usecases import Policies
from services.intervention.translation.reports import policies_message
from tests.intervention.builders import DOCUMENT, ManualClock, Row, World, documents, edited

SECOND = 1_000_000
STRICT = edited(trigger={"score": 95})
ADA, BOB = qualified("acme", "ada"), qualified("blue", "bob")


@pytest.fixture(params=["memory", "redis"])
def stores(request: pytest.FixtureRequest, valkey: redis.Client) -> tuple[PolicyStore, PolicyStore]:
    if request.param == "memory":
        return MemoryPolicies(), MemoryPolicies()
    return RedisPolicies(valkey, OF_MESH), RedisPolicies(valkey, OF_TENANTS)


def listed(of: Policies, tenant: str = "") -> list[str]:
    asked = policies_message(of, tenant)
    assert isinstance(asked, intervention_pb2.ListPoliciesResponse)
    return [each.tenant for each in asked.policies]


async def test_a_tenants_policy_decides_for_its_users_only_and_some_seconds_later(
    stores: tuple[PolicyStore, PolicyStore],
) -> None:
    clock = ManualClock()
    policies = Policies(*stores, parse, clock, Timeline([]))
    await policies.begin(documents(DOCUMENT, acme=edited(cooldown="2m")))
    now_us, soon_us = clock.now_us, clock.now_us + 5 * SECOND
    of_mesh = policies.at(soon_us)
    assert policies.of_record(now_us, [ADA]) == of_mesh
    own = policies.of_record(soon_us, [ADA, qualified("acme", "eve")])
    assert own.version.startswith("acme/")
    assert own.cooldown_us == 120 * SECOND
    assert policies.of_record(soon_us, [BOB]) == policies.of_record(soon_us, ["ada"]) == of_mesh
    assert policies.of_record(soon_us, [ADA, BOB]) == of_mesh  # nobody is decided on by the policy of another tenant
    assert await policies.find(own.version) == own

    replica = Policies(*stores, parse, clock, Timeline([]))
    await replica.refresh()
    assert replica.of_record(soon_us, [ADA]) == own
    assert (listed(replica), listed(replica, "acme"), listed(replica, "blue")) == (["acme", ""], ["acme"], [])


async def test_a_policy_that_is_taken_back_leaves_the_meshs(stores: tuple[PolicyStore, PolicyStore]) -> None:
    clock = ManualClock()
    policies = Policies(*stores, parse, clock, Timeline([]))
    await policies.begin(documents(DOCUMENT, acme=STRICT, blue=STRICT))
    clock.now_us += 60 * SECOND
    await policies.take(Documents(DOCUMENT))  # who looks at no folder takes nothing back
    assert policies.at(clock.now_us, "acme").trigger_score == 95
    await policies.take(Documents(DOCUMENT, {"blue": STRICT}))
    assert policies.at(clock.now_us, "acme").trigger_score == 95
    assert policies.at(clock.now_us + 5 * SECOND, "acme") == policies.at(0)
    assert policies.at(clock.now_us + 5 * SECOND, "blue").trigger_score == 95
    entries = await stores[1].count()
    await policies.take(Documents(DOCUMENT, {"blue": STRICT}))
    assert await stores[1].count() == entries
    await policies.take(Documents(DOCUMENT, {"acme": STRICT, "blue": STRICT}))
    assert policies.at(clock.now_us + 6 * SECOND, "acme").trigger_score == 95


async def test_an_invalid_document_of_a_tenant_troubles_nobody_else() -> None:
    policies = Policies(MemoryPolicies(), MemoryPolicies(), parse, ManualClock(), Timeline([]))
    await policies.begin(documents(DOCUMENT, acme="nonsense", blue=STRICT))
    assert "not taken" in policies.trouble("acme")
    assert policies.trouble() == policies.trouble("blue") == ""
    assert set(policies.of_tenants) == {"blue"}


async def test_an_experiment_keeps_its_share_for_a_tenant_too() -> None:
    policies = Policies(MemoryPolicies(), MemoryPolicies(), parse, ManualClock(), Timeline([]))
    of_mesh, other = edited(holdout={"share": 0.1, "salt": "a"}), edited(holdout={"share": 0.2, "salt": "a"})
    await policies.begin(documents(of_mesh, acme=other))
    assert "holdout.salt" in policies.trouble("acme")
    await policies.take(Documents(of_mesh, {"acme": edited(holdout={"share": 0.2, "salt": "b"})}))
    assert policies.trouble("acme") == ""
    assert (policies.holdout_share("b", "acme"), policies.holdout_share("b", "blue")) == (0.2, 0.0)


async def test_a_tenants_policy_names_its_users_as_they_are_called_there() -> None:
    eve_hash = "sha256:" + hashlib.sha256(b"eve").hexdigest()
    world = World()
    own = edited(suppression={"users": ["ada", eve_hash]})
    await world.policies.take(Documents(DOCUMENT, {"acme": own}))
    later = world.clock.now_us + 10 * SECOND
    users = [qualified(tenant, name) for tenant in ("acme", "blue", "") for name in ("ada", "eve", "joe")]
    reasons = []
    for user in users:
        await world.send(Row(80.0, later, user_id=user))
        (decision,) = await world.reading.decisions_of_user(user, 1)
        reasons.append(decision.verdict.reasons[0])
        assert decision.policy_version.startswith("acme/") == user.startswith("\x1facme")
    assert [reason is Reason.SUPPRESSED for reason in reasons] == [True, True, *[False] * 7]


async def test_a_folder_holds_one_document_per_tenant(tmp_path: Path) -> None:
    of_mesh, folder = tmp_path / "policy.yaml", tmp_path / "tenants"
    of_mesh.write_text(DOCUMENT)
    files = PolicyFiles(str(of_mesh), str(folder))
    with pytest.raises(Unavailable, match="No such file"):  # a folder that is gone takes no policy back
        await files.read()
    folder.mkdir()
    (folder / "acme.yaml").write_text(STRICT)
    (folder / "README.md").write_text("not a policy")
    (folder / "Not A Tenant.yaml").write_text(STRICT)
    assert await files.read() == Documents(DOCUMENT, {"acme": STRICT})
    assert await PolicyFiles(str(of_mesh)).read() == Documents(DOCUMENT, None)
