"""Generated copy: what to ask a language model, and whether its answer may be shown."""

import functools
import hashlib
from typing import Annotated, Final, NamedTuple

import msgspec

from services.intervention.decision.domain.facts import Facts
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.language.domain import english, screening
from services.intervention.language.domain.conversation import (
    UNUSABLE_STOPS,
    Answer,
    NotAnswered,
    Question,
    Refusal,
    Stop,
    Turn,
)
from services.intervention.language.domain.prompt import COPYWRITING, Prompt

LONGEST: Final = 240
_SHORTEST: Final = 15
_MOST_REASONS: Final = 3
_CONTENT_LETTERS: Final = 4


class GeneratedCopy(msgspec.Struct, frozen=True, array_like=True):
    """The copy that a model wrote, or why there is none.

    `is_used` says whether `text` is shown. If not, `refusal` says why in a word, and the template's text stays. The
    time is in Unix microseconds, the cost in millionths of a US dollar. `arms` are those of the experiments that count
    it, each the experiment's id and the arm's name. `confidence` is what the model says of itself, 0 to 1, where the
    prompt asks for it. Unless the model `has_price`, the cost is not known, and 0 here.
    """

    text: str
    model_id: str
    prompt_version: str
    prompt_hash: str
    is_used: bool
    refusal: str
    input_tokens: int
    output_tokens: int
    cost_micro_usd: float
    written_us: int
    is_cached: bool
    arms: tuple[tuple[str, str], ...] = ()
    confidence: float | None = None
    has_price: bool = True


class Said(NamedTuple):
    """What a model said that may be shown, and how sure it is, 0 to 1; None where it was not asked."""

    text: str
    confidence: float | None = None


class _Words(msgspec.Struct, forbid_unknown_fields=True):
    message: Annotated[str, msgspec.Meta(min_length=1)]


class _SureWords(_Words, forbid_unknown_fields=True):
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]


_DECODE: Final = msgspec.json.Decoder(_Words).decode
_DECODE_SURE: Final = msgspec.json.Decoder(_SureWords).decode
# There are few templates, and this is called while events are decided on.
_is_english: Final = functools.lru_cache(maxsize=256)(english.is_english)


class Brief(msgspec.Struct, frozen=True):
    """What the model is asked, and what its copy is checked against."""

    question: Question
    asks_confidence: bool
    # The same for all who would be shown the same; nothing in it identifies the user.
    key: str
    template: str
    # The parts that users made, unchanged.
    user_made: tuple[str, ...]


def brief(help_: Intervention, facts: Facts, prompt: Prompt = COPYWRITING) -> Brief:
    """What to ask about help by a prompt. The model learns neither who the user is nor the score."""
    reasons = [each.reason for each in facts.assessment.indicators if each.contribution > 0][:_MOST_REASONS]
    block = screening.data_block(
        {
            "template": help_.message,
            "channel": help_.channel,
            "offers": list(help_.content),
            "page": screening.clean(help_.page, facts.user_id),
            "difficulties": [screening.clean(reason, facts.user_id) for reason in reasons],
        }
    )
    key = hashlib.sha256(f"{prompt.hash} {block}".encode()).hexdigest()
    question = Question(prompt.version, prompt.text, (Turn(is_model=False, text=block),), prompt.most_tokens)
    return Brief(question, prompt.asks_confidence, key, help_.message, (help_.page, *reasons))


def can_be_generated(help_: Intervention) -> bool:
    """Whether the policy wants generated copy, and the template is in English, in which it can be checked."""
    return help_.uses_generated_copy and _is_english(help_.message)


def said_in(answer: Answer, of: Brief) -> Said:
    """The copy in an answer, once it has passed every check, which are the same for all prompts.

    Raises:
        NotAnswered: it must not be shown.
    """
    if answer.stop is not Stop.END:
        raise NotAnswered(UNUSABLE_STOPS.get(answer.stop, Refusal.MALFORMED))
    try:
        decode = _DECODE_SURE if of.asks_confidence else _DECODE
        words = decode(screening.unfenced(answer.text))
    except (msgspec.DecodeError, UnicodeError):
        raise NotAnswered(_why_no_json(answer.text)) from None
    said = words.message.strip()
    if len(said) > LONGEST:
        raise NotAnswered(Refusal.TOO_LONG)
    if len(said) < _SHORTEST:
        raise NotAnswered(Refusal.OFF_TOPIC)
    screening.check(said, of.question.system, of.template)
    screening.check_echo(said, of.user_made, of.template)
    if not _keeps_offer(said, of.template):
        raise NotAnswered(Refusal.OFF_TOPIC)
    return Said(said, words.confidence if isinstance(words, _SureWords) else None)


def _why_no_json(text: str) -> Refusal:
    return Refusal.REFUSED if screening.is_refusing(text) else Refusal.MALFORMED


def _keeps_offer(said: str, template: str) -> bool:
    """Whether a word that carries meaning in the last sentence of the template, which is the offer, is in the words."""
    offer = english.words(template.rstrip(" .!?").rpartition(". ")[2])
    meaningful = {each for each in offer if len(each) >= _CONTENT_LETTERS and not english.is_common(each)}
    return not meaningful or not meaningful.isdisjoint(english.words(said))
