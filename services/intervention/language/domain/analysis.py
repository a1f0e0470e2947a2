"""What stands out about one user: what is known, what a language model may say of it, and what is said without one."""

from typing import Annotated, Final, Literal

import msgspec

from services.intervention.decision.domain.facts import LEVEL_NAMES, Indicator, Level
from services.intervention.decision.domain.situation import difficulties, kind_of_difficulty
from services.intervention.language.domain import buying, screening
from services.intervention.language.domain.buying import Buying
from services.intervention.language.domain.conversation import (
    UNUSABLE_STOPS,
    Answer,
    Complexity,
    NotAnswered,
    Question,
    Refusal,
    Stop,
    Tool,
    Turn,
    Usage,
)
from services.intervention.language.domain.prompt import DEEP, QUICK, STRATEGY, Prompt
from services.intervention.policy.domain.policy import ORIENTATION, TECHNICAL

PROMPTS: Final[dict[Complexity, Prompt]] = {
    Complexity.QUICK: QUICK,
    Complexity.STRATEGY: STRATEGY,
    Complexity.DEEP: DEEP,
}
TEMPLATE: Final = "template"
TOOLS: Final = (
    Tool("struggle", "The user's exit risk, its reasons, the signals of struggle and how the risk went lately."),
    Tool("video", "What the user watched and how, and what suits them; empty if they watched nothing."),
    Tool("intervention", "The help that waits for the user, and the last decisions on help with what came of them."),
    Tool(
        "purchases",
        "The user's last orders with what was given back, how often they buy, and what they are likely to buy next; "
        "empty if they bought nothing.",
    ),
)
MOST_TURNS: Final = 6
MOST_TOKENS: Final = 24_000
"""Tokens a deep analysis may use in total."""
NOT_LOOKED_UP: Final = "This cannot be looked up now."
_LONGEST_SENTENCE: Final = 240
_LONGEST_RESULT: Final = 6_000
_MOST_DISTANCE: Final = 20.0
_HIGH_ENGAGEMENT: Final = 70.0
_LOW_ENGAGEMENT: Final = 40.0
_BY_DIFFICULTY: Final = {
    TECHNICAL: "Look into what did not work for the user, and tell them once it does.",
    ORIENTATION: "Show the user a guide to what they are looking for.",
}


class Struggle(msgspec.Struct, frozen=True):
    """A user's exit risk as scoring knows it. Lists begin with the strongest or the newest."""

    score: float
    level: int
    confidence: float
    indicators: tuple[Indicator, ...]
    signals: tuple[str, ...] = ()
    history: tuple[float, ...] = ()


class Watching(msgspec.Struct, frozen=True):
    """How a user watches videos, according to the video service; empty is unknown."""

    engagement_score: float
    video_count: int
    best_completion: float
    preferred_content: str = ""
    best_hours: str = ""
    recommended: str = ""


class Past(msgspec.Struct, frozen=True):
    """One decision on help: its deciding reason, the action (empty for none), and what came of it (empty: nothing)."""

    reason: str
    action: str = ""
    channel: str = ""
    outcome: str = ""


class Helping(msgspec.Struct, frozen=True):
    """What waits for a user (empty: nothing), and the last decisions, newest first.

    `engagement_score` is of the newest decision that knew it, 0 to 100.
    """

    waiting_action: str = ""
    waiting_channel: str = ""
    past: tuple[Past, ...] = ()
    engagement_score: float | None = None


class Known(msgspec.Struct, frozen=True):
    """All that is known of a user; nothing of videos where none was watched, or of purchases where nothing was bought.

    `is_buying_known`: whether it could be looked up what the user bought.
    """

    struggle: Struggle
    watching: Watching | None
    helping: Helping
    buying: Buying | None = None
    is_buying_known: bool = True


