"""Wires the service: over Redis, or all in memory."""

import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import grpc

from mesh.clock import Clock, system_clock
from mesh.observability.telemetry import Telemetry
from mesh.rpc import channel
from mesh.rpc.tls import Tls
from mesh.settings import SettingError
from mesh.state.memory import MemoryShards, MemoryState
from mesh.state.port import Shards, StateStore
from mesh.state.redis import RedisShards, RedisState
from mesh.store import redis
from services.intervention.batch.deciding import Deciding
from services.intervention.decision.adapters.listeners import LocalListeners
from services.intervention.decision.adapters.memory import MemoryLedger
from services.intervention.decision.adapters.redis import RedisLedger
from services.intervention.decision.adapters.silence import SilentObserver
from services.intervention.decision.adapters.spans import SpanObserver
from services.intervention.decision.ports import Ledger, Listeners, Observer
from services.intervention.delivery.adapters.channels import channels
from services.intervention.delivery.adapters.outbox_memory import MemoryOutbox
from services.intervention.delivery.adapters.outbox_redis import RedisOutbox
from services.intervention.delivery.adapters.spans import SpanDeliveryObserver
from services.intervention.delivery.ports import Outbox
from services.intervention.delivery.usecases import DeliveryWorkers
from services.intervention.erasing import Erasing
from services.intervention.exporting import Exporting
from services.intervention.gauges import Gauges
from services.intervention.language.adapters import prices
from services.intervention.language.adapters.budget_memory import MemorySpending
from services.intervention.language.adapters.budget_redis import RedisSpending
from services.intervention.language.adapters.insights import MeshInsights
from services.intervention.language.adapters.prompts import MemoryPrompts, NoPrompts, PromptFiles, RedisPrompts
from services.intervention.language.adapters.silence import NoInsights, NoTrials, SilentModelObserver
from services.intervention.language.adapters.spans import ModelSpans
from services.intervention.language.adapters.trials import MeshTrials
from services.intervention.language.domain.budget import Amount
from services.intervention.language.ports import Insights, Model, Trials
from services.intervention.language.usecases.analysis import Analyses
from services.intervention.language.usecases.copywriting import Copywriter
from services.intervention.language.usecases.models import Models
from services.intervention.language.usecases.prompts import Prompts
from services.intervention.lift.adapters.experiments import ToldExperiments
from services.intervention.lift.adapters.reports import MemoryReports, RedisReports
from services.intervention.lift.domain.judged import Judged
from services.intervention.lift.ports import Reports
from services.intervention.lift.usecases import Judges, Telling
from services.intervention.live.adapters.memory import MemoryFeed
from services.intervention.live.adapters.redis import RedisFeed
from services.intervention.live.usecases import Live
from services.intervention.policy.adapters.audit import PeerAuditLog, RedisMark
from services.intervention.policy.adapters.experiments import KEPT_OF_ALL, MeshConfigurations, NoConfigurations
from services.intervention.policy.adapters.store import OF_MESH, OF_TENANTS, MemoryPolicies, RedisPolicies
from services.intervention.policy.adapters.yaml import NamedFiles, PolicyFiles, parse, written
from services.intervention.policy.arms import Arms
from services.intervention.policy.domain.arms import Configured
from services.intervention.policy.domain.interpretation import policy_of
from services.intervention.policy.domain.timeline import DatedPolicy, Timeline
from services.intervention.policy.ports import Configurations, Documents
from services.intervention.policy.recording import Recording
from services.intervention.policy.usecases import Policies
from services.intervention.reading import Reading
from services.intervention.settings import ChannelSettings, ModelSettings, Settings

_NANO_A_USD = 1e9


class Stores(NamedTuple):
    """The stores of the service."""

    state: StateStore
    shards: Shards
    ledger: Ledger
    outbox: Outbox
    reports: Reports


class Work(Protocol):
    """Something that is done in the background."""

    async def run(self) -> None:
        """Does it until it is cancelled."""


class Core(NamedTuple):
    """The use cases behind the servicer, in the order of its arguments."""

    deciding: Deciding
    reading: Reading
    analyses: Analyses
    models: Models
    copywriter: Copywriter
    erasing: Erasing
    exporting: Exporting
    live: Live


