"""The outcomes of all users' help: counted, shrunk and written into a policy."""

import json
import random
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pytest
import yaml
from google.protobuf.json_format import MessageToJson
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import TargetEncoder

from offline.decisions.archived import Record
from offline.decisions.learning import Context, LearnedPrior, Outcomes, Tallies, Tally, learned_priors
from offline.decisions.observed import Observations, Reward
from offline.decisions.policy_value import Evaluation, evaluate
from offline.decisions.rewriting import rewritten
from offline.decisions.what_if import Span
from services.ingest.archive.adapters.event_rows import Archived
from services.intervention.decision.domain import user_state
from services.intervention.decision.domain.facts import Outcome, OutcomeReport
from services.intervention.decision.domain.ledger import facts_at
from services.intervention.decision.domain.offer import UNKNOWN
from services.intervention.decision.domain.situation import Situation
from services.intervention.decision.domain.strategy import Intervention, choose, probability
from services.intervention.decision.domain.user_state import NOBODY
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.interpretation import policy_of
from services.intervention.policy.domain.policy import Policy
from services.intervention.translation.interventions import intervention_message
from tests.builders import MINUTE_US, NOW_US, event
from tests.intervention.builders import POLICIES
from tests.offline.help_log import SHARD, Log, assessment, block_of

HOUR_US: Final = 60 * MINUTE_US
EVER: Final = Span(0, 1 << 62)
LEVELS: Final = ("low", "medium", "high", "critical")
DIFFICULTIES: Final = ("technical", "orientation", "any")
CONTEXTS: Final = [Context(level, kind) for level in LEVELS for kind in DIFFICULTIES]


def action(name: str, **members: Any) -> dict[str, Any]:
    """An urgent action."""
    plain = {"type": "help", "need": "urgent", "channel": "in_app", "content": {"any": ["guide"]}}
    return plain | {"name": name, "offer": {"any": "Can we help?"}, "lifetime": "30m"} | members


