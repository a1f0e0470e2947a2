"""Every stored format: a story that writes it, and a reader that tells what is in it."""

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from journeymesh.common.v1 import event_pb2
from journeymesh.customers.v1 import customers_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2
from journeymesh.video.v1 import video_pb2

from comparison.assignment import Arm
from mesh.leases.redis import RedisLeases
from mesh.observability.metrics import Metrics
from mesh.state import keyed
from mesh.state.redis import RedisShards, RedisState
from mesh.store import redis
from mesh.stream.redis import RedisStream
from offline.archive import events as archived_events
from records import table
from records.tenants import qualified
from services.access.audit import translation as audit_log
from services.access.audit.adapters.redis import RedisChain
from services.access.audit.domain.entry import EMPTY, Act
from services.access.audit.usecases import Audit, Filters, NewAct, verify
from services.access.keys import translation as keys
from services.access.keys.adapters.redis import RedisKeys
from services.access.keys.domain.key import Ending
from services.access.keys.domain.rate import Rate
from services.access.keys.domain.tenant import Masking, Tenant
from services.access.keys.ports import NO_REVISION
from services.access.keys.usecases import UsedKey
from services.access.limits.adapters.redis import RedisLimits
from services.access.limits.domain.spending import Spent
from services.access.people import translation as people
from services.access.people.adapters.redis import RedisSessions
from services.access.people.domain.session import Session
from services.analytics.adapters.budgets import RedisBudgets
from services.analytics.adapters.jobs import RedisJobs
from services.analytics.adapters.releases import RedisReleases
from services.analytics.adapters.segments import RedisSegments
from services.analytics.adapters.watched import RedisWatches
from services.analytics.domain import releases
from services.analytics.domain import watched as watch
from services.analytics.domain.answer import InsightPart, InsightSlice, Money
from services.analytics.domain.changes import Change
from services.analytics.domain.costs import OwnBudget
from services.analytics.domain.job import By, Gate, Interval, Job, Model, State
from services.analytics.domain.question import Comparison, Condition, Field, Level, UserFilter
from services.analytics.domain.releases import Releases, Start
from services.analytics.domain.segment import Segment
from services.analytics.domain.watched import Watched, WatchedInsight
from services.analytics.translation import alarm_message, job_message, segment_message, watched_message
from services.customers.adapters.fits import RedisFits
from services.customers.adapters.memory import MemoryFits
from services.customers.domain.basket import Market
from services.customers.domain.consumption import Consumption
from services.customers.domain.fit import BackTest, Fit, NextBasket
from services.customers.domain.groups import Groups
from services.customers.domain.history import ORDERS_KEPT
from services.customers.domain.performance import Performance, Window
from services.customers.domain.publishing import Published
from services.customers.domain.recommendations import Product
from services.customers.domain.repeats import Repeats
from services.customers.domain.segments import Cuts
from services.customers.domain.spending import Spending
from services.customers.ports import Exported
from services.customers.servicer import CustomersServicer
from services.customers.usecases import Purchases
from services.experiments.adapters.redis import RedisExperiments
from services.experiments.domain.definition import Definition, Metric, Score
from services.experiments.domain.evidence import Exposure, Report, counted, exposed, reported
from services.experiments.domain.experiment import changed, created, paused, shared
from services.experiments.translation import experiment_message
from services.features.servicer import FeaturesServicer
from services.features.usecases import Features
from services.ingest.accept.adapters.redis import RedisDuplicates, RedisIdentities, RedisSkews
from services.ingest.accept.domain.skew import Skew, observe
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.adapters.plans import RedisPlans
from services.ingest.archive.domain.layout import DECISIONS, EVENTS, DecisionRow, Plan, Versions, hour_of
from services.ingest.archive.ports import EventRows
from services.ingest.erasure.adapters.redis import RedisErasures
from services.ingest.erasure.domain.erasure import Archived, Erasure, Rewritten, Step
from services.ingest.events.adapters.event_log import StreamEventLog
from services.ingest.events.adapters.redis_applied import RedisApplied
from services.ingest.events.adapters.redis_failed import RedisFailedEvents, RedisFailedRecords
from services.ingest.events.adapters.redis_seen import RedisSeenEvents
from services.ingest.events.adapters.redis_suppressed import RedisSuppressions
from services.ingest.events.domain.event import Event, EventPosition, FailedEvent, Seen
from services.ingest.events.domain.suppression import pseudonym
from services.ingest.events.ports import Claim
from services.ingest.events.translation.records import decoded
from services.ingest.export.adapters.redis import RedisExports
from services.ingest.export.domain import export as exporting
from services.ingest.export.domain.export import Export
from services.intervention.bootstrap import Stores, _core
from services.intervention.decision.adapters.listeners import LocalListeners
from services.intervention.decision.adapters.redis import RedisLedger
from services.intervention.decision.adapters.silence import SilentObserver
from services.intervention.decision.domain.facts import Contact, Outcome, OutcomeReport, Purchase
from services.intervention.decision.domain.segment import Recommended
from services.intervention.decision.domain.segment import Segment as UserSegment
from services.intervention.decision.state import CONTACTS, UNDELIVERED
from services.intervention.delivery.adapters.outbox_redis import RedisOutbox
from services.intervention.delivery.domain import delivery
from services.intervention.language.adapters.budget_redis import RedisSpending
from services.intervention.language.adapters.prompts import NoPrompts, RedisPrompts
from services.intervention.language.adapters.silence import NoInsights, NoTrials, SilentModelObserver
from services.intervention.language.domain.budget import Amount
from services.intervention.language.domain.generated_copy import GeneratedCopy
from services.intervention.language.domain.prompt import COPYWRITING, Prompt
from services.intervention.language.ports import KeptPrompt
from services.intervention.language.state import GENERATED_COPY
from services.intervention.language.usecases.models import Models
from services.intervention.language.usecases.prompts import Prompts
from services.intervention.lift.adapters.reports import RedisReports
from services.intervention.lift.domain.report import Report as TrialReport
from services.intervention.live.adapters.memory import MemoryFeed
from services.intervention.live.usecases import Live
from services.intervention.policy.adapters.store import OF_MESH, OF_TENANTS, RedisPolicies
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.interpretation import canonical
from services.intervention.policy.domain.policy import EventKind
from services.intervention.policy.domain.timeline import DatedPolicy, Timeline
from services.intervention.policy.ports import Documents
from services.intervention.policy.usecases import Policies
from services.intervention.servicer import InterventionServicer
from services.intervention.settings import ModelSettings
from services.scoring.servicer import ScoringServicer
from services.scoring.usecases import Scoring
from services.video.servicer import VideoServicer
from services.video.usecases import Playback
from tests.access.builders import key
from tests.builders import MINUTE_US, NOW_US, SECOND_US, event
from tests.customers.builders import back, line, paid
from tests.customers.test_service import declaring
from tests.customers.test_service import request as purchases_request
from tests.features.test_service import at
from tests.features.test_service import batch as features_batch
from tests.intervention.builders import MINUTE, NOON_ISH, Row
from tests.intervention.test_servicer import request as decide_request
from tests.scoring.builders import Fixed, OneTerm
from tests.scoring.test_servicer import request as assess_request
from tests.video.builders import keen_learner, played
from tests.video.test_servicer import request as playback_request

