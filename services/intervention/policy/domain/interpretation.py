"""What a policy document means, and what is wrong with one that means nothing."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, cast

import msgspec

from comparison.assignment import Allocation, Arm
from records import patterns
from records.tenants import DEFAULT, qualified
from services.intervention.policy.domain import policy
from services.intervention.policy.domain.document import Action, Difficulty, Document, Experiment, QuietHours
from services.intervention.policy.domain.message import VERSION as MESSAGES_VERSION
from services.intervention.policy.domain.policy import ANY, IN_APP, ORIENTATION, TECHNICAL, EventKind, Policy, Prior

_UNITS: Final = {"s": policy.SECOND_US, "m": policy.MINUTE_US, "h": policy.HOUR_US, "d": policy.DAY_US}
_DAY_MINUTES: Final = 24 * 60
_RULES_VERSION: Final = "decisions-4"
_EVENTS: Final = frozenset(kind.name.lower() for kind in EventKind if kind is not EventKind.SEGMENT_CHANGE)
# What the offers of a user are remembered by; a rule that looks further back could not be kept.
_LONGEST_US: Final = 31 * policy.DAY_US


class PolicyError(Exception):
    """The document is not a policy; the text is one sentence for its author."""


def policy_of(tree: object, tenant: str = DEFAULT) -> Policy:
    """The policy a document means, for a tenant. `tree` is the document as lists, dictionaries and scalars.

    Raises:
        PolicyError: it does not have the shape, or contradicts itself.
    """
    document = _document(tree)
    trouble = _trouble(document)
    if trouble:
        raise PolicyError(trouble)
    return _policy(document, _version(document, tenant), tenant)


def stored_policy(tree: object, version: str, tenant: str = DEFAULT) -> Policy:
    """The policy that a document meant when it was put in force as this version, whatever would be refused today.

    Raises:
        PolicyError: it is of a newer build, and says what this one does not know.
    """
    return _policy(_document(tree), version, tenant)


def canonical(tree: object) -> str:
    """A document as JSON, with all that it leaves to defaults, so that other defaults do not change what it means.

    Raises:
        PolicyError: it does not have the shape.
    """
    return msgspec.json.encode(_document(tree), order="deterministic").decode()


def schema() -> dict[str, object]:
    """The shape of a document as JSON Schema."""
    return cast("dict[str, object]", patterns.told(msgspec.json.schema(Document)))


def _document(tree: object) -> Document:
    try:
        return msgspec.convert(tree, Document)
    except msgspec.ValidationError as error:
        raise PolicyError(str(error)) from None


def _policy(of: Document, version: str, tenant: str) -> Policy:
    return Policy(
        version=version,
        trigger_score=of.trigger.score,
        trigger_signal_count=of.trigger.strong_signals,
        least_confidence=of.eligibility.least_confidence,
        quiet_pages=of.eligibility.quiet_pages,
        cooldown_us=_us(of.cooldown),
        freshness_us=_us(of.freshness),
        caps=tuple(
            policy.Cap(
                each.most,
                each.per,
                _unless_any(each.channel),
                _unless_any(each.topic),
                frozenset(each.segments or ()),
            )
            for each in of.caps
        ),
        quiet=_quiet(of.quiet_hours) if of.quiet_hours else None,
        business_hours=policy.BusinessHours(
            of.office_hours.opens, of.office_hours.closes, _us(of.office_hours.least_left)
        ),
        suppressed_users=_users(of.suppression.users, tenant),
        suppressed_channels={channel: _users(users, tenant) for channel, users in of.suppression.channels.items()},
        escalation_count=of.escalation.after,
        escalation_us=_us(of.escalation.within),
        high_value=of.high_value.least,
        high_value_currency=of.high_value.currency,
        welcome_outcome_count=of.welcome.least_outcomes,
        welcome_probability=of.welcome.least_probability,
        conversion=policy.Conversion(of.conversion.event, of.conversion.target, _us(of.conversion.within)),
        holdout=policy.Holdout(of.holdout.share, of.holdout.salt),
        exploration=policy.Exploration(
            of.exploration.temperature, of.exploration.floor, of.exploration.salt, of.exploration.nothing_utility
        ),
        priors={channel: Prior(each.accepted, each.refused) for channel, each in of.priors.items()},
        actions=tuple(map(_action, of.actions)),
        experiment=_experiment(of, version, tenant) if of.experiment else None,
    )


def _experiment(of: Document, version: str, tenant: str) -> policy.Experiment | None:
    compared = of.experiment
    if compared is msgspec.UNSET:
        return None
    control = msgspec.structs.replace(of, experiment=msgspec.UNSET)
    arms = tuple(Arm(each.name, each.weight) for each in compared.arms)
    return policy.Experiment(
        compared.id,
        tenant,
        Allocation(compared.salt, arms, compared.percent, compared.holdout_percent),
        {each.name: _policy(each.policy or control, version, tenant) for each in compared.arms},
    )


def _users(named: Iterable[str], tenant: str) -> frozenset[str]:
    """The users whom a tenant's document names, by ids or hashes; that of the mesh writes ids of tenants in full."""
    return frozenset(qualified(tenant, each) for each in named) if tenant else frozenset(named)


def _action(of: Action) -> policy.Action:
    return policy.Action(
        name=of.name,
        type=of.type,
        need=of.need,
        channel=of.channel,
        also_channels=of.also_channels,
        topic=of.topic,
        handled_by=of.handled_by,
        levels=frozenset(of.levels),
        difficulties=frozenset(of.difficulties),
        content={str(kind): words for kind, words in of.content.items()},
        offer={str(kind): sentence for kind, sentence in of.offer.items()},
        lifetime_us=_us(of.lifetime),
        deliver_us=_us(of.deliver_within),
        is_in_business_hours=of.in_office_hours,
        is_transactional=of.transactional,
        uses_generated_copy=of.worded,
        dismissed_us=_us(of.dismissed_for),
        worth=of.worth,
        cost=of.cost,
        prior=Prior(of.prior.accepted, of.prior.refused) if of.prior else None,
        contexts=tuple(
            policy.ContextPrior(each.level, each.difficulty, each.accepted, each.refused) for each in of.contexts
        ),
        segments=frozenset(of.segments or ()),
        recommends=of.recommends or 0,
    )