def tree(*actions: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    """A policy that helps from medium risk on."""
    priors = {each: {"accepted": 2, "refused": 3} for each in ("chat", "email", "in_app", "push", "ticket")}
    plain = {"version": "stated", "trigger": {"score": 40}, "conversion": {"event": "purchase", "within": "24h"}}
    return plain | {"priors": priors, "actions": list(actions)} | members


ONE: Final = policy_of(tree(action("guide")))


def counted(policy: Policy, records: Iterable[Record], span: Span = EVER) -> Tallies:
    """The outcomes of the help in an archive."""
    outcomes = Outcomes(policy, span)
    for each in records:
        outcomes.see(each)
    return outcomes.tallies()


STORIES: Final[dict[str, tuple[list[tuple[int, str]], Tally]]] = {
    "it expires unseen without an outcome": ([], Tally()),
    "accepted": ([(1, "accepted")], Tally(1, 0)),
    "accepted twice": ([(1, "accepted"), (2, "accepted")], Tally(1, 0)),
    "accepted, and bought": ([(1, "accepted"), (5, "purchase")], Tally(1, 0)),
    "bought after having seen it": ([(1, "shown"), (5, "purchase")], Tally(1, 0)),
    "a machine bought": ([(1, "shown"), (2, "bot"), (3, "declined")], Tally(0, 1)),
    "bought after it had run out": ([(1, "shown"), (31, "purchase")], Tally(0, 1)),
    "bought without having seen it": ([(5, "purchase")], Tally()),
    "declined": ([(1, "shown"), (2, "declined")], Tally(0, 1)),
    "declined, then accepted": ([(1, "declined"), (2, "accepted")], Tally(0, 1)),
    "seen, and run out": ([(1, "shown")], Tally(0, 1)),
    "accepted too late": ([(30, "accepted")], Tally()),
    "reported as expired unseen": ([(1, "expired")], Tally()),
    "seen, gave way to other help": ([(1, "shown"), (2, "help")], Tally()),
    "somebody else accepted it": ([(1, "stranger")], Tally()),
    "bought after having seen it, reported a day later": ([(1, "shown"), (5, "late purchase")], Tally(1, 0)),
    "bought before, reported after": ([(1, "shown"), (-5, "late purchase")], Tally(0, 1)),
    "gave something back": ([(1, "shown"), (5, "refund")], Tally(0, 1)),
    "bought in a copied event": ([(1, "shown"), (5, "copy")], Tally(0, 1)),
    "seen, and taken back": ([(1, "shown"), (5, "solved")], Tally()),
    "taken back, and accepted too late": ([(5, "solved"), (6, "accepted")], Tally()),
}


@pytest.mark.parametrize(("steps", "tally"), STORIES.values(), ids=STORIES)
def test_each_intervention_counts_once_by_its_outcome(steps: list[tuple[int, str]], tally: Tally) -> None:
    log, solved = Log(ONE), dict[int, str]()
    made = log.help("ada", "high", "technical")
    for minute, what in steps:
        at_us = NOW_US + minute * MINUTE_US
        match what:
            case "purchase" | "bot":
                log.see("ada", "purchase", at_us, is_bot=what == "bot")
            case "late purchase":
                log.see("ada", "purchase", at_us, received_time_us=NOW_US + 24 * HOUR_US)
            case "refund":
                log.see("ada", "purchase", at_us, purchase={"amount": 3.0, "is_refund": True})
            case "copy":
                log.see("ada", "purchase", at_us, copied_event_id="e-0")
            case "solved":
                solved[len(log.blocks)] = made
                log.see("ada", "task_success", at_us)
            case "help":
                log.help("ada", "critical", "any", at_us)
            case "stranger":
                log.report("eve", made, "accepted", at_us)
            case _:
                log.report("ada", made, what, at_us)
    log.see("bob", "page_view", NOW_US + 25 * HOUR_US)
    records = [
        each._replace(decisions={0: {**each.decisions[0], "withdrawn": solved.get(number)}})
        for number, each in enumerate(log.records())
    ]
    assert counted(ONE, records) == ({"guide": {Context("high", "technical"): tally}} if tally.total else {})


@pytest.mark.parametrize("is_known_read_first", [True, False])
@pytest.mark.parametrize(
    ("what", "tally"), [("accepted", Tally(1, 0)), ("declined", Tally(0, 1)), ("shown", Tally(0, 1))]
)
def test_offers_to_an_anonymous_user_become_the_known_user_s(
    what: str,
    tally: Tally,
    is_known_read_first: bool,  # noqa: FBT001
) -> None:
    """The two may stand in two shards, which are read one after the other."""
    log = Log(ONE)
    made = log.help("anon", "high", "technical")
    log.see("anon", "identify", NOW_US + MINUTE_US, linked_user_id="ada")
    log.report("ada", made, what, NOW_US + 2 * MINUTE_US)
    log.see("bob", "page_view", NOW_US + 25 * HOUR_US)
    *anonymous, known, last = log.records()
    records = [known, *anonymous, last] if is_known_read_first else [*anonymous, known, last]
    assert counted(ONE, records) == {"guide": {Context("high", "technical"): tally}}


def test_of_two_waiting_interventions_after_a_login_one_was_withdrawn() -> None:
    log = Log(ONE)
    for user_id in ("anon", "ada"):
        log.report(user_id, log.help(user_id, "high", "technical"), "shown")
    log.see("anon", "identify", NOW_US + MINUTE_US, linked_user_id="ada")
    log.see("bob", "page_view", NOW_US + 25 * HOUR_US)
    assert counted(ONE, log.records()) == {"guide": {Context("high", "technical"): Tally(0, 1)}}


def test_a_shown_offer_that_still_waits_says_nothing_yet() -> None:
    log = Log(ONE)
    log.report("ada", log.help("ada", "high", "any"), "shown", NOW_US)
    log.see("bob", "page_view", NOW_US + 29 * MINUTE_US)
    assert counted(ONE, log.records()) == {}


def test_help_counts_where_it_was_given_and_in_its_time() -> None:
    log = Log(ONE)
    for hour, context in enumerate(CONTEXTS):
        for number in range(hour + 1):
            user_id, at_us = f"user-{hour}-{number}", NOW_US + hour * HOUR_US
            made = log.help(user_id, *context, at_us)
            if made:
                log.report(user_id, made, "accepted" if number % 3 else "declined", at_us + MINUTE_US)
    records = log.records()
    refused = {each: hour // 3 + 1 for hour, each in enumerate(CONTEXTS)}
    expected = {each: Tally(hour + 1 - refused[each], refused[each]) for hour, each in enumerate(CONTEXTS)}
    helped = {each: tally for each, tally in expected.items() if each.level != "low"}
    assert counted(ONE, records) == {"guide": helped}
    # Help of two hours only; the outcomes of the second hour's help are not known in time.
    span = Span(NOW_US + 4 * HOUR_US, NOW_US + 5 * HOUR_US + 1)
    assert counted(ONE, records, span) == {"guide": {CONTEXTS[4]: expected[CONTEXTS[4]]}}
    # An action the policy does not have, or has by another channel.
    assert counted(policy_of(tree(action("other"))), records) == {}
    assert counted(policy_of(tree(action("guide", channel="chat"))), records) == {}


def test_the_holdout_and_decisions_without_a_draw_say_nothing() -> None:
    held = Log(policy_of(tree(action("guide"), holdout={"share": 0.5, "salt": "h"})))
    idle = Log(policy_of(tree(action("guide"), exploration={"nothing_utility": 9})))
    for log, least in ((held, 20), (idle, 0)):
        made = {user_id: log.help(user_id, "high", "any") for user_id in map(str, range(60))}
        for user_id, each in made.items():
            log.report(user_id, each or "i-0-0-0", "accepted", NOW_US + MINUTE_US)
        count = sum(each.total for its in counted(log.policy, log.records()).values() for each in its.values())
        assert least <= count == sum(map(bool, made.values())) < 40


# Help can be seen for a minute longer than a purchase is taken to come of it.
BOTH: Final = policy_of(
    tree(action("guide"), action("call", channel="chat"), conversion={"event": "purchase", "within": "29m"})
)


def help_by(number: int, name: str, channel: str, at_us: int) -> Intervention:
    until_us = at_us + 30 * MINUTE_US
    return Intervention(
        f"i-{number}", "help", name, "", channel, "", until_us, until_us, 0.5, (), (), 0.0, "", (), "", 1.0
    )


@example([(0, "guide", 0), (0, "ACCEPTED", 0), (0, "call", 0), (0, "SHOWN", 0), (29 * MINUTE_US, "purchase", 0)])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, MINUTE_US, 29 * MINUTE_US, 30 * MINUTE_US, 24 * HOUR_US]),
            st.sampled_from(["guide", "call", "purchase", *(each.name for each in Outcome if each)]),
            st.integers(0, 3),
        ),
        max_size=25,
    )
)
def test_the_service_counts_the_same_for_the_user(steps: list[tuple[int, str, int]]) -> None:
    outcomes, helped, at_us, made = Outcomes(BOTH, EVER), NOBODY, NOW_US, list[Intervention]()
    for number, (gap_us, what, back) in enumerate([*steps, (0, "page_view", 0)]):
        at_us += gap_us
        members: dict[str, Any] = {"received_time_us": at_us, "event_time_us": at_us}
        row: dict[str, Any] = {"intervention": None}
        kind = what
        match what:
            case "guide" | "call":
                kind = "page_view"
                help_ = help_by(number, what, "in_app" if what == "guide" else "chat", at_us)
                made.append(help_)
                helped = user_state.offered(BOTH, helped, help_, at_us, is_urgent=True)
                row = {"intervention": MessageToJson(intervention_message(help_), preserving_proto_field_name=True)}
                row |= {"user_id": "ada", "indicators": [], "level": "high"}
            case "purchase":
                helped = user_state.converted(BOTH, helped, at_us)
            case "page_view":
                # Whatever the service has not noticed yet.
                helped = user_state.reported(BOTH, helped, OutcomeReport("", Outcome.NONE, ""), at_us)
            case _:
                kind = "intervention_outcome"
                about = made[-1 - back].id if back < len(made) else ""
                helped = user_state.reported(BOTH, helped, OutcomeReport(about, Outcome[what], ""), at_us)
                members["outcome"] = {"intervention_id": about, "outcome": f"OUTCOME_{what}"}
        archived = Archived(SHARD, number, 0, event(f"e-{number}", "ada", kind, **members), is_set_aside=False)
        outcomes.see(Record(SHARD, number, {0: archived}, {0: row}, 0))
    found = {
        channel: (sum(each.accepted for each in its.values()), sum(each.refused for each in its.values()))
        for name, channel in (("guide", "in_app"), ("call", "chat"))
        if (its := outcomes.tallies().get(name))
    }
    assert found == helped.learned