LIFETIME: Final = 3600
NO_CONTEXT: Final = cast("Any", None)
POLICY: Final = (Path(__file__).parent / "policy.yaml").read_text()


class At(NamedTuple):
    """An empty place to write to, or one that a golden file has filled."""

    client: redis.Client
    folder: Path


class Format(NamedTuple):
    """`write` lives through a story; `read` tells what a store, filled by whatever version, says of it."""

    write: Callable[[At], Awaitable[object]]
    read: Callable[[At], Awaitable[dict[str, Any]]]


def told(*messages: Message) -> list[dict[str, Any]]:
    """Messages as JSON has them."""
    return [MessageToDict(message, preserving_proto_field_name=True) for message in messages]


# Features.


def _features(at_: At) -> FeaturesServicer:
    return FeaturesServicer(Features(RedisState(at_.client, "features", LIFETIME)), Metrics())


async def write_features(to: At) -> None:
    service = _features(to)
    events = [
        at(0, "page_view", page="/calculator", address="/calculator?a=1", time_zone="Europe/Berlin"),
        at(5, "feature_interaction", page="/calculator", target="loan_amount"),
        at(10, "form_start", page="/calculator", target="form"),
        *(at(12 + number, "click", page="/calculator", click=event_pb2.Click(x=10, y=20)) for number in range(4)),
        at(20, "error", page="/calculator", target="form", error_code="E1"),
        at(22, "retry", page="/calculator", target="form"),
        at(24, "struggle_signal", page="/calculator", attempt_count=3),
        at(30, "help_request", page="/help"),
        at(40, "task_success", page="/calculator", target="loan"),
        at(50, "purchase", purchase=event_pb2.Purchase(amount=12.5, currency="EUR")),
        at(60, "identify", page="/"),
    ]
    for sequence, each in enumerate(events, start=1):
        await service.ApplyEvents(features_batch([each], sequence), NO_CONTEXT)


async def read_features(of: At) -> dict[str, Any]:
    service = _features(of)
    features = await service.GetFeatures(features_pb2.GetFeaturesRequest(user_id="ada"), NO_CONTEXT)
    profile = await service.GetProfile(features_pb2.GetProfileRequest(user_id="ada"), NO_CONTEXT)
    recent = await service.ListRecentEvents(features_pb2.ListRecentEventsRequest(user_id="ada"), NO_CONTEXT)
    return {"told": told(features, profile, recent)}


# Scoring.


def _scoring(at_: At) -> ScoringServicer:
    return ScoringServicer(Scoring(Fixed(OneTerm()), RedisState(at_.client, "scoring", LIFETIME)), Metrics())


async def write_scoring(to: At) -> None:
    service = _scoring(to)
    for sequence in (1, 2):
        await service.AssessUsers(assess_request(sequence), NO_CONTEXT)


async def read_scoring(of: At) -> dict[str, Any]:
    service = _scoring(of)
    risks = [await service.GetRisk(scoring_pb2.GetRiskRequest(user_id=user), NO_CONTEXT) for user in ("ada", "bob")]
    return {"told": told(*risks)}


# Video.


def _video(at_: At) -> VideoServicer:
    return VideoServicer(
        Playback(RedisState(at_.client, "video", LIFETIME), RedisShards(at_.client, "video")), Metrics()
    )


async def write_video(to: At) -> None:
    service = _video(to)
    for sequence, beats in enumerate((keen_learner(), played(0, 60, user="bob", viewing="w2")), start=1):
        await service.ApplyPlayback(playback_request(sequence, beats), NO_CONTEXT)


async def read_video(of: At) -> dict[str, Any]:
    service = _video(of)
    viewer = await service.GetViewer(video_pb2.GetViewerRequest(user_id="ada"), NO_CONTEXT)
    video = await service.GetVideo(video_pb2.GetVideoRequest(video_id="v"), NO_CONTEXT)
    return {"told": told(viewer, video)}


# Customers: what each bought.


def _customers(at_: At) -> CustomersServicer:
    return CustomersServicer(Purchases(RedisState(at_.client, "customers", LIFETIME), MemoryFits()), lambda: NOW_US)


