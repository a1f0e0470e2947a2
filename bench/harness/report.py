"""The results of the bench's sections, as Markdown and as one self-contained page."""

import html
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

_HEAD: Final = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>Journeymesh: the bench</title><style>
body{font:15px/1.5 system-ui,sans-serif;margin:0;color:#222;background:#fff}
main{max-width:60rem;margin:2rem auto;padding:0 1rem}
nav a{margin-right:1rem} table{border-collapse:collapse;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:#555} th,td{padding:.15rem .7rem;border-bottom:1px solid #ddd;text-align:right}
th:first-child,td:first-child{text-align:left} svg{max-width:100%;height:auto} .skipped{color:#777}
b{color:#a30} div.wide{overflow-x:auto}
</style><main><h1>The mesh in ratios</h1>"""


class Table(NamedTuple):
    """Rows under headings."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Ratio(NamedTuple):
    """A figure of the mesh over that of its competitor, in one run."""

    what: str
    value: float
    wanted: float | None = None
    """The bound the mesh should reach; None if there is none."""
    more_is_better: bool = True

    @property
    def loses(self) -> bool:
        """Whether the mesh does worse than its competitor."""
        return self.value < 1 if self.more_is_better else self.value > 1

    @property
    def misses(self) -> bool:
        """Whether the mesh misses its bound."""
        return self.wanted is not None and _misses(self.value, self.wanted, self.more_is_better)

    def __str__(self) -> str:
        """The ratio as a line of the report."""
        bound = "" if self.wanted is None else _bound(self.wanted, self.more_is_better)
        return f"{self.what}: {self.value:.2f} x{bound}"


class Bounded(NamedTuple):
    """A figure of the mesh alone, and the bound it should keep."""

    what: str
    value: float
    unit: str
    wanted: float
    more_is_better: bool = False

    @property
    def loses(self) -> bool:
        """Never, as there is no competitor."""
        return False

    @property
    def misses(self) -> bool:
        """Whether the mesh misses its bound."""
        return _misses(self.value, self.wanted, self.more_is_better)

    def __str__(self) -> str:
        """The figure as a line of the report."""
        return f"{self.what}: {self.value:,.4g} {self.unit}{_bound(self.wanted, self.more_is_better)}"


Claim = Ratio | Bounded


class Found(NamedTuple):
    """The result of one section."""

    title: str
    about: str
    tables: Sequence[Table] = ()
    plots: Sequence[str] = ()
    """As SVG."""
    claims: Sequence[Claim] = ()
    figures: Mapping[str, float] = MappingProxyType({})
    """The input of docs/scale.md, by name."""
    skipped: str = ""
    """Why nothing was measured; empty if it was."""


def verdict(claims: Sequence[Claim]) -> list[str]:
    """One line per claim: where the mesh loses, where it misses its bounds, and the rest."""
    lines = [f"**we lose**: {each}" for each in claims if each.loses]
    lines += [f"**falls short**: {each}" for each in claims if each.misses and not each.loses]
    return lines + [str(each) for each in claims if not each.loses and not each.misses]


def _misses(value: float, wanted: float, more_is_better: bool) -> bool:  # noqa: FBT001 - the members of a claim
    return value < wanted if more_is_better else value > wanted


def _bound(wanted: float, more_is_better: bool) -> str:  # noqa: FBT001 - the same
    return f" (wanted {'≥' if more_is_better else '≤'} {wanted:,g})"


def markdown(head: Sequence[str], sections: Sequence[Found]) -> str:
    """The report as Markdown, without its plots."""
    parts = ["# The mesh in ratios", "", *(f"- {line}" for line in head), ""]
    for each in sections:
        parts += [f"## {each.title}", "", each.about, ""]
        if each.skipped:
            parts += [f"Skipped: {each.skipped}", ""]
        if each.claims:
            parts += [*(f"- {line}" for line in verdict(each.claims)), ""]
        for table in each.tables:
            rows = [table.columns, ["---"] * len(table.columns), *table.rows]
            parts += [f"{table.title}:", "", *(f"| {' | '.join(cells)} |" for cells in rows), ""]
    return "\n".join(parts)


def page(head: Sequence[str], sections: Sequence[Found]) -> str:
    """The report as one HTML page that loads nothing else."""
    parts = [_HEAD, *_list(head)]
    parts += [
        "<nav>",
        *(f'<a href="#{index}">{_text(each.title)}</a>' for index, each in enumerate(sections)),
        "</nav>",
    ]
    for index, each in enumerate(sections):
        parts += [f'<h2 id="{index}">{_text(each.title)}</h2>', f"<p>{_text(each.about)}</p>"]
        if each.skipped:
            parts.append(f"<p class=skipped>Skipped: {_text(each.skipped)}</p>")
        parts += _list(verdict(each.claims))
        parts += each.plots
        parts += [_table(table) for table in each.tables]
    return "\n".join([*parts, "</main></html>", ""])


def _list(lines: Sequence[str]) -> list[str]:
    return ["<ul>", *(f"<li>{_text(line)}</li>" for line in lines), "</ul>"] if lines else []


def _text(text: str) -> str:
    """Plain text with `**`, as HTML."""
    pieces = html.escape(text).split("**")
    return "".join(f"<b>{piece}</b>" if index % 2 else piece for index, piece in enumerate(pieces))


def _table(table: Table) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<div class=wide><table><caption>{_text(table.title)}</caption><tr>{head}</tr>{rows}</table></div>"