def mean(lesson: LearnedPrior) -> float:
    return lesson.after.accepted / (lesson.after.accepted + lesson.after.refused)


STATED: Final = tree(
    action("guide", prior={"accepted": 2, "refused": 8}),
    action(
        "call",
        contexts=[
            {"difficulty": "technical", "accepted": 4, "refused": 1},
            {"level": "critical", "accepted": 1, "refused": 3},
        ],
    ),
)


def test_a_context_is_drawn_to_its_action_and_that_to_what_was_stated() -> None:
    tallies = {"guide": {Context("high", "technical"): Tally(8, 2), Context("high", "any"): Tally(1, 9)}}
    found = {each.context: each for each in learned_priors(policy_of(STATED), tallies, 5)}
    overall = (9 + 5 * 0.2) / (20 + 5)
    expected = {
        Context("high", "technical"): (8 + 5 * overall) / 15,
        Context("high", "orientation"): overall,
        Context("high", "any"): (1 + 5 * overall) / 15,
        Context("any", "any"): overall,
    }
    assert list(found) == list(expected)
    assert {context: mean(each) for context, each in found.items()} == pytest.approx(expected, rel=1e-5)
    assert all(each.after.accepted + each.after.refused == pytest.approx(10, rel=1e-5) for each in found.values())