@contextlib.asynccontextmanager
async def over_redis(
    client: redis.Client,
    policies: Policies,
    traced: Telemetry,
    own: Settings,
    models: ModelSettings,
    sent: ChannelSettings,
    tls: Tls | None,
) -> AsyncIterator[tuple[Core, Sequence[Work]]]:
    """The service over Redis, and what it does in the background.

    Raises:
        SettingError: a setting needs another that is missing.
    """
    lifetime = own.intervention_lifetime_seconds
    stores = Stores(
        RedisState(client, "intervention", lifetime),
        RedisShards(client, "intervention"),
        RedisLedger(client, own.ledger_lifetime_seconds),
        RedisOutbox(client, lifetime),
        RedisReports(client),
    )
    listeners = LocalListeners(own.watch_limit)
    async with contextlib.AsyncExitStack() as stack:
        by_name = await stack.enter_async_context(
            channels(
                email_from=sent.email_from if sent.email == "ses" else "",
                has_push=sent.push == "sns",
                push_topic=sent.push_topic,
                webhook_urls=sent.webhook_urls,
                webhook_secret=sent.webhook_secret,
                concurrency=sent.channel_concurrency,
                clock=system_clock,
            )
        )
        # Chance for waiting times; what is decided is drawn from positions.
        draw = random.random
        observer = SpanObserver(traced)
        concurrency = sent.channel_concurrency
        attempts = SpanDeliveryObserver(traced)
        workers = DeliveryWorkers(
            stores.outbox, by_name, stores.state, attempts, system_clock, draw, concurrency=concurrency
        )
        model = stack.enter_context(_model(models, draw))
        asked = Models(
            model,
            lambda tenant: RedisSpending(client, f"tenant:{tenant}" if tenant else models.tenant),
            ModelSpans(traced),
            system_clock,
            time.monotonic,
            limits=Amount(models.daily_tokens, round(models.daily_usd * _NANO_A_USD)),
            geography=models.bedrock_geography,
            prices=prices.read(models.prices_file),
        )
        targets = (models.scoring_target, models.video_target, models.customers_target, models.experiments_target)
        scoring, video, customers, experiments = [
            await stack.enter_async_context(channel.dial(each, traced, tls)) for each in targets
        ]
        judges = Judges(_running(experiments, client, traced, own, models), own.scoring_experiment)
        yield (
            _core(
                stores,
                policies,
                observer,
                listeners,
                asked,
                lambda reading: MeshInsights(scoring, video, customers, reading.helping),
                workers.notice,
                system_clock,
                own.watch_poll_seconds,
                models,
                Live(RedisFeed(client), own.live_limit),
                _trials(experiments, models),
                _prompts(client, models),
                lambda: judges.by_tenant,
                lambda: judges.by_stays,
            ),
            (
                workers,
                Gauges(policies, stores.outbox, asked, traced.metrics, system_clock),
                Telling(stores.reports, ToldExperiments(experiments)),
                judges,
            ),
        )


def known(policies: Sequence[tuple[int, str]], clock: Clock) -> Policies:
    """Policies that are known from the beginning, by their start: Unix microseconds and the document.

    Raises:
        PolicyError: a document is no policy.
    """
    dated = []
    for start_us, document in policies:
        policy = policy_of(parse(document))
        dated.append((DatedPolicy(start_us, policy.version, document), policy))
    return Policies(MemoryPolicies([each for each, _ in dated]), MemoryPolicies(), parse, clock, Timeline(dated))


def kept(client: redis.Client) -> Policies:
    """Policies that are kept in Redis; none is known before `begin`."""
    of_mesh, of_tenants = RedisPolicies(client, OF_MESH), RedisPolicies(client, OF_TENANTS)
    return Policies(of_mesh, of_tenants, parse, system_clock, Timeline([]))


@contextlib.asynccontextmanager
async def documents(
    client: redis.Client, own: Settings, target: str, traced: Telemetry, tls: Tls | None
) -> AsyncIterator[Callable[[], Awaitable[Documents]]]:
    """Reads the documents of policies; with an experiment that compares them, asked at an address, written in.

    Raises:
        SettingError: the key that the experiment is signed by is none.
    """
    files = PolicyFiles(own.policy, own.tenant_policies)
    if not own.policy_experiment:
        yield files.read
        return
    async with channel.dial(target, traced, tls) as dialled:
        named, trusted = [own.policy_experiment], own.experiments_public_key
        configurations = MeshConfigurations(dialled, client, traced.metrics, named, system_clock, trusted)
        yield Arms(files.read, configurations, NamedFiles(own.policy_arms), parse, written).read


@contextlib.asynccontextmanager
async def recording(
    client: redis.Client, target: str, traced: Telemetry, tls: Tls | None
) -> AsyncIterator[list[Recording]]:
    """What tells the audit log at an address which policies are put in force: those of the mesh, those of tenants."""
    async with channel.dial(target, traced, tls) as dialled:
        audit = PeerAuditLog(dialled)
        yield [
            Recording(RedisPolicies(client, key), RedisMark(client, f"{key}-recorded"), audit, system_clock)
            for key in (OF_MESH, OF_TENANTS)
        ]


