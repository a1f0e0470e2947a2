"""What a process counts, measures and reports."""

import asyncio
import contextlib
import threading
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from journeymesh.features.v1 import features_pb2
from journeymesh.features.v1.features_pb2_grpc import FeaturesServiceStub, add_FeaturesServiceServicer_to_server
from prometheus_client.parser import text_string_to_metric_families

from mesh.errors import FailedPrecondition, NotFound, Unavailable
from mesh.observability import registry, telemetry
from mesh.observability.metrics import Metrics
from mesh.observability.registry import METRICS, Kind
from mesh.observability.telemetry import TelemetrySettings
from mesh.process.server import serving as serving_on
from mesh.state.memory import MemoryState
from services.features.servicer import FeaturesServicer
from services.features.usecases import Features
from tests.conftest import free_port
from tests.serving import serving


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    with contextlib.closing(Metrics()) as made:
        yield made


def reported(metrics: Metrics) -> dict[str, float]:
    """Our reported samples, as `name value-of-label ...`, without the prefix."""
    return {
        " ".join([sample.name.removeprefix("journeymesh_"), *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name.startswith("journeymesh_")
    }


def test_nothing_is_reported_before_something_is_counted_but_of_the_process_itself(metrics: Metrics) -> None:
    assert reported(metrics) == {}
    assert b"process_resident_memory_bytes" in metrics.render()


def test_a_counter_adds_up_by_its_labels(metrics: Metrics) -> None:
    metrics.count(registry.SET_ASIDE, 0)
    metrics.count(registry.EVENTS, 3, "accepted")
    metrics.count(registry.EVENTS, 2, "accepted")
    metrics.count(registry.EVENTS, 1, "rejected")
    metrics.count_each(registry.SIGNALS, ["rage_clicks", "dead_click", "rage_clicks"])
    assert reported(metrics) == {
        "set_aside_records_total": 0,
        "events_total accepted": 5,
        "events_total rejected": 1,
        "signals_total rage_clicks": 2,
        "signals_total dead_click": 1,
    }


def test_a_counter_never_goes_back(metrics: Metrics) -> None:
    for total in (3, 2, 5):
        metrics.count_up_to(registry.MODEL_TOKENS, total, "nova", "input")
        assert reported(metrics) == {"model_tokens_total input nova": max(3, total)}


def test_a_gauge_has_the_last_value_and_vanishes_with_its_subject(metrics: Metrics) -> None:
    metrics.set_gauge(registry.STREAMS, 3)
    metrics.set_gauge(registry.STREAMS, 2)
    metrics.set_gauges(registry.LAG, {("dispatcher", "0"): 1.5, ("archiver", "0"): 60})
    assert reported(metrics) == {"open_streams": 2, "lag_seconds dispatcher 0": 1.5, "lag_seconds archiver 0": 60}
    metrics.set_gauges(registry.LAG, {("archiver", "0"): 61})
    assert reported(metrics) == {"open_streams": 2, "lag_seconds archiver 0": 61}
    metrics.set_gauges(registry.LAG, {})
    assert reported(metrics) == {"open_streams": 2}


def test_a_histogram_counts_by_its_own_bounds(metrics: Metrics) -> None:
    for score in (5.0, 10.0, 75.1):
        metrics.measure(registry.RISK_SCORE, score)
    now = reported(metrics)
    bounds = [f"{bound:g}" for bound in registry.RISK_SCORE.bounds]
    counts = [now[f"risk_score_bucket {bound}.0"] for bound in bounds]
    assert counts == [2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3]
    assert now["risk_score_count"] == 3
    assert now["risk_score_sum"] == pytest.approx(90.1)


def test_what_raises_is_not_timed(metrics: Metrics) -> None:
    with metrics.timing(registry.STEP_SECONDS, "claim"):
        pass
    with pytest.raises(Unavailable), metrics.timing(registry.STEP_SECONDS, "claim"):
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "It is away.")
    assert reported(metrics)["step_duration_seconds_count claim"] == 1


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_labels_must_be_those_of_the_metric_and_calls_those_of_its_kind(
    metrics: Metrics, metric: registry.Metric
) -> None:
    calls: dict[Kind, Callable[..., None]] = {
        Kind.COUNTER: metrics.count,
        Kind.GAUGE: metrics.set_gauge,
        Kind.HISTOGRAM: metrics.measure,
    }
    right = ["x"] * len(metric.labels)
    with pytest.raises(ValueError, match="labels"):
        calls[metric.kind](metric, 1, *right, "y")
    for kind, call in calls.items():
        if kind is not metric.kind:
            with pytest.raises(KeyError):
                call(metric, 1, *right)
    assert reported(metrics) == {}
    calls[metric.kind](metric, 1, *right)
    assert all(sample.startswith(metric.name.removeprefix("journeymesh_")) for sample in reported(metrics))


def test_metrics_are_served_over_http_until_they_are_closed(metrics: Metrics) -> None:
    assert not metrics.is_served
    url = f"http://127.0.0.1:{metrics.serve('127.0.0.1:0')}/metrics"
    assert metrics.is_served
    metrics.count(registry.APPLIED_EVENTS, 7)
    with urllib.request.urlopen(url) as response:
        assert b"journeymesh_applied_events_total 7.0" in response.read()
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    metrics.close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url)