def test_contexts_are_shrunk_as_scikit_learn_does_it() -> None:
    tallies = {
        Context("high", "technical"): Tally(9, 1),
        Context("high", "orientation"): Tally(3, 27),
        Context("critical", "technical"): Tally(4, 2),
    }
    kinds = np.repeat([f"{each}" for each in tallies], [each.total for each in tallies.values()])
    taken = np.concatenate([np.repeat([1, 0], each) for each in tallies.values()])
    encoder = TargetEncoder(smooth=7.0, target_type="binary").fit(kinds[:, None], taken)
    encoded = dict(zip(encoder.categories_[0], encoder.encodings_[0], strict=True))
    # Where the stated prior is what all outcomes together show, the action's ratio is the mean of all.
    policy = policy_of(tree(action("guide", prior={"accepted": 16, "refused": 30})))
    found = {each.context: mean(each) for each in learned_priors(policy, {"guide": tallies}, 7.0)}
    assert {f"{each}": found[each] for each in tallies} == pytest.approx(encoded, rel=1e-5)


def asked(policy: Policy, name: str, context: Context) -> float:
    """The probability of success of a user without a past, as a decision takes it."""
    (its,) = (each for each in policy.actions if each.name == name)
    block = block_of(policy, 0, event(), assessment(*context))
    return probability(Situation(policy, facts_at(block, SHARD, 0, 0), UNKNOWN), its)