class Findings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands out: risk 0 to 100, actions and insights most important first. The shape a model answers in."""

    exit_risk_score: Annotated[float, msgspec.Meta(ge=0, le=100)]
    engagement_level: Literal["low", "medium", "high"]
    recommended_actions: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=5)]
    key_insights: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=5)]


class Analysis(msgspec.Struct, frozen=True):
    """An analysis: what was found, by whom, why not by a model, what it cost, and what the model looked up.

    `source` is `template` or a model. `usage` and `prompt` are None where no model was asked.
    """

    user_id: str
    findings: Findings
    source: str
    refusal: str
    usage: Usage | None
    prompt: Prompt | None
    tool_calls: tuple[str, ...]
    analyzed_us: int


_DECODE: Final = msgspec.json.Decoder(Findings).decode


def question(complexity: Complexity, known: Known, user_id: str) -> Question:
    """One question with everything that is known."""
    prompt = PROMPTS[complexity]
    data = {
        "struggle": struggle_data(known.struggle, user_id),
        "intervention": help_data(known.helping),
        "video": watching_data(known.watching, user_id),
    }
    if not known.is_buying_known:
        data["purchases"] = {"error": NOT_LOOKED_UP}
    elif known.buying is not None:
        data["purchases"] = buying.buying_data(known.buying, user_id)
    turn = Turn(is_model=False, text=screening.data_block(data))
    return Question(prompt.version, prompt.text, (turn,), prompt.most_tokens)


def opening() -> Question:
    """A question that names only what the model may look up."""
    turn = Turn(is_model=False, text="Examine the user.")
    return Question(DEEP.version, DEEP.text, (turn,), DEEP.most_tokens, TOOLS)


def struggle_data(of: Struggle, user_id: str) -> dict[str, object]:
    """The risk as the model sees it."""
    return {
        "exit_risk_score": round(of.score, 1),
        "level": LEVEL_NAMES[of.level],
        "confidence": round(of.confidence, 2),
        "reasons": [
            {"name": each.name, "points": round(each.contribution, 1), "why": screening.clean(each.reason, user_id)}
            for each in of.indicators
        ],
        "signals": [screening.clean(each, user_id) for each in of.signals],
        "history": [round(each, 1) for each in of.history],
    }


def watching_data(of: Watching | None, user_id: str) -> dict[str, object]:
    """How the user watches videos, as the model sees it."""
    if of is None:
        return {}
    return {
        "engagement_score": round(of.engagement_score, 1),
        "video_count": of.video_count,
        "best_completion_ratio": round(of.best_completion, 2),
        "preferred_content": screening.clean(of.preferred_content, user_id),
        "best_viewing_hours": screening.clean(of.best_hours, user_id),
        "recommended_content": screening.clean(of.recommended, user_id),
    }


def help_data(of: Helping) -> dict[str, object]:
    """The interventions as the model sees them."""
    return {
        "waiting": {"action": of.waiting_action, "channel": of.waiting_channel} if of.waiting_action else None,
        "decisions": [msgspec.to_builtins(each) for each in of.past],
        "engagement_score": of.engagement_score,
    }


def result_text(found: dict[str, object]) -> str:
    """What a tool found, as the model gets it: JSON marked as data, or an error where it would be too long."""
    text = screening.data_block(found)
    return text if len(text) <= _LONGEST_RESULT else screening.data_block({"error": "too much to tell"})


def findings_of(answer: Answer, prompt: Prompt, known: Known) -> Findings:
    """What a model found, once it has passed every check.

    Raises:
        NotAnswered: it cannot be used.
    """
    if answer.stop is not Stop.END:
        raise NotAnswered(UNUSABLE_STOPS.get(answer.stop, Refusal.MALFORMED))
    try:
        found = _DECODE(screening.unfenced(answer.text))
    except (msgspec.DecodeError, UnicodeError):
        is_refusing = screening.is_refusing(answer.text)
        raise NotAnswered(Refusal.REFUSED if is_refusing else Refusal.MALFORMED) from None
    sentences = (*found.recommended_actions, *found.key_insights)
    if any(len(each) > _LONGEST_SENTENCE for each in sentences):
        raise NotAnswered(Refusal.TOO_LONG)
    said = ". ".join(each.rstrip(".") for each in sentences)
    screening.check(said, prompt.text)
    screening.check_echo(said, filter(screening.is_order, _user_made(known)))
    if abs(found.exit_risk_score - known.struggle.score) > _MOST_DISTANCE:
        raise NotAnswered(Refusal.CONTRADICTS)
    return found


def template(known: Known) -> Findings:
    """What stands out, in fixed sentences: the same for the same knowledge."""
    struggle, level = known.struggle, LEVEL_NAMES[known.struggle.level]
    insights = [f"Exit risk is {struggle.score:.0f} of 100, which is {level}."]
    bought = _bought(known)
    most = 2 if bought else 3
    insights += [_sentence(each.reason) for each in struggle.indicators[:most] if each.contribution > 0]
    if known.helping.waiting_action:
        insights.append("Help waits for the user already.")
    insights += bought
    if not known.helping.waiting_action and known.watching is not None and known.watching.preferred_content:
        insights.append(f"Watches {known.watching.preferred_content} content best.")
    return Findings(
        exit_risk_score=round(struggle.score, 1),
        engagement_level=engagement_level(known),
        recommended_actions=_actions(known),
        key_insights=tuple(insights[:5]),
    )


def engagement_level(known: Known) -> Literal["low", "medium", "high"]:
    """How the user takes part: by the engagement of the last decision, else of the videos, else by the risk alone."""
    score = known.helping.engagement_score
    if score is None:
        score = known.watching.engagement_score if known.watching is not None else 100.0 - known.struggle.score
    if score >= _HIGH_ENGAGEMENT:
        return "high"
    return "medium" if score >= _LOW_ENGAGEMENT else "low"


def _actions(known: Known) -> tuple[str, ...]:
    level = known.struggle.level
    kind = kind_of_difficulty(difficulties(known.struggle.indicators))
    actions = []
    if known.helping.waiting_action:
        actions.append("Wait for an answer to the help that was offered.")
    elif level >= Level.HIGH:
        actions.append("Offer a live chat now.")
    elif level == Level.MEDIUM:
        actions.append("Offer help by the channel the user welcomes.")
    if level >= Level.MEDIUM and kind in _BY_DIFFICULTY:
        actions.append(_BY_DIFFICULTY[kind])
    if known.watching is not None and known.watching.recommended:
        actions.append(f"Recommend {known.watching.recommended}.")
    if known.buying is not None:
        actions += [f"Offer {each.product} again." for each in buying.due_soon(known.buying)[:1]]
    return tuple(actions) or ("Leave the user in peace.",)


def _bought(known: Known) -> list[str]:
    if not known.is_buying_known:
        return ["What the user bought cannot be looked up now."]
    return buying.sentences(known.buying) if known.buying is not None else []


def _sentence(reason: str) -> str:
    return f"{reason.rstrip('.')}."


def _user_made(known: Known) -> list[str]:
    watching = known.watching
    made = [each.reason for each in known.struggle.indicators] + list(known.struggle.signals)
    made += [watching.preferred_content, watching.recommended] if watching is not None else []
    return made + (buying.products(known.buying) if known.buying is not None else [])
