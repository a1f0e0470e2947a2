"""What language models cost, what may be spent in a day, and which model is asked for it.

Money is in billionths of a US dollar, so that it is counted in whole numbers: $1 per million tokens is 1000 per token.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from services.intervention.language.domain.conversation import Complexity, Question, Refusal

NANO_A_MICRO: Final = 1000
_DAY_US: Final = 86_400 * 1_000_000
MODELS: Final[dict[Complexity, str]] = {
    Complexity.QUICK: "amazon.nova-micro-v1:0",
    Complexity.STRATEGY: "amazon.nova-lite-v1:0",
    Complexity.DEEP: "amazon.nova-pro-v1:0",
}
# The share of the day's budget that must be left for a larger model than the quick one. Nova Pro costs 23 times as much
# as Micro, so it is given up first, and the generated copy for users last.
_LEAST_LEFT: Final = ((Complexity.DEEP, 0.4), (Complexity.STRATEGY, 0.15))
# Tokens that a model gets for each turn and tool beyond our own text.
_FRAME_TOKENS: Final = 32
_FRAME_OF_TOOLS_TOKENS: Final = 512


class Amount(NamedTuple):
    """Tokens of questions and answers together, and money in billionths of a US dollar."""

    tokens: int
    nano_usd: int

    def less(self, other: "Amount") -> "Amount":
        """What is left without the other; may be negative."""
        return Amount(self.tokens - other.tokens, self.nano_usd - other.nano_usd)


NOTHING: Final = Amount(0, 0)
MOST_DAYS: Final = 92
"""How many days can be asked about, today included."""


class Price(NamedTuple):
    """Billionths of a US dollar per token."""

    input: int
    output: int


_UNKNOWN: Final = Price(0, 0)

Prices = Mapping[str, Price | None]
"""What models cost, by their ids without a geography; None where that is not known. No other model is asked."""
GEOGRAPHIES: Final = ("us", "eu", "apac", "global")
"""What an id begins with if an inference profile of several regions is asked."""

# On demand, as of May 2026, in dollars per million tokens in and out: Micro 0.035 and 0.14, Lite 0.06 and 0.24, Pro
# 0.80 and 3.20. These are from sites that cite Amazon's price list, not from the list: compare before relying on them.
PRICES: Final[Prices] = {
    MODELS[Complexity.QUICK]: Price(35, 140),
    MODELS[Complexity.STRATEGY]: Price(60, 240),
    MODELS[Complexity.DEEP]: Price(800, 3200),
}


def plain_id(model_id: str) -> str:
    """A model's id without the geography that it may begin with."""
    geography, _, rest = model_id.partition(".")
    return rest if geography in GEOGRAPHIES else model_id


def day_of(at_us: int) -> int:
    """The UTC day a time lies in, counted from 1970: the period of the budget."""
    return at_us // _DAY_US


def start_us(day: int) -> int:
    """When a day begins: Unix microseconds."""
    return day * _DAY_US


def cost(price: Price | None, input_tokens: int, output_tokens: int) -> Amount:
    """What tokens of a model cost; no money where its price is not known."""
    price = price or _UNKNOWN
    return Amount(input_tokens + output_tokens, input_tokens * price.input + output_tokens * price.output)


def reservation(price: Price | None, question: Question) -> Amount:
    """The most a question can cost: a token for each byte it is made of, and all the model may say.

    No tokenizer makes more tokens than there are bytes; mostly it makes a quarter. The excess is given back later.
    """
    texts = [question.system]
    for turn in question.turns:
        texts += [turn.text, *(each.text for each in turn.results)]
        texts += [word for use in turn.tool_uses for word in use]
    texts += [word for tool in question.tools for word in tool]
    size = sum(len(text.encode()) for text in texts) + _FRAME_TOKENS * (1 + len(question.turns))
    if question.tools:
        size += _FRAME_OF_TOOLS_TOKENS + _FRAME_TOKENS * len(question.tools)
    return cost(price, size, question.most_tokens)


def fits(spent: Amount, wanted: Amount, limits: Amount) -> bool:
    """Whether a wanted amount still fits into a day's limits; a limit of 0 means no limit."""
    return (not limits.tokens or spent.tokens + wanted.tokens <= limits.tokens) and (
        not limits.nano_usd or spent.nano_usd + wanted.nano_usd <= limits.nano_usd
    )


def share_left(spent: Amount, limits: Amount) -> float:
    """How much of a day's budget is left, 0 to 1: the smaller of the shares of tokens and money."""
    pairs = ((spent.tokens, limits.tokens), (spent.nano_usd, limits.nano_usd))
    return max(0.0, min((1.0 - used / limit for used, limit in pairs if limit), default=1.0))


def affordable(wanted: Complexity, left: float) -> Complexity:
    """The most complex question up to the wanted one that a share of the budget still allows.

    Nova Pro is asked while 40% of the day's budget are left, Nova Lite while 15% are, Nova Micro to the end.
    """
    return next((each for each, least in _LEAST_LEFT if each <= wanted and left >= least), Complexity.QUICK)


# Whether a call without an answer is billed is not known; these certainly cost nothing.
FREE: Final = frozenset(
    {Refusal.BUSY, Refusal.THROTTLED, Refusal.CREDENTIALS, Refusal.REJECTED, Refusal.UNAVAILABLE},
)