def test_a_scrape_disturbs_nobody_who_counts(metrics: Metrics) -> None:
    scrapes = threading.Thread(target=lambda: [metrics.render() for _ in range(20)])
    scrapes.start()
    count = 0
    while scrapes.is_alive():
        count += 1
        metrics.set_gauges(registry.LAG, {("dispatcher", str(count % 7)): 1})
        metrics.count(registry.HELP, 1, f"action {count % 500}", "in_app")
    scrapes.join()
    interventions = [value for name, value in reported(metrics).items() if name.startswith("interventions_total")]
    assert sum(interventions) == count > 0


@pytest.mark.parametrize("listen", ["taken", "127.0.0.1", "127.0.0.1:many", "no.such.host.invalid:80"])
def test_an_address_that_cannot_be_used_ends_the_process_with_a_sentence(metrics: Metrics, listen: str) -> None:
    given = f"127.0.0.1:{metrics.serve('127.0.0.1:0')}" if listen == "taken" else listen
    with pytest.raises(SystemExit, match=f"metrics cannot be served at {given}"):
        telemetry.start("test", TelemetrySettings(metrics_listen=given))


def test_a_process_serves_its_metrics_where_the_settings_say() -> None:
    address = f"127.0.0.1:{free_port()}"
    with contextlib.closing(telemetry.start("test", TelemetrySettings(metrics_listen=address))) as started:
        started.metrics.count(registry.BEATS, 1)
        with urllib.request.urlopen(f"http://{address}/metrics") as response:
            assert b"journeymesh_video_events_total 1.0" in response.read()
    with contextlib.closing(telemetry.start("test", TelemetrySettings())) as started:
        assert not started.metrics.is_served


async def test_rpcs_are_measured_by_method_and_status_and_health_is_not() -> None:
    observed = telemetry.off()
    servicer = FeaturesServicer(Features(MemoryState()), observed.metrics)

    async def refuse(_request: object, _context: object) -> None:
        raise FailedPrecondition("LEASE_LOST", "Another has it.")

    servicer.ListRecentEvents = refuse  # type: ignore[assignment, method-assign]
    async with serving(lambda to: add_FeaturesServiceServicer_to_server(servicer, to), observed_by=observed) as dialled:
        stub = FeaturesServiceStub(dialled)
        await stub.ListFeatureDefinitions(features_pb2.ListFeatureDefinitionsRequest())
        with pytest.raises(NotFound):
            await stub.GetProfile(features_pb2.GetProfileRequest(user_id="nobody"))
        with pytest.raises(FailedPrecondition):
            await stub.ListRecentEvents(features_pb2.ListRecentEventsRequest(user_id="ada"))
        await health_pb2_grpc.HealthStub(dialled).Check(health_pb2.HealthCheckRequest())
    counts = {name: value for name, value in reported(observed.metrics).items() if "_count" in name}
    assert counts == {
        "rpc_duration_seconds_count ListFeatureDefinitions OK": 1,
        "rpc_duration_seconds_count GetProfile NOT_FOUND": 1,
        "rpc_duration_seconds_count ListRecentEvents FAILED_PRECONDITION": 1,
    }


async def test_dependencies_are_reported_one_by_one() -> None:
    observed, is_away, asked = telemetry.off(), True, asyncio.Event()

    async def store() -> None:
        asked.set()
        if is_away:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "It is away.")

    async def model() -> None:
        """It is there."""

    async with serving_on("127.0.0.1:0", [], [], {"store": store, "model": model}, observed):
        await asyncio.wait_for(asked.wait(), 5)
        await asyncio.sleep(0)
        assert reported(observed.metrics) == {"dependency_up store": 0, "dependency_up model": 1}
        is_away = False
        async with asyncio.timeout(5):
            while reported(observed.metrics)["dependency_up store"] == 0:
                asked.clear()
                await asked.wait()
                await asyncio.sleep(0)
