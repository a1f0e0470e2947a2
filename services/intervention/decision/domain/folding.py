"""Folding: what rows of a ledger block have in common is written once, as texts, indicators and standings.

A user in trouble has nearly the same indicators and the same standing event after event. Written out, they took up to a
hundred times the space of the event itself.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from services.intervention.decision.domain.decision import Exceptional, Verdict
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Assessment, Indicator
from services.intervention.decision.domain.offer import Standing

Texts = dict[str, int]
"""The number of each text, ascending."""
FoldedIndicators = tuple[tuple[int, float, int], ...]
"""Indicators: the number of the name, the contribution, the number of the reason."""

Features = tuple[float, ...]

FEW_ROWS: Final = 4
"""At most this many rows of a block are not worth folding."""
_LEVEL: Final = 1
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_TEXTS: Final = msgspec.msgpack.Decoder(tuple[str, ...]).decode


class Folded(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An exceptional row that says little. Standing, features, time zone and target are numbers of what it shares.

    Its verdict is reasons alone; the sentence is derived from the rest.
    """

    standing: int
    time_zone: int
    kind: int
    target: int
    is_settled: bool
    reasons: tuple[Reason, ...]
    features: int


class FoldedRows(msgspec.Struct, frozen=True, array_like=True):
    """Folded rows, and the standings and features that they name by number."""

    standings: tuple[Standing, ...] = ()
    features: tuple[Features, ...] = ()
    folded: dict[int, Folded] = {}


NO_ROWS: Final = FoldedRows()


def pack(texts: Texts) -> bytes:
    """The texts as bytes."""
    return zlib.compress(_ENCODE(tuple(texts)), _LEVEL)


def unpack(packed: bytes) -> Sequence[str]:
    """The texts from bytes; empty bytes hold none."""
    return _TEXTS(zlib.decompress(packed)) if packed else ()


def fold_indicators(
    assessments: Sequence[Assessment], texts: Texts
) -> tuple[list[Assessment], dict[int, int | FoldedIndicators]]:
    """The assessments without indicators, and by row the indicators or an earlier row with the same. Adds texts."""
    number = texts.setdefault
    bare: list[Assessment] = []
    folded: dict[int, int | FoldedIndicators] = {}
    rows: dict[FoldedIndicators, int] = {}
    for row, each in enumerate(assessments):
        if not each.indicators:
            bare.append(each)
            continue
        its = tuple(
            [
                (number(name, len(texts)), contribution, number(reason, len(texts)))
                for name, contribution, reason in [(one.name, one.contribution, one.reason) for one in each.indicators]
            ]
        )
        first = rows.setdefault(its, row)
        folded[row] = its if first == row else first
        bare.append(msgspec.structs.replace(each, indicators=()))
    return bare, folded


def unfold_indicators(
    assessments: Sequence[Assessment], folded: Mapping[int, int | FoldedIndicators], texts: Sequence[str]
) -> list[Assessment]:
    """The assessments with their indicators."""
    whole = list(assessments)
    for row, its in folded.items():
        indicators = (
            whole[its].indicators
            if isinstance(its, int)
            else tuple([Indicator(texts[name], contribution, texts[reason]) for name, contribution, reason in its])
        )
        whole[row] = msgspec.structs.replace(whole[row], indicators=indicators)
    return whole


def fold_rows(exceptional: Mapping[int, Exceptional], texts: Texts) -> FoldedRows:
    """The rows that say little, if they are many. Adds to the texts."""
    plain = {row: each for row, each in exceptional.items() if _is_plain(each)}
    if len(plain) <= FEW_ROWS:
        return NO_ROWS
    standings: dict[bytes, tuple[int, Standing]] = {}
    features: dict[Features, int] = {}
    folded = {
        row: Folded(
            standings.setdefault(_ENCODE(each.standing), (len(standings), each.standing))[0],
            texts.setdefault(each.time_zone, len(texts)),
            each.kind,
            texts.setdefault(each.target, len(texts)),
            each.is_settled,
            each.verdict.reasons,
            features.setdefault(each.features, len(features)),
        )
        for row, each in plain.items()
    }
    return FoldedRows(
        tuple([standing for _, standing in standings.values()]), tuple([_shorter(each) for each in features]), folded
    )


def unfold_rows(rows: FoldedRows, texts: Sequence[str]) -> dict[int, Exceptional]:
    """The rows, without the sentence of their verdict."""
    return {
        row: Exceptional(
            texts[each.time_zone],
            None,
            rows.standings[each.standing],
            Verdict(each.reasons, "", None),
            each.kind,
            texts[each.target],
            features=rows.features[each.features],
            is_settled=each.is_settled,
        )
        for row, each in rows.folded.items()
    }


def _shorter(features: Features) -> Features:
    """The same numbers; whole ones as integers, which are shorter and are read as what they were."""
    return tuple([int(each) if each.is_integer() else each for each in features])


def _is_plain(of: Exceptional) -> bool:
    """Whether a row consists of its standing and its reasons, so that its sentence can be derived from them."""
    verdict = of.verdict
    is_bare = verdict == Verdict(verdict.reasons, verdict.explanation, None)
    return is_bare and of.outcome is None and of.bought is None