tallies_of_action = st.dictionaries(
    st.sampled_from(CONTEXTS),
    st.builds(Tally, st.integers(0, 300), st.integers(0, 300)).filter(lambda each: each.total),
)
strengths = st.floats(1e-3, 1e6)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["guide", "call"]), tallies_of_action.filter(bool)), st.floats(0.1, 1e4))
def test_the_document_that_is_written_means_what_was_learned(tallies: Tallies, strength: float) -> None:
    before, learned = policy_of(STATED), learned_priors(policy_of(STATED), tallies, strength)
    text, _ = rewritten(yaml.safe_dump(STATED), "learned", learned)
    after = policy_of(parse(text))
    for name in ("guide", "call"):
        its = tallies.get(name, {})
        accepted, count = sum(each.accepted for each in its.values()), sum(each.total for each in its.values())
        for context in CONTEXTS:
            own, stated = its.get(context, Tally()), asked(before, name, context)
            overall = (accepted + strength * stated) / (count + strength)
            expected = (own.accepted + strength * overall) / (own.total + strength)
            assert asked(after, name, context) == pytest.approx(expected, rel=1e-4)
            # As many outcomes as weigh against what was held cannot move it further than this.
            most = count / (count + strength) + own.total / (own.total + strength)
            assert abs(expected - stated) <= most + 1e-9


@given(tallies_of_action.filter(bool), st.floats(1e-3, 1e5), st.floats(1e-3, 1e5), strengths)
def test_priors_stay_positive_and_of_the_stated_strength(
    tallies: Mapping[Context, Tally], accepted: float, refused: float, strength: float
) -> None:
    policy = policy_of(tree(action("guide", prior={"accepted": accepted, "refused": refused})))
    for each in learned_priors(policy, {"guide": tallies}, strength):
        assert min(each.after.accepted, each.after.refused) > 0
        assert each.after.accepted + each.after.refused == pytest.approx(accepted + refused, rel=1e-5)


@pytest.mark.parametrize("name", ["default", "measured"])
def test_without_outcomes_the_document_means_the_same(name: str) -> None:
    document = (POLICIES / f"{name}.yaml").read_text()
    tree_ = parse(document)
    assert isinstance(tree_, dict)
    text, has_comments = rewritten(document, "other", learned_priors(policy_of(tree_), {}, 5))
    assert policy_of(parse(text)) == policy_of({**tree_, "version": "other"})
    assert has_comments
    assert [new for old, new in zip(document.split("\n"), text.split("\n"), strict=True) if old != new] == [
        "version: other"
    ]


@pytest.mark.parametrize("name", ["default", "measured"])
@pytest.mark.parametrize(
    "taught", [["send_help_email"], ["show_help_tip"], ["show_live_chat_popup", "show_step_by_step"]]
)
def test_comments_and_what_is_merged_are_kept(name: str, taught: list[str]) -> None:
    document = (POLICIES / f"{name}.yaml").read_text()
    before = policy_of(parse(document))
    tallies = {each: {Context("medium", "technical"): Tally(30, 1)} for each in taught}
    text, has_comments = rewritten(document, "other", learned_priors(before, tallies, 5))
    assert has_comments
    assert [each for each in document.split("\n") if each.startswith("#")] == [
        each for each in text.split("\n") if each.startswith("#")
    ]
    for old, new in zip(before.actions, policy_of(parse(text)).actions, strict=True):
        assert (old.contexts == new.contexts) is (old.name not in taught)


LAYOUTS: Final = {
    "JSON": (json.dumps(STATED), True),
    "indented JSON": (json.dumps(STATED, indent=2), True),
    "blocks": (yaml.safe_dump(STATED), True),
    "a version as text": (yaml.safe_dump(STATED | {"version": "1.50"}), True),
    "no last line": (yaml.safe_dump(STATED, sort_keys=False).rstrip(), True),
    "a comment behind": (yaml.safe_dump(STATED, sort_keys=False).rstrip() + "  # the end", True),
    "contexts in one line": (
        yaml.safe_dump(STATED).replace(
            yaml.safe_dump({"contexts": STATED["actions"][1]["contexts"]}).replace("\n", "\n  ").rstrip(),
            "contexts: []",
        ),
        True,
    ),
    "a key out of the ordinary": (yaml.safe_dump(STATED).replace("version: stated", "? version\n: stated"), True),
    "text that ends with its line": (
        yaml.safe_dump(tree(action("guide"), action("call")), sort_keys=False).replace(
            "lifetime: 30m", "lifetime: |-\n    30m"
        ),
        False,
    ),
}


