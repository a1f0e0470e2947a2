"""A person is erased, whatever was decided, and others' decisions, lift and messages stay as they are."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.state import keyed
from services.intervention.decision.domain import ledger as pages
from services.intervention.decision.ports import Reference
from services.intervention.decision.state import INTERVENTIONS, USERS
from services.intervention.erasing import Erasing
from tests.intervention.builders import MINUTE, NOON_ISH, Row, World

PSEUDONYM = "0" * 32
USERS_MET = ("ada", "adam", "bob")
ROWS = st.lists(st.tuples(st.sampled_from(USERS_MET), st.sampled_from([10.0, 60.0, 90.0])), min_size=1, max_size=5)


def rows(some: list[tuple[str, float]], at_us: int) -> list[Row]:
    return [Row(at_us=at_us, user_id=user, score=score) for user, score in some]


@settings(deadline=None, max_examples=40)
@given(records=st.lists(ROWS, min_size=1, max_size=4))
async def test_the_person_is_gone_and_the_counts_stay(records: list[list[tuple[str, float]]]) -> None:
    world = World()
    for number, some in enumerate(records):
        await world.come(number + 1, [rows(some, NOON_ISH + number * 20 * MINUTE)])
    erasing = Erasing(world.state, world.ledger, world.outbox, world.reports)
    decided = {user: await world.reading.decisions_of_user(user, 100) for user in USERS_MET}
    lifts = await world.reading.lifts("")
    others = {user: await keyed.read(world.state, USERS, user) for user in ("adam", "bob")}
    before = await erasing.kept(["ada"])
    theirs = await erasing.kept(["adam", "bob"])

    for _ in range(2):
        await erasing.erase(["ada"], PSEUDONYM)
    assert set((await erasing.kept(["ada"])).values()) == {0}
    assert await erasing.kept(["adam", "bob"]) == theirs
    assert before["intervention.ledger"] == sum(user == "ada" for some in records for user, _ in some)
    assert {user: await keyed.read(world.state, USERS, user) for user in others} == others
    assert await world.reading.decisions_of_user("ada", 100) == []
    for user in ("adam", "bob"):
        assert await world.reading.decisions_of_user(user, 100) == decided[user]
    assert await world.reading.lifts("") == lifts

    for decision in decided["ada"]:
        at = decision.facts.position
        (now,) = await world.reading.decisions_at(at)
        assert (now.facts.user_id, now.facts.event_id, now.facts.trace_id, now.facts.page) == (PSEUDONYM, "", b"", "")
        assert now.verdict.reasons == decision.verdict.reasons
        assert now.verdict.intervention == decision.verdict.intervention
        if decision.verdict.intervention is not None:
            kept = await keyed.read(world.state, INTERVENTIONS, decision.verdict.intervention.id)
            assert kept is None
    stored = await world.ledger.blocks([Reference("3", number + 1) for number in range(len(records))])
    for blob in filter(None, stored):
        assert "ada" not in pages.decode(blob).user_ids
