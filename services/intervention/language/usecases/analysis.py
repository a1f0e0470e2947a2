"""The analysis of a user: by a language model where there is one, else in fixed sentences."""

import asyncio
import math
from collections.abc import Callable
from typing import Final

from mesh.errors import MeshError
from records.tenants import tenant_of
from services.intervention.language.domain import analysis
from services.intervention.language.domain.analysis import (
    MOST_TOKENS,
    MOST_TURNS,
    NOT_LOOKED_UP,
    PROMPTS,
    TEMPLATE,
    Analysis,
    Findings,
    Known,
)
from services.intervention.language.domain.buying import Buying, buying_data
from services.intervention.language.domain.conversation import (
    Answer,
    Complexity,
    NotAnswered,
    Question,
    Refusal,
    Stop,
    ToolResult,
    ToolUse,
    Turn,
    Usage,
)
from services.intervention.language.domain.prompt import Prompt
from services.intervention.language.ports import Insights
from services.intervention.language.usecases.models import Models, Origin

# The part of the caller's time that is kept for answering.
_MARGIN_SECONDS: Final = 0.2
_MOST_TOOL_USES: Final = 4
"""What a model may look up in one turn."""
_PURCHASES_SECONDS: Final = 2.0
"""How long purchases are waited for: an analysis goes on without them."""


class _Talk:
    """One analysis in progress: what was asked, looked up and spent so far."""

    def __init__(self, complexity: Complexity, ends_at: float, tenant: str) -> None:
        self.complexity = complexity
        self.ends_at = ends_at
        self.tenant = tenant
        self.usage: Usage | None = None
        self.tool_calls: list[str] = []

    @property
    def prompt(self) -> Prompt:
        """The standing orders."""
        return PROMPTS[self.complexity]

    @property
    def tokens(self) -> int:
        """Tokens so far."""
        return self.usage.input_tokens + self.usage.output_tokens if self.usage else 0

    def add(self, usage: Usage) -> None:
        """Adds what a turn cost."""
        before = self.usage or Usage(usage.model_id, 0, 0, 0.0)
        self.usage = Usage(
            usage.model_id,
            before.input_tokens + usage.input_tokens,
            before.output_tokens + usage.output_tokens,
            before.cost_micro_usd + usage.cost_micro_usd,
        )


class Analyses:
    """Analyses users."""

    def __init__(
        self,
        models: Models,
        insights: Insights,
        clock: Callable[[], int],
        monotonic: Callable[[], float],
        *,
        deadline_seconds: float,
    ) -> None:
        self._models = models
        self._insights = insights
        self._clock = clock
        self._monotonic = monotonic
        self._deadline_seconds = deadline_seconds

    async def analyze(self, user_id: str, depth: Complexity, within_seconds: float = math.inf) -> Analysis:
        """What stands out about a user. Where the budget is low, less deep than asked for; see `budget.affordable`.

        When the time is over, a model's answer is no longer waited for.

        Raises:
            NotFound: `USER_NOT_FOUND`, the user was never seen.
            Unavailable: scoring or video is away. Without customers it goes on, and says so.
        """
        ends_at = self._monotonic() + min(self._deadline_seconds, within_seconds - _MARGIN_SECONDS)
        known = await self._known(user_id, ends_at)
        tenant = tenant_of(user_id)
        talk = _Talk(await self._models.affordable(depth, tenant), ends_at, tenant)
        try:
            found, refusal = await self._find(talk, user_id, known), ""
        except NotAnswered as error:
            found, refusal = analysis.template(known), error.refusal.value
        return Analysis(
            user_id=user_id,
            findings=found,
            source=TEMPLATE if refusal or talk.usage is None else talk.usage.model_id,
            refusal=refusal,
            usage=talk.usage,
            prompt=talk.prompt if talk.usage else None,
            tool_calls=tuple(talk.tool_calls),
            analyzed_us=self._clock(),
        )

    async def _known(self, user_id: str, ends_at: float) -> Known:
        struggle, watching, helping, (buying, is_known) = await asyncio.gather(
            self._insights.struggle(user_id),
            self._insights.video(user_id),
            self._insights.intervention(user_id),
            self._bought(user_id, ends_at),
        )
        return Known(struggle, watching, helping, buying, is_buying_known=is_known)

    async def _bought(self, user_id: str, ends_at: float) -> tuple[Buying | None, bool]:
        """What the user bought, and whether that could be looked up."""
        try:
            async with asyncio.timeout(min(_PURCHASES_SECONDS, ends_at - self._monotonic())):
                return await self._insights.purchases(user_id, self._clock()), True
        except (MeshError, TimeoutError):
            return None, False

    async def _find(self, talk: _Talk, user_id: str, known: Known) -> Findings:
        if talk.complexity is Complexity.DEEP:
            question = analysis.opening()
            answer = await self._converse(talk, user_id, question)
        else:
            question = analysis.question(talk.complexity, known, user_id)
            answer = await self._ask(talk, question)
        try:
            return analysis.findings_of(answer, talk.prompt, known)
        except NotAnswered as error:
            self._models.unusable(self._models.model_id(talk.complexity), question, error.refusal)
            raise

    async def _converse(self, talk: _Talk, user_id: str, question: Question) -> Answer:
        """The model's answer once it has looked up what it wants, within turns, tokens and time."""
        for _ in range(MOST_TURNS):
            answer = await self._ask(talk, question)
            if answer.stop is not Stop.TOOL_USE:
                return answer
            if talk.tokens >= MOST_TOKENS or not 0 < len(answer.tool_uses) <= _MOST_TOOL_USES:
                break
            results = [await self._look_up(talk, use, user_id) for use in answer.tool_uses]
            said = Turn(is_model=True, text=answer.text, tool_uses=answer.tool_uses)
            found = Turn(is_model=False, results=results)
            question = question._replace(turns=(*question.turns, said, found))
        raise NotAnswered(Refusal.TOO_MANY_TURNS)

    async def _ask(self, talk: _Talk, question: Question) -> Answer:
        remaining = talk.ends_at - self._monotonic()
        if remaining <= 0:
            raise NotAnswered(Refusal.LATE)
        model_id = self._models.model_id(talk.complexity)
        answer, usage = await self._models.ask(model_id, question, remaining, Origin(tenant=talk.tenant))
        talk.add(usage)
        return answer

    async def _look_up(self, talk: _Talk, use: ToolUse, user_id: str) -> ToolResult:
        """What one tool finds about the analyzed user, whomever the model names."""
        talk.tool_calls.append(use.name)
        try:
            async with asyncio.timeout(talk.ends_at - self._monotonic()):
                match use.name:
                    case "struggle":
                        found = analysis.struggle_data(await self._insights.struggle(user_id), user_id)
                    case "video":
                        found = analysis.watching_data(await self._insights.video(user_id), user_id)
                    case "intervention":
                        found = analysis.help_data(await self._insights.intervention(user_id))
                    case "purchases":
                        found = buying_data(await self._insights.purchases(user_id, self._clock()), user_id)
                    case _:
                        talk.tool_calls[-1] = "unknown"
                        return ToolResult(use.id, "There is no such tool.", is_error=True)
        except (MeshError, TimeoutError):
            return ToolResult(use.id, NOT_LOOKED_UP, is_error=True)
        return ToolResult(use.id, analysis.result_text(found))