@pytest.mark.parametrize(("document", "is_kept"), LAYOUTS.values(), ids=LAYOUTS)
def test_any_layout_comes_to_the_same_policy(document: str, *, is_kept: bool) -> None:
    before = policy_of(parse(document))
    tallies = {each: {Context("high", "any"): Tally(3, 9)} for each in ("guide", "call")}
    learned = learned_priors(before, tallies, 5)
    text, has_comments = rewritten(document, "1.5", learned)
    assert has_comments is is_kept
    after = policy_of(parse(text))
    assert after.version.startswith("1.5+")
    for each in after.actions:
        expected = [(*lesson.context, *lesson_prior(lesson)) for lesson in learned if lesson.action == each.name]
        assert [(one.level, one.difficulty, one.accepted, one.refused) for one in each.contexts] == expected


def lesson_prior(lesson: LearnedPrior) -> tuple[float, float]:
    return lesson.after.accepted, lesson.after.refused


ACTIONS: Final = ("guide", "call", "tip")
# How likely each action is taken up; the best one depends on the context, and on average none stands out.
TRUTH: Final = {
    Context("high", "technical"): (0.6, 0.2, 0.1),
    Context("high", "orientation"): (0.1, 0.25, 0.6),
    Context("critical", "technical"): (0.2, 0.7, 0.1),
    Context("critical", "any"): (0.15, 0.2, 0.5),
}
LOGGING: Final = tree(
    *(action(each) for each in ACTIONS),
    version="logging",
    exploration={"temperature": 0.1, "floor": 0.05, "salt": "1"},
)


def simulated(seed: int, count: int) -> tuple[Log, list[Context | None]]:
    """Users helped by the logging policy, who take help up as the truth has it; and their contexts, event by event."""
    draw, log, contexts = random.Random(seed), Log(policy_of(LOGGING)), list[Context | None]()  # noqa: S311 - a story
    for number in range(count):
        user_id, context = f"{seed}-{number}", draw.choice(list(TRUTH))
        made = log.help(user_id, *context, NOW_US + number)
        contexts.append(context)
        if made:
            help_ = log.blocks[-1].exceptional[0].verdict.intervention
            assert help_
            takes = draw.random() < TRUTH[context][ACTIONS.index(help_.action)]
            log.report(user_id, made, "accepted" if takes else "declined", NOW_US + number)
            contexts.append(None)
    return log, contexts


def true_value(policy: Policy) -> float:
    """The share of users who take help up, exactly; contexts are equally likely."""
    values = []
    for context, rewards in TRUTH.items():
        facts = facts_at(block_of(policy, 0, event(), assessment(*context)), SHARD, 0, 0)
        candidates = choose(Situation(policy, facts, UNKNOWN), list(policy.actions)).candidates
        values += [sum(each.propensity * reward for each, reward in zip(candidates, (*rewards, 0.0), strict=True))]
    return float(np.mean(values))


def tried(log: Log, contexts: list[Context | None], other: Policy) -> Evaluation:
    """What another policy would have been worth."""
    observations = Observations()
    for record, block, context in zip(log.records(), log.blocks, contexts, strict=True):
        its = record.events[0].event
        would = block_of(other, record.sequence, its, log.assessments[record.sequence])
        observations.see(record, (block, would), (log.policy, other), [0] if context else [])
    return evaluate(observations.logged(Reward.ACCEPTED))


def test_learned_priors_are_worth_more_if_the_best_action_depends_on_the_context() -> None:
    log, _ = simulated(1, 2_000)
    learned = learned_priors(log.policy, counted(log.policy, log.records()), 5)
    other = policy_of(parse(rewritten(json.dumps(LOGGING), "learned", learned).text))
    # Tried on users it has not learned from.
    value = tried(*simulated(2, 2_000), other)
    assert value.lift.lower > 0
    assert value.doubly_robust.lower > value.logged.upper
    assert value.unsupported == 0
    truth, before = true_value(other), true_value(log.policy)
    assert truth > before + 0.1
    assert value.doubly_robust.lower < truth < value.doubly_robust.upper
    assert value.logged.lower < before < value.logged.upper
