"""Plots of a report, as SVG."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

_WIDTH: Final = 8.0


def bars(title: str, labels: Sequence[str], sides: Mapping[str, Sequence[float]]) -> str:
    """Horizontal bars, a group per label, a bar per side."""
    with _Figure(title, 1.2 + 0.22 * len(labels) * (len(sides) + 1)) as drawn:
        height = 0.8 / len(sides)
        for shift, (side, lengths) in enumerate(sides.items()):
            drawn.axes.barh([place + shift * height for place in range(len(labels))], lengths, height, label=side)
        drawn.axes.set_yticks([place + 0.4 - height / 2 for place in range(len(labels))], labels)
        drawn.axes.invert_yaxis()
        drawn.axes.grid(alpha=0.3, axis="x")
        drawn.axes.legend()
    return drawn.svg


def stacks(title: str, stacked: Mapping[str, Mapping[str, float]]) -> str:
    """One horizontal bar per name, made of its parts; a part has one colour in all bars."""
    parts = list(dict.fromkeys(part for each in stacked.values() for part in each))
    with _Figure(title, 1.5 + 0.4 * len(stacked)) as drawn:
        begins = [0.0] * len(stacked)
        for part in parts:
            lengths = [each.get(part, 0.0) for each in stacked.values()]
            drawn.axes.barh(list(stacked), lengths, left=begins, label=part)
            begins = [begin + length for begin, length in zip(begins, lengths, strict=True)]
        drawn.axes.invert_yaxis()
        drawn.axes.legend(fontsize="small", ncols=2)
    return drawn.svg


def shares(title: str, values: Mapping[str, Sequence[float]]) -> str:
    """The cumulative distribution of values, one line per name, on a logarithmic axis."""
    with _Figure(title, 3.5) as drawn:
        for name, each in values.items():
            if each:
                drawn.axes.ecdf(each, label=name)
        drawn.axes.set_xscale("log")
        drawn.axes.grid(alpha=0.3, which="both")
        drawn.axes.legend(fontsize="small")
    return drawn.svg


def points(title: str, at: Sequence[float], values: Sequence[float]) -> str:
    """One dot per value."""
    with _Figure(title, 3.5) as drawn:
        drawn.axes.plot(at, values, ".")
        drawn.axes.set(ylim=(0, None))
        drawn.axes.grid(alpha=0.3)
    return drawn.svg


def lines(title: str, at: Sequence[float], values: Mapping[str, Sequence[float]]) -> str:
    """Values over a logarithmic axis, one line per name."""
    with _Figure(title, 3.0) as drawn:
        for name, each in values.items():
            drawn.axes.plot(at, each, "o-", label=name)
        drawn.axes.set(xscale="log", ylim=(0, None))
        drawn.axes.grid(alpha=0.3)
        drawn.axes.legend()
    return drawn.svg


class _Figure:
    """One figure, drawn within the block; `svg` afterwards."""

    def __init__(self, title: str, height: float) -> None:
        import matplotlib as mpl  # heavy, and only needed at the end

        mpl.use("agg")
        from matplotlib import pyplot as plt

        self._plt = plt
        self._figure = plt.figure(figsize=(_WIDTH, height), layout="constrained")
        self.axes: Any = self._figure.add_subplot()
        self.axes.set_title(title, loc="left", fontsize="medium")
        self.svg = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        written = io.StringIO()
        self._figure.savefig(written, format="svg", metadata={"Date": None})
        self._plt.close(self._figure)
        text = written.getvalue()
        self.svg = text[text.index("<svg") :]
