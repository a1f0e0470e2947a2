"""What models may cost in a day: kept by all replicas, used up to the limit, and new the next day."""

import asyncio
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import Unavailable
from mesh.store import redis
from services.intervention.language.adapters.budget_memory import MemorySpending
from services.intervention.language.adapters.budget_redis import RedisSpending
from services.intervention.language.domain import budget
from services.intervention.language.domain.budget import MODELS, PRICES, Amount, Price
from services.intervention.language.domain.conversation import Answer, Complexity, NotAnswered, Question, Stop, Turn
from services.intervention.language.ports import Call, Spending
from services.intervention.language.usecases.models import Models, Origin
from services.intervention.translation.reports import usage_message
from tests import bedrock
from tests.bedrock import HELD, THROTTLED, words
from tests.intervention.builders import HOUR, ManualClock
from tests.intervention.model_world import GOOD, NO_LIMITS, RecordingModelWitness, help_, known_facts, model_world

DAY = 24 * HOUR
LONG = Question("test-1", "x" * 900, (Turn(is_model=False, text="y" * 36),), 100)


@pytest.fixture(params=["memory", "redis"])
def counted(request: pytest.FixtureRequest, valkey: redis.Client) -> Spending:
    """Each adapter of the port."""
    return MemorySpending() if request.param == "memory" else RedisSpending(valkey, "acme")


async def test_what_fits_is_counted_and_what_does_not_is_not(counted: Spending) -> None:
    limits = Amount(100, 1000)
    assert await counted.spent(7) == [Amount(0, 0)]
    assert await counted.reserve(7, Amount(60, 400), limits)
    assert not await counted.reserve(7, Amount(41, 1), limits)
    assert not await counted.reserve(7, Amount(1, 601), limits)
    assert await counted.spent(7) == [Amount(60, 400)]
    assert await counted.reserve(7, Amount(40, 600), limits)
    assert not await counted.reserve(7, Amount(1, 0), limits)
    await counted.settle(7, Amount(-30, -500))
    assert await counted.reserve(7, Amount(30, 500), limits)
    assert await counted.spent(7) == [Amount(100, 1000)]


async def test_days_do_not_touch_each_other_and_a_limit_of_0_is_none(counted: Spending) -> None:
    assert await counted.reserve(7, Amount(10**12, 10**15), NO_LIMITS)
    assert await counted.reserve(8, Amount(100, 1), Amount(100, 0))
    assert not await counted.reserve(8, Amount(1, 1), Amount(100, 0))
    assert await counted.reserve(8, Amount(0, 10**9), Amount(0, 10**9 + 1))
    assert await counted.spent(7) == [Amount(10**12, 10**15)]


async def test_many_at_once_never_pass_the_limit(counted: Spending) -> None:
    got = await asyncio.gather(*(counted.reserve(7, Amount(30, 7), Amount(1000, 0)) for _ in range(100)))
    assert sum(got) == 33
    assert await counted.spent(7) == [Amount(990, 231)]


async def test_tenants_do_not_touch_each_other(server: redis.Client) -> None:
    one, other = RedisSpending(server, "one"), RedisSpending(server, "other")
    await one.settle(7, Amount(5, 6))
    assert await other.spent(7) == [Amount(0, 0)]
    assert await RedisSpending(server, "one").spent(7) == [Amount(5, 6)]
    (key,) = await server.keys("*")
    assert 93 * 86_400 < await server.ttl(key) <= 94 * 86_400


async def test_each_tenant_has_a_budget_of_its_own() -> None:
    kept: dict[str, Spending] = {"": MemorySpending(), "acme": MemorySpending()}
    clock = ManualClock()
    most = budget.reservation(PRICES[MODELS[Complexity.QUICK]], LONG)
    models = Models(ScriptedModel(), kept.__getitem__, RecordingModelWitness(), clock, time.monotonic, limits=most)
    await models.ask(MODELS[Complexity.QUICK], LONG, 1.0, Origin(tenant="acme"))
    with pytest.raises(NotAnswered):
        await models.ask(MODELS[Complexity.QUICK], LONG, 1.0, Origin(tenant="acme"))
    assert (await kept[""].spent(budget.day_of(clock()))) == [Amount(0, 0)]
    await models.ask(MODELS[Complexity.QUICK], LONG, 1.0, Origin())