async def write_customers(to: At) -> None:
    service = _customers(to)
    order = paid("e-1", 5, "o-1", 20.5, "EUR", line("p", 2, 5.0), line("q", 1, 10.5))
    many = [paid(f"b-{number}", number, amount=0.1) for number in range(ORDERS_KEPT + 1)]
    await service.ApplyPurchases(purchases_request(1, [order, paid("e-2", 6, amount=1.0, currency="")]), NO_CONTEXT)
    await service.ApplyPurchases(purchases_request(2, [back("e-3", 9, "o-1", 0.0, "EUR", line("p", 1))]), NO_CONTEXT)
    await service.ApplyPurchases(purchases_request(1, many, "bob"), NO_CONTEXT)
    await service.ApplyPurchases(declaring(3, ("i-1", 7, b'{"plan":"gold","age":41}')), NO_CONTEXT)


async def read_customers(of: At) -> dict[str, Any]:
    service = _customers(of)
    customers = [
        await service.GetCustomer(customers_pb2.GetCustomerRequest(user_id=each), NO_CONTEXT) for each in ("ada", "bob")
    ]
    orders = await service.ListPurchases(customers_pb2.ListPurchasesRequest(user_id="ada"), NO_CONTEXT)
    return {"told": told(*customers, orders)}


# Customers: what was learnt of all of a tenant.

