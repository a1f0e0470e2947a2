"""PromQL read back, knowing nothing of what made it: which metrics an expression names, and which labels."""

import re
from typing import Final, NamedTuple

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR: Final = re.compile(r"([A-Za-z_:][\w:]*)\s*\{([^}]*)\}")
_GROUPED: Final = re.compile(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)")
_DURATION: Final = re.compile(r"\[[^\]]*\]|\boffset\s+\S+?(?=[\s)]|$)")
_NAME: Final = re.compile(r"(?<![\w$.])[A-Za-z_:][\w:]*")
_OPERATORS: Final = {"and", "or", "unless", "bool", "sum", "max", "min", "count"}
_FUNCTIONS: Final = {"rate", "increase", "histogram_quantile", "last_over_time", "time"}


class Names(NamedTuple):
    """What an expression names: metrics each with the labels it is selected by, and labels series are grouped by."""

    selected: dict[str, set[str]]
    grouped: set[str]


def names(expression: str) -> Names:
    """The names of an expression."""
    bare = _DURATION.sub("", _STRING.sub("''", expression))
    selected: dict[str, set[str]] = {}
    for metric, matchers in _SELECTOR.findall(bare):
        selected.setdefault(metric, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
    grouped = {label.strip() for labels in _GROUPED.findall(bare) for label in labels.split(",") if label.strip()}
    rest = _GROUPED.sub("", re.sub(r"\{[^}]*\}", "", bare))
    for name in _NAME.findall(rest):
        if name not in _OPERATORS | _FUNCTIONS:
            selected.setdefault(name, set())
    return Names(selected, grouped)