def in_memory(
    policies: Sequence[tuple[int, str]],
    clock: Clock,
    *,
    ledger: Ledger | None = None,
    observer: Observer | None = None,
    insights: Insights | None = None,
    poll_seconds: float = 1.0,
    reports: Reports | None = None,
) -> Core:
    """The service in memory, under policies by their start: for replays and tests. Nothing leaves it.

    Raises:
        PolicyError: a document is no policy.
    """
    stores = Stores(MemoryState(), MemoryShards(), ledger or MemoryLedger(), MemoryOutbox(), reports or MemoryReports())
    none = Models(None, lambda _: MemorySpending(), SilentModelObserver(), clock, time.monotonic, limits=Amount(0, 0))
    return _core(
        stores,
        known(policies, clock),
        observer or SilentObserver(),
        LocalListeners(10),
        none,
        lambda _: insights or NoInsights(),
        lambda: None,
        clock,
        poll_seconds,
        ModelSettings(),
        Live(MemoryFeed(), 10),
        NoTrials(),
        Prompts(NoPrompts(), MemoryPrompts(), clock, "", ""),
    )


def _core(  # noqa: PLR0913, PLR0917 - the ports
    stores: Stores,
    policies: Policies,
    observer: Observer,
    listeners: Listeners,
    models: Models,
    insights: Callable[[Reading], Insights],
    notice: Callable[[], None],
    clock: Clock,
    poll_seconds: float,
    limits: ModelSettings,
    live: Live,
    trials: Trials,
    prompts: Prompts,
    judged: Callable[[], Mapping[str, Judged]] = dict,
    by_stays: Callable[[], Mapping[str, Sequence[Configured]]] = dict,
) -> Core:
    state, shards, ledger, outbox, reports = stores
    copywriter = Copywriter(
        models, state, listeners, clock, time.monotonic, trials, prompts, deadline_seconds=limits.wording_seconds
    )
    words_us = round(limits.wording_seconds * 1e6) if models.is_on else 0
    deciding = Deciding(
        policies,
        state,
        shards,
        ledger,
        outbox,
        reports,
        observer,
        listeners,
        copywriter,
        notice,
        clock,
        words_us=words_us,
        tell=live.tell,
        compares_words=bool(limits.experiment or limits.prompt_experiment),
        judged=judged,
        by_stays=by_stays,
    )
    reading = Reading(policies, state, shards, ledger, outbox, listeners, clock, poll_seconds=poll_seconds)
    return Core(
        deciding,
        reading,
        Analyses(models, insights(reading), clock, time.monotonic, deadline_seconds=limits.analysis_seconds),
        models,
        copywriter,
        Erasing(state, ledger, outbox, reports),
        Exporting(state, ledger, outbox, policies, reports),
        live,
    )


def _running(
    experiments: grpc.aio.Channel, client: redis.Client, traced: Telemetry, own: Settings, models: ModelSettings
) -> Configurations:
    """How the experiments are configured that intervention takes part in.

    Raises:
        SettingError: the key that they are signed by is none.
    """
    wanted = (own.scoring_experiment, own.policy_experiment, models.experiment, models.prompt_experiment)
    named = list(dict.fromkeys(filter(None, wanted)))
    if not named:
        return NoConfigurations()
    trusted = own.experiments_public_key
    return MeshConfigurations(experiments, client, traced.metrics, named, system_clock, trusted, KEPT_OF_ALL)


def _trials(experiments: grpc.aio.Channel, settings: ModelSettings) -> Trials:
    """What compares models and prompts, if anything does."""
    if not (settings.experiment or settings.prompt_experiment):
        return NoTrials()
    return MeshTrials(experiments, settings.experiment, settings.prompt_experiment)


def _prompts(client: redis.Client, settings: ModelSettings) -> Prompts:
    """The prompts that word help."""
    texts = PromptFiles(settings.prompts) if settings.prompts else NoPrompts()
    return Prompts(texts, RedisPrompts(client), system_clock, settings.prompt, settings.prompt_experiment)


@contextlib.contextmanager
def _model(settings: ModelSettings, draw: Callable[[], float]) -> Iterator[Model | None]:
    """The language models that are wanted; none by default."""
    if settings.language_model == "off":
        yield None
        return
    try:
        from services.intervention.language.adapters.bedrock import BedrockModel  # an AWS client takes a second to load
    except ModuleNotFoundError as error:
        raise SettingError("Bedrock needs the extra `aws`, which is not installed.") from error
    with contextlib.closing(BedrockModel(settings.bedrock_region, settings.bedrock_endpoint, draw)) as model:
        yield model