_LEARNT: Final = Fit(
    fitted_ms=NOW_US // 1000,
    today=NOW_US // 86_400_000_000,
    customers=3,
    buys=Repeats(0.25, 4.5, 0.75, 2.5, -9582.5),
    intervals=((0.125, 0.5), (4.0, 5.0), (0.5, 1.0), (2.0, 3.0)),
    spends={"EUR": Spending(6.25, 3.75, 15.5, -4055.5)},
    back_test=BackTest(12.5, 14, 0.75, 1.0),
    cuts=Cuts((-90, -30, -14, -7), (2, 3, 5, 9)),
    consumption=Consumption(2, 1.5, 0.01, {"Coffee": 0.05}, {"p": 0.0625}),
    products={"p": Product("Espresso", "Coffee", True), "q": Product("Cup", "", False)},
    together={"p": {"q": 0.5}},
    popular={"": {"p": 1.0}, "New": {"p": 0.75, "q": 0.25}},
    members={"New": 2, "Loyal": 1},
    moved={"none yet": {"New": 2, "Loyal": 1}},
    groups=Groups(
        (2.5, 0.5, 3.0), (1.0, 0.5, 2.0), ((-1.0, 1.5, 0.5), (0.5, -0.25, 0.0)), ("a", "b"), (2, 1), 0.5, 0.75
    ),
    currency="EUR",
    moved_groups={"none yet": {"a": 2, "b": 1}},
    windows=(Window(30, {"New": Performance(2, {"": 0.5, "EUR": 12.5}, 3, 1)}),),
    market=Market(0.125, 1.5, {"q": 0.75}, {"p": {"q": 0.25}}, 0.375),
    next_basket=NextBasket(NOW_US // 86_400_000_000 - 30, 3, 0.5, 0.25, -0.125, 0.5),
)


async def write_customers_fit(to: At) -> None:
    fits = RedisFits(to.client)
    one, two, three = (qualified("acme", each) for each in "abc")
    await fits.replace("acme", _LEARNT, dict.fromkeys((one, two, three), "New"), {one: "a", two: "b"}, 0)
    await fits.publish("acme", "New", {one: Published("New", "a", ("p", "q"), NOW_US // 1000, NOW_US // 1000 - 1)})
    await fits.erase([two])


async def read_customers_fit(of: At) -> dict[str, Any]:
    fits = RedisFits(of.client)
    standing = await fits.standing("acme")
    published = zip(standing.members, await fits.published("acme", [*standing.members]), strict=True)
    return {
        "fit": msgspec.to_builtins(await fits.fit("acme")),
        "standing": standing._asdict(),
        "published": msgspec.to_builtins(dict(published)),
    }


async def write_customers_export(to: At) -> None:
    pieces = [b"customer,segment\n", '"Größe 😀","New"\n'.encode()]
    assert await RedisFits(to.client).keep_export("acme", Exported("0123456789abcdef", 1, pieces), 0)


async def read_customers_export(of: At) -> dict[str, Any]:
    fits, job_id = RedisFits(of.client), "0123456789abcdef"
    return {
        "customers": await fits.exported("acme", job_id),
        "pieces": [piece.decode() async for piece in fits.export("acme", job_id)],
    }


# Intervention: users, tallies, records, the ledger, policies, the outbox.

_HELPED: Final = (
    Row(10.0, NOON_ISH, contact=Contact("ada@example.org", "")),
    Row(85.0, NOON_ISH + MINUTE, indicators=("form_errors",), features=(1.0, 2.0)),
    Row(90.0, NOON_ISH + 2 * MINUTE, user_id="bob", indicators=("help_seeking",), strong=5),
    Row(
        10.0,
        NOON_ISH + 3 * MINUTE,
        kind=EventKind.INTERVENTION_OUTCOME,
        outcome=OutcomeReport("i-3-2-0", Outcome.ACCEPTED, "in_app"),
    ),
    Row(10.0, NOON_ISH + 4 * MINUTE, kind=EventKind.PURCHASE, bought=Purchase(12.5, "EUR", is_refund=False)),
    Row(95.0, NOON_ISH + 30 * MINUTE, indicators=("rage_clicks",), told=0.625),
    Row(20.0, NOON_ISH + 31 * MINUTE, user_id="bot", is_bot=True),
    Row(
        20.0,
        NOON_ISH + 31 * MINUTE,
        user_id="eve",
        kind=EventKind.SEGMENT_CHANGE,
        is_system=True,
        segment=UserSegment("Champions", "Group 1", products=(Recommended("p-1", "Beans", "due_again"),)),
    ),
    Row(
        10.0,
        NOON_ISH + 31 * MINUTE,
        user_id="eve",
        kind=EventKind.PURCHASE,
        bought=Purchase(2.5, "EUR"),
        products=("p-7",),
    ),
    Row(85.0, NOON_ISH + 32 * MINUTE, user_id="eve", indicators=("form_errors",)),
)


async def _intervention(at_: At) -> InterventionServicer:
    clock = lambda: NOON_ISH + 32 * MINUTE  # noqa: E731 - a clock that stands
    of_mesh, of_tenants = RedisPolicies(at_.client, OF_MESH), RedisPolicies(at_.client, OF_TENANTS)
    policies = Policies(of_mesh, of_tenants, parse, clock, Timeline([]))
    await policies.refresh()
    await policies.take(Documents(POLICY))
    stores = Stores(
        RedisState(at_.client, "intervention", LIFETIME),
        RedisShards(at_.client, "intervention"),
        RedisLedger(at_.client, 10 * 365 * 24 * 3600),
        RedisOutbox(at_.client, LIFETIME),
        RedisReports(at_.client),
    )
    spending = RedisSpending(at_.client, "default")
    models = Models(None, lambda _: spending, SilentModelObserver(), clock, clock, limits=Amount(0, 0))
    listeners = LocalListeners(4)
    nothing, unknown = (lambda: None), (lambda _: NoInsights())
    live = Live(MemoryFeed(), 1)
    core = _core(
        stores,
        policies,
        SilentObserver(),
        listeners,
        models,
        unknown,
        nothing,
        clock,
        1.0,
        ModelSettings(),
        live,
        NoTrials(),
        Prompts(NoPrompts(), RedisPrompts(at_.client), clock, "", ""),
    )
    return InterventionServicer(*core, Metrics())


async def write_intervention(to: At) -> None:
    service = await _intervention(to)
    for sequence, row in enumerate(_HELPED, start=1):
        await service.DecideInterventions(decide_request(sequence, row), NO_CONTEXT)
    state = RedisState(to.client, "intervention", LIFETIME)
    arms = (("tone", "warm"),)
    words = GeneratedCopy(
        "Come.", "model", "wording-1", "0" * 64, True, "", 10, 5, 1.5, NOON_ISH, False, arms, 0.5, False
    )
    items = {
        GENERATED_COPY.key("i-3-2-0"): GENERATED_COPY.encode(words),
        UNDELIVERED.key("ada"): UNDELIVERED.encode((("i-3-6-0", "email"),)),
        CONTACTS.key("eve"): CONTACTS.encode(Contact("eve@example.org", "arn")),
    }
    await state.save(items, None)
    message = delivery.OutboxMessage(
        intervention_id="i-3-6-0",
        decision_id="d-3-6-0",
        channel="email",
        user_id="ada",
        action="send_help_email",
        type="proactive_help",
        priority="medium",
        queue="standard",
        risk_level="medium",
        text="Can we help?",
        content=("support",),
        page="/calculator",
        due_us=NOON_ISH,
        expires_us=NOON_ISH + 60 * MINUTE,
        trace_id=bytes(16),
    )
    await RedisOutbox(to.client, 10 * LIFETIME).add([message], NOON_ISH)
    of_tenant = DatedPolicy(NOON_ISH, "acme/mine+00000000", POLICY, canonical(parse(POLICY)), "acme")
    await RedisPolicies(to.client, OF_TENANTS).append(of_tenant, 0)
    await RedisSpending(to.client, "default").reserve(20_000, Amount(10, 20), Amount(100, 100))


def _as_in_0_1_0(entry: delivery.OutboxEntry) -> str:
    """An entry by the names its types had in 0.1.0, as the golden files show it."""
    return str(entry).replace("OutboxEntry(message=OutboxMessage(", "Slip(parcel=Parcel(")


async def read_intervention(of: At) -> dict[str, Any]:
    service = await _intervention(of)
    decisions = await service.ListDecisions(
        intervention_pb2.ListDecisionsRequest(user_id="ada", page_size=100), NO_CONTEXT
    )
    ledger = await service.ReadLedger(
        intervention_pb2.ReadLedgerRequest(shard="3", sequences=map(str, range(1, len(_HELPED) + 1))), NO_CONTEXT
    )
    pending = [
        await service.GetPendingIntervention(intervention_pb2.GetPendingInterventionRequest(user_id=user), NO_CONTEXT)
        for user in ("ada", "bob")
    ]
    segmented = await service.GetPendingIntervention(
        intervention_pb2.GetPendingInterventionRequest(user_id="eve"), NO_CONTEXT
    )
    made = await service.GetIntervention(intervention_pb2.GetInterventionRequest(id="i-3-2-0"), NO_CONTEXT)
    policies = await service.ListPolicies(intervention_pb2.ListPoliciesRequest(), NO_CONTEXT)
    lift = await service.GetLift(intervention_pb2.GetLiftRequest(experiment="1"), NO_CONTEXT)
    state = RedisState(of.client, "intervention", LIFETIME)
    undelivered = await keyed.read(state, UNDELIVERED, "ada")
    contact = await keyed.read(state, CONTACTS, "eve")
    claims = {
        channel: [
            _as_in_0_1_0(each.entry) for each in await RedisOutbox(of.client, LIFETIME).claim(channel, 2**53, 10, 1)
        ]
        for channel in delivery.CHANNELS
    }
    return {
        "told": told(decisions, ledger, *pending, made, lift),
        "segmented": told(segmented),
        "policies": sorted(each.version for each in policies.policies if not each.tenant)[:1],
        "policiesOfTenants": sorted(each.version for each in policies.policies if each.tenant),
        "undelivered": str(undelivered),
        "contact": str(contact),
        "outbox": claims,
        "spent": list((await RedisSpending(of.client, "default").spent(20_000))[0]),
    }


# Ingest: ids, failed events, journeys, times of application.

_SEEN: Final = [
    Claim("e-1", Seen(EventPosition("3", 7, 0), NOW_US, bytes(range(16)))),
    Claim("e-2", Seen(EventPosition("shardId-000000000001", 10**50, 9), NOW_US, b"")),
]


async def write_ids(to: At) -> None:
    await RedisSeenEvents(to.client).claim(_SEEN)
    await RedisDuplicates(to.client).add(["e-1", "e-1"], NOW_US)


def _in_old_words(value: object) -> str:
    """What was read, in the words of 0.1.0, which called a position a place."""
    return str(value).replace("position=EventPosition(", "place=Place(").replace("position=None", "place=None")


async def read_ids(of: At) -> dict[str, Any]:
    found = await RedisSeenEvents(of.client).find([each.event_id for each in _SEEN], NOW_US)
    return {
        "seen": list(map(_in_old_words, found)),
        "duplicates": await RedisDuplicates(of.client).count("e-1", NOW_US),
    }


_FAILED: Final = [
    FailedEvent("f-1", "UNKNOWN_EVENT_TYPE", "No.", NOW_US, "e-1", "ada", b"{}", bytes(16), "gateway"),
    FailedEvent(
        "f-2", "POISON", "No.", NOW_US + 1, "e-2", "ada", b"{}", b"t", "dispatcher", EventPosition("3", 7, 1),
        event("e-2").SerializeToString(),
    ),
    FailedEvent("f-3", "MISSING_FIELD", "No.", NOW_US, "", qualified("acme", ""), b"{}", b"t", "gateway"),
]  # fmt: skip


async def write_failed(to: At) -> None:
    await RedisFailedEvents(to.client).add(_FAILED)
    await RedisFailedRecords(to.client).add("3", [7, 10**50])


async def read_failed(of: At) -> dict[str, Any]:
    page, _ = await RedisFailedEvents(of.client).list(10, "")
    aside = await RedisFailedRecords(of.client).find("3", [7, 8, 10**50])
    return {"failed": list(map(_in_old_words, page)), "set aside": sorted(map(str, aside))}


async def write_journeys(to: At) -> None:
    skew: Skew | None = None
    for minute in range(3):
        skew = observe(skew, NOW_US + minute * MINUTE_US, NOW_US + minute * MINUTE_US - SECOND_US)
    assert skew is not None
    await RedisSkews(to.client).keep({"d:phone\nada": skew})
    await RedisIdentities(to.client).link({"anon": "ada"})


async def read_journeys(of: At) -> dict[str, Any]:
    skews = await RedisSkews(of.client).find(["d:phone\nada"])
    return {
        "skews": {device: str(skew) for device, skew in skews.items()},
        "links": await RedisIdentities(of.client).find(["anon"], NOW_US),
    }


async def write_applied(to: At) -> None:
    applied = RedisApplied(to.client, 0.0)
    await applied.note("3", 10**30, NOW_US)
    assert applied._writing is not None
    await applied._writing


async def read_applied(of: At) -> dict[str, Any]:
    return {"applied": await RedisApplied(of.client).find("3", 5, NOW_US)}


# The stream, leases and plans.


async def write_stream(to: At) -> None:
    log = StreamEventLog(RedisStream(to.client, "events", 1, 1_000_000))
    carried = event_pb2.Carried(purchase_count=1, standing=b"s")
    events = [
        event("e-1", kind="purchase", purchase=event_pb2.Purchase(amount=1, currency="EUR"), properties=b'{"a":1}'),
        event("e-2", kind="identify", anonymous_id="anon", carried=carried),
    ]
    for each in events:
        await log.append(table.of_events([each]))


async def read_stream(of: At) -> dict[str, Any]:
    read = await RedisStream(of.client, "events", 1, 1_000_000).read("0", -1, 10, 0.001)
    return {"records": [told(*decoded(record).table.events()) for record in read.records]}


async def write_leases(to: At) -> None:
    leases = RedisLeases(to.client, "redis/events", "dispatcher", 10)
    lease = await leases.acquire("0", "dispatcher-1")
    assert lease is not None
    await leases.save(lease, 10**30, 0.5)
    plans = RedisPlans(to.client, "redis/events")
    await plans.take("0", 1)
    await plans.save("0", 1, Plan(5, 10**30))


async def read_leases(of: At) -> dict[str, Any]:
    leases = RedisLeases(of.client, "redis/events", "dispatcher", 10)
    standing = (await leases.standings())["0"]
    return {
        "checkpoint": str(await leases.checkpoint("0")),
        "epoch": standing.epoch,
        "plan": str(await RedisPlans(of.client, "redis/events").take("0", 1)),
    }


# Keys.


async def write_keys(to: At) -> None:
    store = RedisKeys(to.client)
    expired = dataclasses.replace(key("k1", ends_us=NOW_US + MINUTE_US), successor_id="k2", ended_as=Ending.ROTATED)
    of_tenant = dataclasses.replace(key("k4", kind="sk"), tenant="acme")
    unlimited = key("k3", kind="adm")
    unlimited = dataclasses.replace(unlimited, rights=dataclasses.replace(unlimited.rights, rate=None))
    masking = Masking((1, 7), ("order_note",))
    acme = Tenant("acme", NOW_US, rate=Rate(7, 8), request_id="r-1", retention_days=30, masking=masking)
    tenants = [acme, Tenant("gone", NOW_US, NOW_US + MINUTE_US)]
    await store.change([expired, key("k2"), unlimited, of_tenant], [], NO_REVISION, "revision", tenants)
    await store.record_uses({"k1": NOW_US // MINUTE_US * MINUTE_US})
    await RedisLimits(to.client).spend([Spent("key:k1", 1, 3_000)], NOW_US)


async def read_keys(of: At) -> dict[str, Any]:
    store = RedisKeys(of.client)
    snapshot, used = await store.read(), await store.last_used()
    listed = [
        keys.key_message(UsedKey(each, each.has_ended(NOW_US), used.get(key_id, 0)))
        for key_id, each in sorted(snapshot.keys.items())
    ]
    keyring = keys.keyring_message(snapshot)
    keyring.entries.sort(key=lambda entry: entry.key_id)
    tenants = [keys.tenant_message(each) for _, each in sorted(snapshot.tenants.items())]
    full_in_us = await RedisLimits(of.client).spend([Spent("key:k1", 1, 0)], NOW_US)
    return {"told": told(*listed, keyring, *tenants), "full_in_us": list(full_in_us)}


# People.


async def write_people(to: At) -> None:
    store = RedisSessions(to.client)
    ends_us = NOW_US + 60 * MINUTE_US
    sessions = [
        Session("s-1", "person:ann", "", ("analyst", "operator"), NOW_US, ends_us),
        Session("s-2", "person:ben", "acme", ("viewer",), NOW_US, ends_us),
        Session("s-3", "local", "", ("admin",), NOW_US, ends_us),
    ]
    for each in sessions:
        await store.begin(each, NOW_US)
    await store.end(sessions[2:], NOW_US)


async def read_people(of: At) -> dict[str, Any]:
    store = RedisSessions(of.client)
    live = sorted(await store.live(NOW_US), key=lambda each: each.session_id)
    return {"told": told(*map(people.session_message, live)), "ended": sorted(await store.ended(NOW_US))}


# Budgets that tenants set.


async def write_budgets(to: At) -> None:
    store = RedisBudgets(to.client)
    await store.replace("", OwnBudget(20.0, "", NOW_US))
    await store.replace("acme", OwnBudget(0.25, "ada@example.org", NOW_US + MINUTE_US))


async def read_budgets(of: At) -> dict[str, Any]:
    store = RedisBudgets(of.client)
    kept = [await store.read(tenant) for tenant in ("", "acme", "globex")]
    return {"kept": [each and each._asdict() for each in kept]}


# Saved segments.


async def write_segments(to: At) -> None:
    store = RedisSegments(to.client)
    viewed = Condition(Field.PAGE, Comparison.BEGINS_WITH, ("/a", "/b"))
    bought = Condition(Field.EVENT_TYPE, Comparison.IS, ("purchase",))
    segments = (
        Segment("0123456789abcdef", "At risk", "Größe 😀", UserFilter(at_least=Level.HIGH), 1, NOW_US, NOW_US),
        Segment("fedcba9876543210", "Viewed", "", UserFilter((viewed,), (bought,)), 3, NOW_US - MINUTE_US, NOW_US),
    )
    assert await store.replace("", segments[:1], 0)
    assert await store.replace("", segments, 1)
    assert await store.replace("acme", segments[1:], 0)


async def read_segments(of: At) -> dict[str, Any]:
    store = RedisSegments(of.client)
    own, other = await store.read(""), await store.read("acme")
    return {
        "changes": [own.changes, other.changes],
        "told": told(*map(segment_message, (*own.segments, *other.segments))),
    }


# Experiments.


async def write_experiments(to: At) -> None:
    store = RedisExperiments(to.client)
    arms = (Arm("control", 9, "model-1"), Arm("new", 1, "model-2"))
    metrics = (Metric("sold", harm=0.1, within_hours=24.0), Metric("latency_ms", "average", is_larger_better=False))
    definition = Definition("models", "Größe 😀", "salt", arms, metrics, Score(), 5.0, pauses_on_incident=True)
    draft = created("acme", definition, "k1", "", NOW_US - MINUTE_US)
    started = changed(draft, "start", "k1", "it is time", NOW_US)
    assert await store.put(draft, 0)
    assert await store.put(started, 1)
    assert await store.put(paused(started, "incident-1", "insights", "sales fell", NOW_US), 2)
    other = created("", definition._replace(id="other", score=None), "k2", "", NOW_US)
    assert await store.put(shared(other, {"control": 0.75, "new": 0.25}, "scoring", NOW_US), 0)
    first = exposed(None, Exposure("u-1", "control", 0.25, at_us=NOW_US))
    second = exposed(None, Exposure("u-2", "new", None, is_fallback=True))
    third = exposed(exposed(None, Exposure("u-3", "new")), Exposure("u-3", "control"))
    bought = reported(
        definition, first, Report("u-1", "r-1", NOW_US, {"sold": 1.0, "quality": 0.5, "latency_ms": 100.0})
    )
    nothing = await store.evidence("acme", "models", ())
    totals = counted(
        definition, nothing.totals._replace(unmatched=2, unpriced=1), [(None, bought), (None, second), (None, third)]
    )
    assert await store.count("acme", "models", nothing, totals, {"u-1": bought, "u-2": second, "u-3": third})


async def read_experiments(of: At) -> dict[str, Any]:
    store = RedisExperiments(of.client)
    listed = sorted(await store.all(), key=lambda each: each.definition.id)
    evidence = await store.evidence("acme", "models", ["u-1", "u-2", "u-3", "u-4"])
    return {
        "changes": await store.changes(),
        "told": told(*(experiment_message(each, NOW_US) for each in listed)),
        "shares": [each.shares for each in listed],
        "evidence": msgspec.to_builtins(evidence),
    }


# What a watch of key figures knows.


async def write_insights(to: At) -> None:
    store = RedisWatches(to.client)
    part = InsightPart("users", NOW_US - MINUTE_US, None, "below", NOW_US, 5.0, 50.5, 40.25, 60.0, 9.5, ())
    opened = WatchedInsight("20261129T1300-users", NOW_US - MINUTE_US, None, "high", 45.5, (part,), NOW_US, 2)
    sent = watch.Message("opened", "sent", 1, NOW_US, "")
    of_day = watch.Message("2026-11-28", "waiting", 2, NOW_US, "http_500")
    noted = Change(NOW_US - MINUTE_US, "deploy", "web 1.2.3", "Größe 😀", "k1")
    closed = WatchedInsight(
        "20261128T1300-events",
        NOW_US - 2 * MINUTE_US,
        NOW_US - MINUTE_US,
        "medium",
        2.0,
        (part._replace(metric="events", closed_us=NOW_US - MINUTE_US, direction="above"), part),
        NOW_US,
        1,
        "k1",
        NOW_US,
        "ada@example.org",
        NOW_US + MINUTE_US,
        "Größe 😀",
        (sent, sent._replace(kind="closed", state="waiting", attempt_count=2, reason="http_500")),
        (InsightSlice("events", "page", "/größe", 5.0, 50.5, 0.9, 0.25, "country", "DE"),),
        (Money("EUR", 90.5),),
        (noted._replace(kind="policy", name="p-2", detail="", by=""), noted),
        is_explained=True,
    )
    day_us = NOW_US - NOW_US % (1440 * MINUTE_US)
    told_of = watch.BudgetAlarm("20260102-100-of-0.25", day_us, 100, 0.25, 0.5, NOW_US, 2, sent._replace(kind="budget"))
    alarms = told_of, told_of._replace(alarm_id="20260102-80-of-0.25", percent=80, sequence=1, message=None)
    assert await store.replace(
        "", Watched((opened, closed), 2, NOW_US - MINUTE_US, NOW_US, NOW_US, 3, (noted,), of_day, alarms), 0
    )
    assert await store.replace("acme", Watched(since_us=NOW_US, judged_us=NOW_US, until_us=NOW_US), 0)
    await store.note_asked("acme", NOW_US)


async def read_insights(of: At) -> dict[str, Any]:
    store = RedisWatches(of.client)
    own, other = await store.read(""), await store.read("acme")
    return {
        "changes": [own.changes, other.changes],
        "asked": [*await store.asked_since(NOW_US)],
        "watched": [its.watched._replace(insights=(), alarms=()) for its in (own, other)],
        "told": told(*map(watched_message, own.watched.insights)),
        "alarms": told(*map(alarm_message, own.watched.alarms)),
    }


# Releases of the mesh.


async def write_releases(to: At) -> None:
    store = RedisReleases(to.client)
    before = releases.started(Releases(), Start("one 127.0.0.1:7109", "0.1.0"), NOW_US - 2 * MINUTE_US)
    assert await store.replace(before, 0)
    newer = releases.started(before, Start("two 127.0.0.1:7109", "0.2.0"), NOW_US - MINUTE_US)
    assert await store.replace(releases.started(newer, Start("two 127.0.0.1:7109", "0.1.0"), NOW_US), 1)


async def read_releases(of: At) -> dict[str, Any]:
    kept = await RedisReleases(of.client).read()
    return {"changes": kept.changes, "releases": kept.releases._asdict()}


# Jobs.


async def write_jobs(to: At) -> None:
    store = RedisJobs(to.client)
    times = NOW_US - MINUTE_US, NOW_US - MINUTE_US // 2, NOW_US
    done = Job("0123456789abcdef", "customers_fit", State.DONE, times[0], "learning", 1.0, 1, *times[1:])
    failed = done._replace(
        job_id="fedcba9876543210",
        state=State.FAILED,
        progress=0.25,
        reason="NOTHING_TO_LEARN",
        detail="Größe 😀",
    )
    running = Job("00000000000000ff", "customers_fit", State.RUNNING, NOW_US, "reading", 0.5, 2, NOW_US)
    held = running._replace(holder="holder", held_until_us=NOW_US + MINUTE_US)
    figure = Interval(0.25, 0.125, 0.5)
    model = Model("archive-0a1b2c3d", True, Gate.PASSED, figure, "other users, at events", {"auroc": figure}, "Größe")
    trained = done._replace(
        job_id="0000000000000001",
        kind="model_training",
        options={"label": "never returns", "promote": "yes", "directions": "no"},
        started_by=By.DRIFT,
        model=model,
    )
    assert await store.replace("", (done._replace(counts={"customers": 40}), failed, held, trained), 0)
    assert await store.replace("acme", (failed,), 0)


async def read_jobs(of: At) -> dict[str, Any]:
    store = RedisJobs(of.client)
    own, other = await store.read(""), await store.read("acme")
    return {
        "changes": [own.changes, other.changes],
        "waiting": [*await store.waiting()],
        "held": [[each.holder, each.held_until_us] for each in own.jobs],
        "told": told(*map(job_message, (*own.jobs, *other.jobs))),
    }


# The audit log.


async def write_audit(to: At) -> None:
    audit = Audit(RedisChain(to.client), lambda: NOW_US, lambda length: bytes(range(length)))
    first = Act(b"1" * 16, NOW_US - MINUTE_US, "command", "keys.create", "k1", b"")
    read = Act(b"2" * 16, NOW_US, "k1", "GET /api/users/{userId}", "u", b"t" * 16)
    await audit.record([NewAct(first, is_user=False), NewAct(read, is_user=True)])
    # A base before the first entry: here entries of a stream are numbered from 1 when it is filled.
    await RedisChain(to.client).drop(0, EMPTY)


async def read_audit(of: At) -> dict[str, Any]:
    audit = Audit(RedisChain(of.client), lambda: NOW_US, lambda length: bytes(range(length)))
    listed, following = await audit.listed(Filters(user_id="u"), 0, 20)
    await verify(audit.read, {}, lambda *_: None)
    return {
        "told": told(audit_log.entries_message(listed, following), audit_log.chain_message(await audit.read(0, 1_000)))
    }


# Erasures.


async def write_erasures(to: At) -> None:
    # A secret as this installation might have made it; the adapter makes none where there is one.
    await to.client.set("jm:suppressed:secret", bytes(range(32)))
    named = pseudonym("ada", bytes(range(32)))
    begun = Erasure("e_1", named, NOW_US, ("ada",), Step.DRAIN, NOW_US, (named,), trouble="DEPENDENCY_UNAVAILABLE")
    counts = {"features.users": 1}
    done = Erasure("e_2", named, NOW_US, (), Step.DONE, NOW_US, (named,), counts, {"features.users": 0}, NOW_US)
    kept = RedisErasures(to.client)
    await kept.save(begun)
    await kept.save(done)
    await kept.save_archived("e_2", Archived({"events/v1/a.parquet": Rewritten(2, "00", 1, "11")}, is_done=True))
    await RedisSuppressions(to.client).add([named], "e_1")


async def read_erasures(of: At) -> dict[str, Any]:
    kept = RedisErasures(of.client)
    suppression = await RedisSuppressions(of.client).all()
    return {
        "erasures": [msgspec.to_builtins(await kept.find(each)) for each in ("e_1", "e_2")],
        "archived": [msgspec.to_builtins(await kept.archived(each)) for each in ("e_1", "e_2")],
        "unfinished": [each.id for each in await kept.unfinished()],
        "suppressed": sorted(suppression.among(["ada", "bob"])),
    }


# Exports.


async def write_exports(to: At) -> None:
    exports = RedisExports(to.client)
    begun = Export("x_1", NOW_US, ("ada",), ("p",))
    ready = Export("x_2", NOW_US, (), ("p",), exporting.Step.READY, 9, 1, NOW_US)
    for each in (begun, ready):
        await exports.create(each)
    packed = exporting.pack([("features.users", b'{"key":"ada"}')])
    await exports.save(ready, exporting.Part.SERVICES, packed)


async def read_exports(of: At) -> dict[str, Any]:
    exports = RedisExports(of.client)
    records = [each for part in await exports.parts("x_2") for each in exporting.unpack(part)]
    return {
        "exports": [msgspec.to_builtins(each) for each in await exports.all()],
        "records": [[store, said.decode()] for store, said in records],
    }


# Reports to experiments.


async def write_reports(to: At) -> None:
    met = TrialReport("acme", "tone", "Größe 😀", "control", 60.5)
    assert await RedisReports(to.client).add([met, TrialReport("", "tone", "u-1", outcome="stayed", at_us=NOW_US)]) == 0


async def read_reports(of: At) -> dict[str, Any]:
    return {"reports": msgspec.to_builtins([*(await RedisReports(of.client).first(10)).values()])}


async def write_prompts(to: At) -> None:
    prompts = RedisPrompts(to.client)
    for at_us, each in (
        (NOW_US, COPYWRITING),
        (NOW_US + 1, Prompt("warm-1", "Be wärmer 😀.", 90, asks_confidence=True)),
    ):
        assert await prompts.keep(KeptPrompt(at_us, each)) == each


async def read_prompts(of: At) -> dict[str, Any]:
    return {"prompts": msgspec.to_builtins(await RedisPrompts(of.client).all())}


# The archive.

LINE: Final = event_pb2.OrderLine(product_id="p-1", name="Beans", category="Coffee", quantity=2, price=9.9)


PRODUCT: Final = event_pb2.RecommendedProduct(product_id="p-1", name="Beans", reason="due_again")


def _row(sequence: int) -> EventRows:
    bought = event_pb2.Purchase(amount=sequence, currency="EUR", order_id=f"o-{sequence}", lines=[LINE])
    said = event_pb2.SegmentChange(segment="Champions", previous_segment="Loyal", products=[PRODUCT])
    made = [
        event(f"e-{sequence}", kind="purchase", purchase=bought),
        event(f"s-{sequence}", kind="segment_change", is_system=True, segment_change=said),
    ]
    return EventRows(sequence, table.of_events(made), [0, 1])


async def write_archive(to: At) -> None:
    archive, rows = ParquetArchive(to.folder.as_uri()), [_row(1), _row(2)]
    assessment = scoring_pb2.Assessment(score=80, level=scoring_pb2.RISK_LEVEL_HIGH, probability=0.5)
    whole = intervention_pb2.Decision(id="d-3-2-0", explanation="Why.", inputs=b"i")
    decisions = [
        DecisionRow(
            row.sequence,
            0,
            cast("Event", row.table.event(0)),
            1,
            (3,),
            cast("Any", assessment),
            Versions("m", "r", "p", "never returns"),
            its,
            1,
        )
        for row, its in zip(rows, (None, whole), strict=True)
    ]
    part = await archive.pack("3", rows, decisions)
    await archive.write("3", Plan(0, 2), {hour_of(NOW_US)}, [part])


async def read_archive(of: At) -> dict[str, Any]:
    archive = ParquetArchive(of.folder.as_uri())
    events = archived_events(archive, archive.files(EVENTS))
    rows = [row for file in archive.files(DECISIONS) for batch in archive.batches(file) for row in batch.to_pylist()]
    return {
        "events": [told(cast("Message", each.event)) for each in events],
        "decisions": [[row["decision_id"], row["score"], row["reasons"], row["explanation"]] for row in rows],
        "told": [[row["probability"], row["model_outcome"]] for row in rows if row.get("probability") is not None],
    }


FORMATS: Final[dict[str, Format]] = {
    "features": Format(write_features, read_features),
    "scoring": Format(write_scoring, read_scoring),
    "video": Format(write_video, read_video),
    "customers": Format(write_customers, read_customers),
    "customers_fit": Format(write_customers_fit, read_customers_fit),
    "customers_export": Format(write_customers_export, read_customers_export),
    "intervention": Format(write_intervention, read_intervention),
    "reports": Format(write_reports, read_reports),
    "prompts": Format(write_prompts, read_prompts),
    "ids": Format(write_ids, read_ids),
    "failed": Format(write_failed, read_failed),
    "journeys": Format(write_journeys, read_journeys),
    "applied": Format(write_applied, read_applied),
    "stream": Format(write_stream, read_stream),
    "leases": Format(write_leases, read_leases),
    "keys": Format(write_keys, read_keys),
    "audit": Format(write_audit, read_audit),
    "experiments": Format(write_experiments, read_experiments),
    "people": Format(write_people, read_people),
    "budgets": Format(write_budgets, read_budgets),
    "segments": Format(write_segments, read_segments),
    "insights": Format(write_insights, read_insights),
    "releases": Format(write_releases, read_releases),
    "jobs": Format(write_jobs, read_jobs),
    "erasures": Format(write_erasures, read_erasures),
    "exports": Format(write_exports, read_exports),
    "archive": Format(write_archive, read_archive),
}
