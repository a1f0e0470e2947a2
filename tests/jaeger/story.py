"""The story that is looked for in Jaeger: a user of the calculator struggles, is helped in every way, and accepts."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from mesh.observability import semconv
from tests.bedrock import serving, words
from tests.e2e.channels import at_any_hour
from tests.e2e.following import calculation, until
from tests.e2e.journeys import journey
from tests.jaeger.server import Id, Jaeger, Span, running_jaeger
from tests.processes import RunningMesh, running_mesh

CHANNELS: Final = ("chat", "email", "push", "ticket")
_WORDS: Final = "Would you like to chat with one of us about your loan?"
_PATIENCE_SECONDS: Final = 60.0
# Spans are exported twice within this time, so that what has not come within it does not come.
_EXPORT_SECONDS: Final = 0.5


class Story(NamedTuple):
    """What was told, and in which traces: that of the struggle, and that of the outcome."""

    user_id: str
    decision_id: str
    intervention_id: str
    trace_id: str
    outcome_trace_id: str


@contextlib.contextmanager
def traced_mesh(folder: Path, sample_ratio: float = 1.0) -> Iterator[tuple[RunningMesh, Jaeger]]:
    """A mesh that sends its traces to a Jaeger, words help by a model, and brings it by every channel, to the log."""
    policy = yaml.safe_load(at_any_hour("default.yaml"))
    for action in policy["actions"]:
        if action["need"] == "urgent":
            first, *others = CHANNELS
            action |= {"channel": first, "also_channels": ["in_app", *others]}
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    with running_jaeger(folder) as jaeger, serving(words(_WORDS)) as bedrock:
        settings = {
            "JOURNEYMESH_OTLP_ENDPOINT": jaeger.otlp_url,
            "JOURNEYMESH_TRACE_SAMPLE_RATIO": str(sample_ratio),
            "JOURNEYMESH_POLICY": str(folder / "policy.yaml"),
            "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "0.5",
            "JOURNEYMESH_LANGUAGE_MODEL": "bedrock",
            "JOURNEYMESH_BEDROCK_ENDPOINT": bedrock.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "OTEL_BSP_SCHEDULE_DELAY": str(round(_EXPORT_SECONDS * 500)),
        }
        with running_mesh(folder, **settings) as mesh:
            yield mesh, jaeger


def lived(mesh: RunningMesh, page: str = "/calculator") -> Story:
    """Sends the calculator's example with a video before it, waits for the help, looks at the user, and accepts.

    What was worded for a page once is not asked of the model again.
    """
    one = journey(mesh)
    beat = one.event(-60, "video_playback", videoId="v", action="heartbeat", positionSeconds=10, watchedSeconds=10)
    events = [beat, *calculation(one, page)]
    trace_id = mesh.track(*events).body["traceId"]
    mesh.await_applied(events[-1]["eventId"])
    decision = until(lambda: mesh.get(f"/api/decisions?traceId={trace_id}").body["decisions"], "nothing was decided")[0]
    intervention_id = decision["intervention"]["id"]
    until(lambda: _is_delivered(mesh, intervention_id), "the help was not sent")
    for what in ("features", "risk", "videos"):
        assert mesh.get(f"/api/users/{one.user_id}/{what}").status == 200
    assert mesh.post(f"/api/users/{one.user_id}/analysis", {}).status == 200
    answered = mesh.post(f"/api/interventions/{intervention_id}/outcome", {"outcome": "accepted"})
    assert answered.status == 202, answered
    mesh.await_applied(answered.body["eventId"])
    return Story(one.user_id, decision["id"], intervention_id, trace_id, answered.body["traceId"])


def _is_delivered(mesh: RunningMesh, intervention_id: str) -> bool:
    told: list[dict[str, Any]] = mesh.get(f"/api/interventions/{intervention_id}").body["deliveries"]
    return len(told) == len(CHANNELS) and all(each["state"] == "sent" for each in told)


def settled(jaeger: Jaeger, story: Story, *, is_whole: bool = True) -> list[Span]:
    """All that Jaeger has, once the story is there to its end and nothing more comes.

    Args:
        jaeger: where.
        story: what was told.
        is_whole: whether requests are recorded; then the archiver's reading of the ledger comes last.
    """
    before = set[Id]()

    def found() -> list[Span]:
        nonlocal before
        spans = jaeger.everything()
        names = {span.name for span in spans if span.id.trace_id in (story.trace_id, story.outcome_trace_id)}
        is_there = {semconv.SPAN_OUTCOME, *(f"{semconv.SPAN_SEND} {channel}" for channel in CHANNELS)} <= names
        is_archived = not is_whole or any(span.service == "ingest-archiver" for span in spans)
        now = {span.id for span in spans}
        is_quiet, before = now == before, now
        time.sleep(_EXPORT_SECONDS)
        return spans if is_there and is_archived and is_quiet else []

    return until(found, "the story is not in Jaeger", _PATIENCE_SECONDS)