class ScriptedModel:
    """Answers with the tokens it is given, without a network."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.tokens = (300, 20)

    async def converse(self, model_id: str, question: Question, timeout_seconds: float) -> Answer:
        self.calls.append(model_id)
        return Answer("{}", (), Stop.END, *self.tokens)


def models_over(counted: Spending, model: ScriptedModel, clock: ManualClock, limits: Amount) -> Models:
    return Models(model, lambda _: counted, RecordingModelWitness(), clock, time.monotonic, limits=limits)


async def refusal_of(models: Models, question: Question = LONG) -> str:
    """Why a quick question is not answered; empty where it is."""
    try:
        await models.ask(MODELS[Complexity.QUICK], question, 1.0, Origin())
    except NotAnswered as error:
        return error.refusal.value
    return ""


async def test_at_the_limit_the_very_next_request_degrades_and_the_next_day_recovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the wire: 680 tokens an answer, and room for some of them besides what one more may cost at most."""
    bedrock.have_credentials(monkeypatch)
    async with model_world(words(GOOD), limits=Amount(3_200, 0)) as world:
        used = []
        for number in range(1, 6):
            # Each with another page, so that none is answered from the cache.
            page = f"/page{chr(96 + number) * 3}"
            used.append(await world.generated(help_(number, page=page), known_facts(page=page)))
        first_refused = next(index for index, each in enumerate(used) if not each.is_used)
        assert first_refused == len(world.server.requests) > 1
        assert [each.refusal for each in used[first_refused:]] == ["budget"] * (5 - first_refused)
        assert all(each.cost_micro_usd == 0 for each in used[first_refused:])
        usage = await world.models.usage()
        assert (usage.degraded, usage.spent.tokens) == ("budget", 680 * first_refused)
        assert usage.spent.tokens <= usage.limits.tokens

        world.clock.now_us += DAY
        assert (await world.models.usage()).degraded == ""
        tomorrow = msgspec.structs.replace(help_(6), expires_us=world.clock.now_us + HOUR)
        assert (await world.generated(tomorrow, known_facts(page="/tomorrow"))).is_used


@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "ahead", "back"]), st.integers(0, 900), st.integers(0, 100)), max_size=40
    ),
    st.integers(1_000, 20_000),
)
def test_no_day_ever_costs_more_than_its_limit(steps: list[tuple[str, int, int]], most_tokens: int) -> None:
    """Whatever is asked and however the clock jumps; a day that is asked in again goes on where it was left."""

    async def play() -> None:
        counted, model, clock = MemorySpending(), ScriptedModel(), ManualClock()
        limits = Amount(most_tokens, 0)
        models = models_over(counted, model, clock, limits)
        expected: dict[int, int] = {}
        for step, input_tokens, output_tokens in steps:
            if step == "ask":
                model.tokens = (input_tokens, output_tokens)
                day = budget.day_of(clock.now_us)
                fits = (
                    expected.get(day, 0) + budget.reservation(PRICES[MODELS[Complexity.QUICK]], LONG).tokens
                    <= most_tokens
                )
                assert await refusal_of(models) == ("" if fits else "budget")
                if fits:
                    expected[day] = expected.get(day, 0) + input_tokens + output_tokens
                assert (await counted.spent(day))[0].tokens == expected.get(day, 0) <= most_tokens
            else:
                clock.now_us += (1 if step == "ahead" else -1) * DAY * (1 + input_tokens % 3)

    asyncio.run(play())


async def test_a_clock_that_jumps_ahead_and_back_neither_locks_nor_frees_the_budget() -> None:
    counted, model, clock = MemorySpending(), ScriptedModel(), ManualClock()
    models = models_over(counted, model, clock, Amount(1_500, 0))
    assert [await refusal_of(models) for _ in range(3)] == ["", "", "budget"]
    clock.now_us += 4000 * DAY
    assert await refusal_of(models) == ""
    clock.now_us -= 4000 * DAY
    assert await refusal_of(models) == "budget"
    clock.now_us += DAY
    assert await refusal_of(models) == ""


async def test_replicas_share_one_budget(valkey: redis.Client) -> None:
    clock, limits = ManualClock(), Amount(3_000, 0)
    replicas = [models_over(RedisSpending(valkey, "acme"), ScriptedModel(), clock, limits) for _ in range(3)]
    outcomes = [await refusal_of(replicas[number % 3]) for number in range(12)]
    asked = outcomes.count("")
    assert outcomes == [""] * asked + ["budget"] * (12 - asked)
    assert asked == 1 + (3_000 - budget.reservation(PRICES[MODELS[Complexity.QUICK]], LONG).tokens) // 320


async def test_a_store_that_is_away_spends_nothing() -> None:
    class Link(MemorySpending):
        async def reserve(self, day: int, wanted: Amount, limits: Amount) -> bool:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "away")

    model = ScriptedModel()
    assert await refusal_of(models_over(Link(), model, ManualClock(), NO_LIMITS)) == "unaccounted"
    assert not model.calls


async def test_what_bedrock_refused_costs_nothing_and_what_it_may_bill_stays_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bedrock.have_credentials(monkeypatch)
    async with model_world(THROTTLED, deadline_seconds=0.3) as world:
        assert (await world.generated(help_(1))).refusal == "throttled"
        assert (await world.models.usage()).spent == Amount(0, 0)
        world.server.otherwise = HELD
        assert (await world.generated(help_(2))).refusal == "timeout"
        assert (await world.models.usage()).spent.tokens > 500


