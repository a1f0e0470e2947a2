"""The story of one user as a real Jaeger has it: who calls whom, how traces hang together, and what leads to them."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

import topology
from mesh.observability import semconv
from tests.jaeger.server import Id, Jaeger, Span
from tests.jaeger.story import CHANNELS, Story, lived, settled, traced_mesh

pytestmark = [pytest.mark.tools, pytest.mark.processes]


class Told(NamedTuple):
    """The story, and all spans that a Jaeger has of it."""

    story: Story
    jaeger: Jaeger
    spans: dict[Id, Span]

    def of(self, trace_id: str) -> list[Span]:
        """The spans of a trace."""
        return [span for span in self.spans.values() if span.id.trace_id == trace_id]

    def one(self, trace_id: str, name: str) -> Span:
        """The one span of a trace with this name."""
        (found,) = [span for span in self.of(trace_id) if span.name == name]
        return found


def telling(tmp_path_factory: pytest.TempPathFactory, ratio: float) -> Iterator[Told]:
    with traced_mesh(tmp_path_factory.mktemp("traced"), ratio) as (mesh, jaeger):
        story = lived(mesh)
        spans = settled(jaeger, story, is_whole=ratio > 0)
        yield Told(story, jaeger, {span.id: span for span in spans})


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    yield from telling(tmp_path_factory, 1.0)


@pytest.fixture(scope="module")
def told_at_0(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    yield from telling(tmp_path_factory, 0.0)


# Without keys the gateway does not ask for any, the command that does leaves no trace, and nobody looks at figures, or
# asks what retention deletes, what customers buy, how experiments do or what it costs. No models are compared, nobody
# buys, and no job says segments.
UNTRACED: Final = {
    ("gateway", "access"),
    ("access", "access"),
    ("gateway", "analytics"),
    ("gateway", "archiver"),
    ("archiver", "access"),
    ("gateway", "experiments"),
    ("intervention", "experiments"),
    ("experiments", "scoring"),
    ("gateway", "customers"),
    ("analytics", "ingest"),
    ("analytics", "intervention"),
    ("analytics", "scoring"),
    ("analytics", "experiments"),
    ("dispatcher", "customers"),
}
# Ingest calls others to erase people, and nobody is erased in the story; it always follows what tenants mask.
UNTOLD: Final = {"ingest"}
FOLLOWED: Final = {"access"}


def test_who_calls_whom_is_what_the_topology_declares(told: Told) -> None:
    calls = [
        (told.spans[span.parent].service, span.service)
        for span in told.spans.values()
        if span.kind == "server" and span.parent and told.spans[span.parent].kind == "client"
    ]
    names = {
        process.name: "-".join([service.name, process.role] if process.role else [service.name])
        for service in topology.SERVICES
        for process in service.processes
    }
    assert frozenset(calls) == {
        (names[caller], names[callee])
        for caller, callee in topology.calls()
        if (caller, callee) not in UNTRACED and (caller not in UNTOLD or callee in FOLLOWED)
    }


def test_nothing_hangs_in_the_air(told: Told) -> None:
    others = [(span, id_) for span in told.spans.values() for id_ in (*span.links, span.parent) if id_]
    assert [(span.name, id_) for span, id_ in others if id_ not in told.spans] == []
    # A refusal is sent before the span of who refuses ends. It may outlast its caller's: Jaeger takes that for skew.
    answered = [span for span in told.spans.values() if not span.tags.get("rpc.grpc.status_code")]
    assert [(span.name, span.warnings) for span in answered if span.warnings] == []


def test_one_trace_leads_from_the_post_to_every_channel(told: Told) -> None:
    trace = told.of(told.story.trace_id)
    (root,) = [span for span in trace if span.parent is None]
    assert (root.service, root.name) == ("gateway", "POST /api/events/track")
    calls = [span for span in trace if span.kind == "server" and span is not root]
    assert [(span.service, span.name.rpartition("/")[-1]) for span in calls] == [
        ("ingest-api", "AcceptEvents"),
        ("video", "ApplyPlayback"),
        ("features", "ApplyEvents"),
        ("scoring", "AssessUsers"),
        ("intervention", "DecideInterventions"),
    ]
    decided = told.one(told.story.trace_id, semconv.SPAN_DECIDE)
    assert told.one(told.story.trace_id, semconv.SPAN_DISPATCH).parent == root.id
    assert decided.parent == calls[-1].id
    assert decided.tags[semconv.DECISION_ID] == told.story.decision_id
    assert decided.tags[semconv.INTERVENTION_ID] == told.story.intervention_id
    follow = {span.name for span in trace if span.parent == decided.id}
    assert follow == {"chat amazon.nova-micro-v1:0", *(f"send {channel}" for channel in CHANNELS)}


def test_the_outcome_has_its_own_trace_and_is_linked_to_the_decision(told: Told) -> None:
    trace = told.of(told.story.outcome_trace_id)
    (root,) = [span for span in trace if span.parent is None]
    assert (root.service, root.name) == ("gateway", "POST /api/interventions/{id}/outcome")
    became = told.one(told.story.outcome_trace_id, semconv.SPAN_OUTCOME)
    assert became.parent is not None
    assert told.spans[became.parent].name.endswith("/DecideInterventions")
    assert became.links == (told.one(told.story.trace_id, semconv.SPAN_DECIDE).id,)
    assert became.tags[semconv.OUTCOME] == "accepted"


def test_the_decision_s_id_finds_both_traces(told: Told) -> None:
    found = told.jaeger.with_tag("intervention", semconv.DECISION_ID, told.story.decision_id)
    assert {span.id.trace_id for span in found} == {told.story.trace_id, told.story.outcome_trace_id}


def test_no_span_names_the_user(told: Told) -> None:
    assert not [span for span in told.spans.values() if told.story.user_id in str((span.name, span.tags))]


def test_at_ratio_0_there_is_the_help_and_nothing_else(told_at_0: Told) -> None:
    story = told_at_0.story
    decided = told_at_0.one(story.trace_id, semconv.SPAN_DECIDE)
    became = told_at_0.one(story.outcome_trace_id, semconv.SPAN_OUTCOME)
    follow = {"chat amazon.nova-micro-v1:0", *(f"send {channel}" for channel in CHANNELS)}
    assert {span.name for span in told_at_0.spans.values()} == {decided.name, became.name} | follow
    assert decided.parent is became.parent is None
    assert {span.parent for span in told_at_0.of(story.trace_id) if span is not decided} == {decided.id}
    assert (decided.links, became.links) == ((), (decided.id,))
    assert [span.name for span in told_at_0.spans.values() if span.warnings] == []
