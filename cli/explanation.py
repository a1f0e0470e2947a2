"""A decision explained in reading order: events, features and risk, candidates, message, outcome."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from cli.terminal import plain
from services.intervention.decision.domain.reasons import counted

Json = Mapping[str, Any]

WIDTH: Final = 80

_BAR: Final = 20
_WITHDRAWALS: Final = {
    "solved": "the problem it was for is solved",
    "session_ended": "the session has ended",
    "identified": "what the user did under another id rules it out",
}
_EVENTS: Final = 6


class Section(NamedTuple):
    """A heading and the lines below it."""

    title: str
    lines: Sequence[str]


def explanation(decision: Json, events: Sequence[Json], receipt: Json | None) -> Iterator[Section]:
    """A decision's sections, given the user's last events, newest first, and the receipt of the event it is about."""
    yield Section(_title(decision), _reasons(decision))
    yield Section(f"What happened to {plain(decision['userId'])}", _events(decision, events, receipt))
    if decision["features"]:
        yield Section(f"Features ({decision['featureSchemaVersion']})", _features(decision["features"]))
    if decision["assessment"]:
        yield Section(_risk(decision["assessment"]), [*_told(decision), *_contributions(decision)])
    if decision.get("segment") or decision.get("recommended"):
        yield Section("Segment", _segment(decision))
    yield Section("Candidates", _candidates(decision))
    if decision["exposure"]:
        yield Section("Experiment", _exposure(decision["exposure"]))
    # Gateways before arms leave it out.
    if decision.get("arm"):
        yield Section("Arm", [f"The policy of arm {plain(decision['arm'])} decided, as policies are compared."])
    if decision["intervention"]:
        yield Section("Message", _message(decision["intervention"]))
        yield Section("Deliveries", _deliveries(decision["deliveries"], decision["intervention"]))
        yield Section("Outcome", _outcome(decision))


def listed(decisions: Sequence[Json], most: int = 10) -> Section:
    """One line per decision, in the order given."""
    lines = [
        f"{_clock(each['decisionTime'])}  {plain(each['id']):24.24}  {each['kind']:9}  {_word(_reason(each)):24.24}"
        f" {each['assessment']['score'] if each['assessment'] else 0:5.1f}"
        for each in decisions[:most]
    ]
    if len(decisions) > most:
        lines.append(f"and {len(decisions) - most} more")
    return Section(counted(len(decisions), "decision"), lines)


def _title(decision: Json) -> str:
    did = "Help" if decision["kind"] == "intervene" else "No help"
    at = decision["decisionTime"] or "an unknown time"
    return f"{did}, at {at} (decision {plain(decision['id'])})"


def _reasons(decision: Json) -> list[str]:
    further = ", ".join(_word(each) for each in decision["reasons"][1:])
    versions = [f"{each} {decision[f'{each}Version']}" for each in ("policy", "rules", "model")]
    return [
        *_wrapped(decision["explanation"] or _word(_reason(decision))),
        *_wrapped(f"Also: {further}." if further else ""),
        *_withdrawn(decision.get("withdrawn")),
        *_wrapped(", ".join(versions)),
        *_wrapped(f"trace {decision['traceId']}"),
    ]


def _events(decision: Json, events: Sequence[Json], receipt: Json | None) -> list[str]:
    newest = next((i for i, each in enumerate(events) if each.get("eventId") == decision["eventId"]), None)
    shown = [] if newest is None else events[newest : newest + _EVENTS]
    lines = [_event(each, is_cause=each is events[newest or 0]) for each in reversed(shown)]
    if not lines:
        lines = [f"> the event {plain(decision['eventId'])} on {plain(decision['page']) or 'no page'}"]
    if receipt is not None and receipt["duplicateCount"]:
        lines.append(f"It was sent {counted(receipt['duplicateCount'], 'more time')} and counted once.")
    return lines


def _event(event: Json, *, is_cause: bool) -> str:
    about = " ".join(
        f"{name}={_short(value)}" for name, value in event["properties"].items() if not isinstance(value, list | dict)
    )
    line = f"{'>' if is_cause else ' '} {_clock(event['timestamp'])}  {event.get('eventType') or '?':20} {about}"
    return _cut(line)


def _features(features: Sequence[Json]) -> list[str]:
    return _wrapped(", ".join(f"{each['name']} {each['value']:g}" for each in features))


def _risk(assessment: Json) -> str:
    return (
        f"Exit risk {assessment['score']:.1f}, {assessment['level'] or 'unknown'}, confidence "
        f"{assessment['confidence']:.2f} (rules alone {assessment['ruleScore']:.1f}, "
        f"model alone {assessment['modelScore']:.1f})"
    )


def _told(decision: Json) -> list[str]:
    """The probability that was told, and of what; nothing where none was, or by a gateway that does not say so."""
    told, of = decision["assessment"].get("probability"), plain(decision.get("modelOutcome") or "")
    if told is None:
        return []
    return _wrapped(f"Told: a probability of {told:.1%}" + (f" for “{of}”." if of else "."))


def _contributions(decision: Json) -> list[str]:
    assessment = decision["assessment"]
    indicators = assessment["indicators"]
    if indicators:
        rest = assessment["score"] - sum(each["contribution"] for each in indicators)
        what = "the other rules and features, and the base rate"
        indicators = [*indicators, {"name": "all else", "contribution": rest, "reason": what}]
    largest = max((abs(each["contribution"]) for each in indicators), default=0) or 1
    return [
        _cut(
            f"{plain(each['name']):22.22} {each['contribution']:+6.1f} "
            f"{'█' * round(abs(each['contribution']) / largest * _BAR):{_BAR}} {plain(each['reason'])}"
        )
        for each in indicators
    ]


def _segment(decision: Json) -> list[str]:
    name, group, since = plain(decision["segment"]) or "none", plain(decision["group"]), decision["segmentTime"]
    products = ", ".join(_product(each) for each in decision["recommended"])
    return [
        *_wrapped(name + (f", in {group}" if group else "") + (f", since {since}" if since else "")),
        *_wrapped(f"Recommended: {products}." if products else ""),
    ]


def _product(of: Json) -> str:
    return f"{of['name'] or of['productId']}" + (f" ({_word(of['reason'])})" if of["reason"] else "")


def _candidates(decision: Json) -> list[str]:
    candidates = decision["candidates"]
    if not candidates:
        return [f"No candidates were considered: {_word(_reason(decision))}."]
    lines = [f"  {'action':24} {'channel':8} {'success':>7} {'propensity':>10}"]
    for each in candidates:
        is_nothing = each["action"] == "none"
        success = "" if is_nothing else f"{each['successProbability']:.2f}"
        chance = f"refused: {_word(each['refusal'])}" if each["refusal"] else f"{each['propensity']:10.3f}"
        action = "do nothing" if is_nothing else plain(each["action"])
        mark = ">" if each["isChosen"] else " "
        lines.append(_cut(f"{mark} {action:24.24} {plain(each['channel']):8.8} {success:>7} {chance}"))
    drawn = f"The draw was {decision['draw']:.6f}; the chosen candidate's propensity was "
    return [*lines, f"{drawn}{decision['propensity']:.3f}."]


def _exposure(exposure: Json) -> list[str]:
    of = f"experiment {plain(exposure['experiment'])}" if exposure["experiment"] else "the experiment"
    if exposure["isTreated"]:
        return [f"From here on the user is in the treated group of {of}."]
    return [f"From here on the user is in the holdout of {of}: no help."]


def _message(intervention: Json) -> list[str]:
    products = ", ".join(_product(each) for each in intervention.get("products", ()))
    said = [*_wrapped(f"“{intervention['message']}”"), *_wrapped(f"It offers {products}." if products else "")]
    wording = intervention["wording"]
    if wording is None:
        return [*said, "The text comes from the template; no model was asked, or it has not answered yet."]
    who = f"{plain(wording['modelId'])}, prompt {plain(wording['promptVersion'])} ({wording['promptHash'][:12]})"
    cost = "from the cache" if wording["isCached"] else f"${wording['costMicroUsd'] / 1e6:.6f}"
    tokens = f"{wording['inputTokens']} + {wording['outputTokens']} tokens, {cost}"
    if wording["isUsed"]:
        return [*said, *_wrapped(f"The text comes from {who}: {tokens}.")]
    why = f"was not used: {_word(wording['refusal'])}"
    return [*said, *_wrapped(f"The text comes from the template. {who} {why}; {tokens}.")]


def _deliveries(deliveries: Sequence[Json], intervention: Json) -> list[str]:
    if not deliveries:
        others = {intervention["channel"], *intervention["alsoChannels"]} - {"in_app"}
        unknown = f"no delivery by {', '.join(sorted(map(plain, others)))} is known, or it has expired"
        return _wrapped(unknown) if others else ["in the product only"]
    return [
        _cut(
            f"{plain(each['channel']):8} {each['state'] or '?'} by {plain(each['provider']) or 'nobody'}, tries: "
            f"{each['attemptCount']}" + (f", {_word(each['reason'])}" if each["reason"] else "")
        )
        for each in deliveries
    ]


def _outcome(decision: Json) -> list[str]:
    outcome, reason = decision["outcome"] or "nothing yet", decision.get("withdrawalReason")
    why = _WITHDRAWALS.get(reason or "")
    return _wrapped(f"{outcome}: {why}" if why else outcome)


def _withdrawn(withdrawn: Json | None) -> list[str]:
    if withdrawn is None:
        return []
    why = _WITHDRAWALS.get(withdrawn["reason"] or "", "it was no longer useful")
    return _wrapped(f"This event withdrew {withdrawn['interventionId']}: {why}.")


def _reason(decision: Json) -> str | None:
    return decision["reasons"][0] if decision["reasons"] else None


def _word(reason: str | None) -> str:
    return plain(reason or "unknown").replace("_", " ")


def _clock(time: str | None) -> str:
    """The time of day of an RFC 3339 time."""
    return (time or "")[11:19] or "--:--:--"


def _short(value: object) -> str:
    return _cut(plain(value), 24)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(plain(text), WIDTH - 2)


def _cut(line: str, width: int = WIDTH - 2) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"