@given(
    st.text(max_size=300),
    st.lists(st.text(max_size=200), max_size=4),
    st.integers(1, 700),
    st.sampled_from([*PRICES.values()]),
)
def test_a_reservation_is_at_least_a_token_a_byte(
    system: str, texts: list[str], most_tokens: int, price: Price
) -> None:
    turns = [Turn(is_model=False, text=text) for text in texts]
    reserved = budget.reservation(price, Question("test-1", system, turns, most_tokens))
    size = len("".join([system, *texts]).encode())
    assert reserved.tokens >= size + most_tokens
    assert reserved.nano_usd >= size * price.input + most_tokens * price.output


def test_prices_are_those_of_the_table() -> None:
    """Copy of 600 tokens in and 80 out costs 32.2 millionths of a dollar with Nova Micro."""
    assert budget.cost(PRICES[MODELS[Complexity.QUICK]], 600, 80) == Amount(680, 32_200)
    assert budget.cost(PRICES[MODELS[Complexity.STRATEGY]], 1_000_000, 0).nano_usd == 60_000_000
    assert budget.cost(PRICES[MODELS[Complexity.DEEP]], 0, 1_000_000).nano_usd == 3_200_000_000
    assert set(PRICES) == set(MODELS.values())
    assert set(MODELS) == set(Complexity)
    assert budget.cost(None, 600, 80) == Amount(680, 0)


@pytest.mark.parametrize(
    ("left", "routes"),
    [
        (1.0, (1, 2, 3)),
        (0.4, (1, 2, 3)),
        (0.39, (1, 2, 2)),
        (0.15, (1, 2, 2)),
        (0.14, (1, 1, 1)),
        (0.0, (1, 1, 1)),
    ],
)
def test_deep_questions_degrade_first(left: float, routes: tuple[int, ...]) -> None:
    assert tuple(budget.affordable(each, left) for each in Complexity) == routes


@given(st.sampled_from(Complexity), st.floats(0, 1), st.floats(0, 1))
def test_less_money_never_buys_more(wanted: Complexity, some: float, other: float) -> None:
    low, high = sorted((some, other))
    assert budget.affordable(wanted, low) <= budget.affordable(wanted, high) <= wanted


def test_the_share_left_is_the_smaller_one() -> None:
    assert budget.share_left(Amount(50, 900), Amount(100, 1000)) == pytest.approx(0.1)
    assert budget.share_left(Amount(50, 900), Amount(100, 0)) == 0.5
    assert budget.share_left(Amount(500, 900), Amount(100, 0)) == 0
    assert budget.share_left(Amount(500, 900), NO_LIMITS) == 1


async def test_a_call_is_witnessed_with_its_cost() -> None:
    counted, model, clock, observer = MemorySpending(), ScriptedModel(), ManualClock(), RecordingModelWitness()
    models = Models(model, lambda _: counted, observer, clock, time.monotonic, limits=NO_LIMITS, geography="eu")
    answer, usage = await models.ask(models.model_id(Complexity.DEEP), LONG, 1.0, Origin(b"t" * 16, "d-1"))
    assert observer.calls == [
        Call(
            model_id="eu.amazon.nova-pro-v1:0",
            prompt_version="test-1",
            most_tokens=100,
            started_us=clock.now_us,
            ended_us=clock.now_us,
            answer=answer,
            refusal=None,
            cost_micro_usd=304.0,
            trace_id=b"t" * 16,
            decision_id="d-1",
        )
    ]
    assert usage.cost_micro_usd == 304.0
    (used,) = (await models.usage()).models
    assert used == ("eu.amazon.nova-pro-v1:0", {"ok": 1}, 300, 20, 304.0, True)


async def test_a_tenant_is_told_what_its_own_budget_paid_and_nothing_of_others() -> None:
    spendings = {"": MemorySpending(), "acme": MemorySpending()}
    models = Models(
        ScriptedModel(),
        spendings.__getitem__,
        RecordingModelWitness(),
        ManualClock(),
        time.monotonic,
        limits=Amount(1_000_000, 0),
    )
    await models.ask(MODELS[Complexity.QUICK], LONG, 1.0, Origin(tenant="acme"))
    told = {tenant: usage_message(await models.usage(tenant), 3, tenant) for tenant in spendings}
    assert (told["acme"].token_count > 0, told[""].token_count) == (True, 0)
    assert (len(told["acme"].models), told["acme"].waiting_count) == (0, 0)
    assert (len(told[""].models), told[""].waiting_count) == (1, 3)


async def test_without_a_model_nothing_is_asked_and_that_is_reported() -> None:
    models = Models(
        None, lambda _: MemorySpending(), RecordingModelWitness(), ManualClock(), time.monotonic, limits=NO_LIMITS
    )
    assert await refusal_of(models) == "off"
    usage = await models.usage()
    assert (usage.is_on, usage.degraded, usage.models) == (False, "off", ())
