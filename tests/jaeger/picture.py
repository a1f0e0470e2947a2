"""Draws the story as Jaeger has it: `python -m tests.jaeger.picture` writes docs/pictures/trace.png.

Jaeger's own pages are no part of its Go module; so what its query API tells is drawn, bar by bar.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from mesh.observability import semconv
from tests.jaeger.server import Id, Span
from tests.jaeger.story import Story, lived, settled, traced_mesh

PICTURE: Final = Path(__file__).parents[2] / "docs" / "pictures" / "trace.png"
_COLOURS: Final = {
    "gateway": "#4e79a7",
    "ingest-api": "#f28e2b",
    "ingest-dispatcher": "#b8930a",
    "video": "#76b7b2",
    "features": "#59a14f",
    "scoring": "#b07aa1",
    "intervention": "#e15759",
}
_ROW_INCHES: Final = 0.27
_LABEL_POINTS: Final = -305
_LATE_US: Final = 1_000_000
"""What begins so long after its trace began is drawn on an axis of its own."""


class Row(NamedTuple):
    """A span and how deep it stands."""

    span: Span
    depth: int


def rows(spans: Sequence[Span], parent: Id | None = None, depth: int = 0) -> Iterator[Row]:
    """The spans of one trace as a tree, each above what stands below it, earlier ones first."""
    for span in spans:
        if span.parent == parent:
            yield Row(span, depth)
            yield from rows(spans, span.id, depth + 1)


def draw(story: Story, spans: Sequence[Span]) -> Figure:
    """Both traces, one below the other, and the link between them."""
    parts = [
        list(rows([span for span in spans if span.id.trace_id == trace_id]))
        for trace_id in (story.trace_id, story.outcome_trace_id)
    ]
    heights = [len(part) for part in parts]
    figure = Figure(figsize=(14, _ROW_INCHES * (sum(heights) + 8)), dpi=110)
    grid = figure.add_gridspec(
        2, 2, height_ratios=heights, width_ratios=(5, 1), left=0.32, right=0.985, top=0.955, bottom=0.05,
        hspace=0.22, wspace=0.04,
    )  # fmt: skip
    places = dict[str, tuple[Axes, float, float]]()
    for number, (part, title) in enumerate(zip(parts, ("the struggle", "the outcome"), strict=True)):
        start_us = part[0].span.start_us
        early = [each.span for each in part if each.span.start_us - start_us < _LATE_US]
        late = [each.span for each in part if each.span.start_us - start_us >= _LATE_US]
        axes = figure.add_subplot(grid[number, 0 if late else slice(None)])
        _bars(axes, part, early, start_us)
        axes.set_title(f"Trace {part[0].span.id.trace_id}: {title}", loc="left", fontsize=10)
        _labels(axes, part)
        if late:
            after = figure.add_subplot(grid[number, 1])
            _bars(after, part, late, start_us)
            after.set_yticks([])
        for row, each in enumerate(part):
            if each.span.name in {semconv.SPAN_DECIDE, semconv.SPAN_OUTCOME}:
                places[each.span.name] = (axes, (each.span.start_us - start_us) / 1000, row)
    (upper, x, y), (lower, to_x, to_y) = places[semconv.SPAN_DECIDE], places[semconv.SPAN_OUTCOME]
    figure.add_artist(
        ConnectionPatch(
            (to_x, to_y), (x, y), "data", "data", axesA=lower, axesB=upper, arrowstyle="->", linestyle="--",
            color="#333333", shrinkA=4, shrinkB=4, connectionstyle="arc3,rad=0.2",
        )
    )  # fmt: skip
    lower.annotate("linked to the decision", (to_x, to_y), (-130, -2), textcoords="offset points", fontsize=8)
    return figure


def _bars(axes: Axes, part: Sequence[Row], drawn: Sequence[Span], start_us: int) -> None:
    ends = [(span.start_us + span.duration_us - start_us) / 1000 for span in drawn]
    first = min((span.start_us - start_us) / 1000 for span in drawn)
    width = max(ends) - first
    for row, each in enumerate(part):
        if each.span not in drawn:
            continue
        x, length = (each.span.start_us - start_us) / 1000, each.span.duration_us / 1000
        axes.barh(row, max(length, width / 300), left=x, height=0.7, color=_COLOURS[each.span.service])
        axes.text(max(x + length, x + width / 300) + width / 150, row, f"{length:.1f} ms", va="center", fontsize=7)
    axes.set_xlim(first - width / 60, first + width * 1.12)
    axes.set_ylim(len(part) - 0.4, -0.6)
    axes.tick_params(axis="x", labelsize=8)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_xlabel("ms", fontsize=8, labelpad=1)
    axes.spines[["top", "right"]].set_visible(False)


def _labels(axes: Axes, part: Sequence[Row]) -> None:
    """The names beside the bars, indented as the spans stand."""
    axes.set_yticks(range(len(part)), ["" for _ in part])
    axes.tick_params(axis="y", length=0)
    for row, (span, depth) in enumerate(part):
        name = span.name.rpartition("/")[-1] if span.name.startswith("/") else span.name
        told = f"→ {name}" if span.kind == "client" and span.name.startswith("/") else name
        left = _LABEL_POINTS + depth * 9
        for text, offset, colour in ((span.service, left, _COLOURS[span.service]), (told, left + 98, "#222222")):
            axes.annotate(
                text, (0, row), (offset, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
                va="center", fontsize=8, color=colour, annotation_clip=False,
            )  # fmt: skip


def main() -> None:
    """Runs a mesh and a Jaeger, and draws what is read back."""
    mpl.rcParams["font.family"] = "DejaVu Sans"
    with tempfile.TemporaryDirectory() as folder, traced_mesh(Path(folder)) as (mesh, jaeger):
        lived(mesh, "/mortgage")  # so that nothing is slow because it comes first
        story = lived(mesh)
        spans = sorted(settled(jaeger, story), key=lambda span: span.start_us)
    PICTURE.parent.mkdir(exist_ok=True)
    draw(story, spans).savefig(PICTURE)


if __name__ == "__main__":
    main()
