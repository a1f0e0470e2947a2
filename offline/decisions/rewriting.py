"""Writes learned priors into a policy's document."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import yaml

from offline.decisions.learning import LearnedPrior
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.interpretation import PolicyError, policy_of

_ENDLESS: Final = 1 << 30

Contexts = Sequence[Mapping[str, object]]


class Rewritten(NamedTuple):
    """A document, and whether it keeps the old one's comments and layout."""

    text: str
    has_comments: bool


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


def rewritten(document: str, version: str, learned: Iterable[LearnedPrior]) -> Rewritten:
    """The document with another version and the learned contexts.

    Raises:
        PolicyError: the document is no policy, or would become none.
    """
    contexts: dict[str, list[Mapping[str, object]]] = {}
    for each in learned:
        prior = {"accepted": each.after.accepted, "refused": each.after.refused}
        contexts.setdefault(each.action, []).append({**each.context._asdict(), **prior})
    tree = _tree(document)
    actions = [
        {**each, "contexts": contexts[each["name"]]} if each["name"] in contexts else each for each in tree["actions"]
    ]
    wanted = {**tree, "version": version, "actions": actions}
    meant = policy_of(wanted)
    text = document
    for edit in sorted(_edits(document, tree, version, contexts), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    try:
        is_meant = policy_of(parse(text)) == meant
    except PolicyError:
        is_meant = False
    return Rewritten(text, True) if is_meant else Rewritten(yaml.safe_dump(wanted, sort_keys=False), False)


def _tree(document: str) -> dict[str, Any]:
    tree = parse(document)
    policy_of(tree)
    return cast("dict[str, Any]", tree)


def _edits(document: str, tree: Mapping[str, Any], version: str, contexts: Mapping[str, Contexts]) -> Iterator[_Edit]:
    """The edits to the text; the caller checks that the result means what it should."""
    root = _members(yaml.compose(document, Loader=yaml.SafeLoader))
    if "version" in root:
        yield _Edit(root["version"].start_mark.index, root["version"].end_mark.index, _flow(version))
    if "actions" not in root:
        return
    nodes = [each for each in root["actions"].value if isinstance(each, yaml.MappingNode)]
    changed = [node for node, action in zip(nodes, tree["actions"], strict=False) if action["name"] in contexts]
    for node, action in zip(nodes, tree["actions"], strict=False):
        if node in changed:
            yield _with_contexts(document, node, contexts[action["name"]])
        elif any(base in changed for base in _bases(node)):
            # An action that merges a changed one must not inherit its contexts.
            yield _with_contexts(document, node, action.get("contexts", []))


def _with_contexts(document: str, node: yaml.MappingNode, contexts: Contexts) -> _Edit:
    own = _members(node).get("contexts")
    if node.flow_style:
        rows = f"[{', '.join(map(_flow, contexts))}]"
        if own:
            return _Edit(own.start_mark.index, _end(own), rows)
        brace = node.end_mark.index - 1
        return _Edit(brace, brace, f", contexts: {rows}")
    margin = "\n" + " " * node.value[0][0].start_mark.column
    rows = "".join(f"{margin}  - {_flow(each)}" for each in contexts) or " []"
    if own:
        after_key = document.rindex(":", 0, own.start_mark.index) + 1
        return _Edit(after_key, _end(own), rows)
    end = document.find("\n", _end(node))
    end = len(document) if end < 0 else end
    return _Edit(end, end, f"{margin}contexts:{rows}")


def _members(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """A mapping's own members, not those merged into it."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return {key.value: value for key, value in pairs if isinstance(key, yaml.ScalarNode)}


def _bases(node: yaml.MappingNode) -> Sequence[yaml.Node]:
    merged = _members(node).get("<<")
    return merged.value if isinstance(merged, yaml.SequenceNode) else [merged] if merged else []


def _end(node: yaml.Node) -> int:
    """Where a node's text ends; a block's end mark is only where the next node begins."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(node, yaml.MappingNode) else last
    return int(node.end_mark.index)


def _flow(value: object) -> str:
    """A value as one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=_ENDLESS)
    return text.removesuffix("\n").removesuffix("\n...")