def _trouble(of: Document) -> str | None:
    """What contradicts itself, in a sentence; None where nothing does."""
    names = [action.name for action in of.actions]
    unnamed = {each for action in of.actions for each in (action.channel, *action.also_channels)} - set(of.priors)
    durations = {
        "freshness": of.freshness,
        "cooldown": of.cooldown,
        "escalation": of.escalation.within,
        "conversion": of.conversion.within,
        **{f"dismissed_for of {each.name}": each.dismissed_for for each in of.actions},
    }
    checks = {
        "Two actions have one name.": len(set(names)) < len(names),
        f"priors must name each channel of an action, and is without {', '.join(sorted(unnamed))}.": bool(unnamed),
        f"conversion.event must be one of {', '.join(sorted(_EVENTS))}.": of.conversion.event not in _EVENTS,
        "freshness must be longer than nothing: no event comes in the moment it happens.": _us(of.freshness) == 0,
        "office_hours.opens must lie before office_hours.closes.": of.office_hours.opens >= of.office_hours.closes,
        f"quiet_hours must last {policy.LEAST_QUIET_MINUTES} minutes at least, and leave as many.": (
            of.quiet_hours is not None and _is_too_narrow(of.quiet_hours)
        ),
        "exploration.floor is too large: the floors of all actions and of doing nothing must sum to at most 1.": (
            of.exploration.floor * (len(of.actions) + 1) > 1
        ),
    }
    for action in of.actions:
        checks |= _action_checks(action)
    if of.experiment is not msgspec.UNSET:
        checks |= _experiment_checks(of, of.experiment)
    for name, duration in durations.items():
        checks[f"{name} is longer than 31 days."] = _us(duration) > _LONGEST_US
    return next((sentence for sentence, is_wrong in checks.items() if is_wrong), None)


def _experiment_checks(of: Document, compared: Experiment) -> Mapping[str, bool]:
    names = [each.name for each in compared.arms]
    checks = {
        "Two arms of the experiment have one name.": len(set(names)) < len(names),
        "The first arm of the experiment is the control: it has no policy, as it is this one.": (
            compared.arms[0].policy is not None
        ),
    }
    for each in compared.arms:
        other = each.policy
        if other is None:
            continue
        checks[f"The policy of arm {each.name} has an experiment of its own."] = other.experiment is not msgspec.UNSET
        for name in ("freshness", "conversion", "holdout"):
            checks[f"The policy of arm {each.name} has another {name}: then arms could not be compared."] = getattr(
                other, name
            ) != getattr(of, name)
        trouble = None if other.experiment is not msgspec.UNSET else _trouble(other)
        checks[f"Arm {each.name}: {trouble}"] = trouble is not None
    return checks


def _action_checks(of: Action) -> Mapping[str, bool]:
    speaks_of = {str(each) for each in of.difficulties} or {ANY}
    return {
        f"Action {of.name}: offer needs a sentence for each difficulty, or for any.": not _covers(of.offer, speaks_of),
        f"Action {of.name}: content must say what is offered for each difficulty, or for any.": (
            not _covers(of.content, speaks_of)
        ),
        f"Action {of.name}: lifetime must be longer than nothing.": _us(of.lifetime) == 0,
        f"Action {of.name}: its channel stands among also_channels.": of.channel in of.also_channels,
        f"Action {of.name}: with other channels, in_app stands among also_channels, as it shows at once.": (
            of.channel == IN_APP and bool(of.also_channels)
        ),
        f"Action {of.name}: an action in office hours needs another channel than in_app.": (
            of.in_office_hours and of.channel == IN_APP and of.need == policy.URGENT
        ),
    }


def _covers(by_difficulty: Mapping[Difficulty, object], difficulties: set[str]) -> bool:
    missing = difficulties - set(by_difficulty)
    return ANY in by_difficulty or not missing or (missing == {ANY} and {TECHNICAL, ORIENTATION} <= set(by_difficulty))


def _is_too_narrow(of: QuietHours) -> bool:
    length = (_minute(of.end) - _minute(of.start)) % _DAY_MINUTES
    return not policy.LEAST_QUIET_MINUTES <= length <= _DAY_MINUTES - policy.LEAST_QUIET_MINUTES


def _quiet(of: QuietHours) -> policy.QuietHours:
    return policy.QuietHours(_minute(of.start), _minute(of.end), frozenset(of.channels), of.then == "hold")


def _us(duration: str) -> int:
    return int(duration[:-1]) * _UNITS[duration[-1]]


def _minute(of_day: str) -> int:
    hour, minute = of_day.split(":")
    return int(hour) * 60 + int(minute)


def _unless_any(word: str) -> str:
    return "" if word == ANY else word


def _version(of: Document, tenant: str) -> str:
    """The document's name, and eight hexadecimal digits of all that decides: document, sentences, the code's rules.

    That of a tenant's begins with the tenant: `acme/policy-2+3f9a0c1d`.

    Another build may give another name, so a policy keeps the one that it was put in force with.
    """
    content = msgspec.json.encode([_RULES_VERSION, MESSAGES_VERSION, of], order="deterministic")
    name = f"{of.version}+{hashlib.sha256(content).hexdigest()[:8]}"
    return f"{tenant}/{name}" if tenant else name
