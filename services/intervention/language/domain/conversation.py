"""A conversation with a language model: questions, answers, and reasons for no answer."""

import enum
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple


class Refusal(enum.StrEnum):
    """Why a model's words are not used, in a word."""

    # No model was asked.
    OFF = "off"
    BUDGET = "budget"
    UNACCOUNTED = "unaccounted"
    BREAKER_OPEN = "breaker_open"
    BUSY = "busy"
    # A model was asked and gave no answer.
    THROTTLED = "throttled"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    CREDENTIALS = "credentials"
    REJECTED = "rejected"
    # There was no time to ask, or the answer came too late.
    LATE = "late"
    # The answer cannot be used.
    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    TOO_LONG = "too_long"
    WRONG_LANGUAGE = "wrong_language"
    REFUSED = "refused"
    UNSAFE = "unsafe"
    LEAK = "leak"
    ECHO = "echo"
    OFF_TOPIC = "off_topic"
    CONTRADICTS = "contradicts"
    TOO_MANY_TURNS = "too_many_turns"


class NotAnswered(Exception):
    """There is no answer that can be used."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Complexity(enum.IntEnum):
    """How complex a question is."""

    QUICK = 1
    STRATEGY = 2
    DEEP = 3


class Tool(NamedTuple):
    """A tool a model may use. It takes no arguments: the model does not choose the user."""

    name: str
    description: str


class ToolUse(NamedTuple):
    """A model's request to look something up."""

    id: str
    name: str


class ToolResult(NamedTuple):
    """The result of a tool: JSON, or the reason why there is none."""

    id: str
    text: str
    is_error: bool = False


class Turn(NamedTuple):
    """What one side says: we ask and return results; the model answers and asks for tools."""

    is_model: bool
    text: str = ""
    tool_uses: Sequence[ToolUse] = ()
    results: Sequence[ToolResult] = ()


class Question(NamedTuple):
    """A question to a model: system prompt, turns so far, tools, and the longest answer."""

    prompt_version: str
    system: str
    turns: Sequence[Turn]
    most_tokens: int
    tools: Sequence[Tool] = ()


class Stop(enum.StrEnum):
    """Why a model stopped, in Bedrock's words; those that are not here are `OTHER`."""

    END = "end_turn"
    TOOL_USE = "tool_use"
    LENGTH = "max_tokens"
    FILTERED = "content_filtered"
    GUARDRAIL = "guardrail_intervened"
    OTHER = "other"


class Answer(NamedTuple):
    """What a model said."""

    text: str
    tool_uses: Sequence[ToolUse]
    stop: Stop
    input_tokens: int
    output_tokens: int


class Usage(NamedTuple):
    """What an answer cost: tokens of all its questions and answers, and millionths of a US dollar."""

    model_id: str
    input_tokens: int
    output_tokens: int
    cost_micro_usd: float


UNUSABLE_STOPS: Final[Mapping[Stop, Refusal]] = {
    Stop.LENGTH: Refusal.TRUNCATED,
    Stop.FILTERED: Refusal.REFUSED,
    Stop.GUARDRAIL: Refusal.REFUSED,
    Stop.OTHER: Refusal.MALFORMED,
}
