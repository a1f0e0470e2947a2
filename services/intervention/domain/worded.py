"""The words a language model found for an intervention, and what they cost. They stand apart from the decision."""

import msgspec


class Worded(msgspec.Struct, frozen=True, array_like=True):
    """What came of asking a model for words.

    `is_used` tells whether `text` is shown; if not, `refusal` says why in a word and the template's text stays. The
    time is in Unix microseconds, the cost in millionths of a US dollar.
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
    worded_us: int
    is_cached: bool
