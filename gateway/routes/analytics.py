"""Routes of analytics: questions about many users, and their answers as files."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor, message
from journeymesh.analytics.v1 import analytics_pb2 as wire

from gateway.core import Core
from gateway.formats import asking
from gateway.formats.rendering import render
from gateway.formats.schema import enum_numbers
from gateway.http.asgi import Answer, Request, json
from mesh.errors import InvalidArgument
from records.tenants import plain

# A question may wait for those before it.
_ANSWER_SECONDS: Final = 30.0
_FORMATS: Final = enum_numbers(wire.ExportFormat.DESCRIPTOR)
FORMATS: Final = tuple(_FORMATS)
"""The formats of files."""
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"
"""Content types of files."""
_MEDIA_TYPES: Final = {"csv": f"{CSV}; charset=utf-8", "parquet": PARQUET}
# The user stands in the path, where the audit log finds it.
_IN_PATH: Final = ("user_id",)


class Kind(NamedTuple):
    """A kind of question: the RPC that answers it, what is asked, and its name among the questions of an export."""

    rpc: str
    question: type[message.Message]
    request: type[message.Message]
    answer: descriptor.Descriptor
    exported_as: str


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "kpis": Kind("AskKpis", wire.KpisQuestion, wire.AskKpisRequest, wire.AskKpisResponse.DESCRIPTOR, "kpis"),
        "trends": Kind("AskTrend", wire.TrendQuestion, wire.AskTrendRequest, wire.AskTrendResponse.DESCRIPTOR, "trend"),
        "funnels": Kind(
            "AskFunnel", wire.FunnelQuestion, wire.AskFunnelRequest, wire.AskFunnelResponse.DESCRIPTOR, "funnel"
        ),
        "retention": Kind(
            "AskRetention",
            wire.RetentionQuestion,
            wire.AskRetentionRequest,
            wire.AskRetentionResponse.DESCRIPTOR,
            "retention",
        ),
        "paths": Kind("AskPaths", wire.PathsQuestion, wire.AskPathsRequest, wire.AskPathsResponse.DESCRIPTOR, "paths"),
        "struggles": Kind(
            "AskStruggles",
            wire.StrugglesQuestion,
            wire.AskStrugglesRequest,
            wire.AskStrugglesResponse.DESCRIPTOR,
            "struggles",
        ),
        "journeys": Kind(
            "AskJourney", wire.JourneyQuestion, wire.AskJourneyRequest, wire.AskJourneyResponse.DESCRIPTOR, "journey"
        ),
        "effects": Kind(
            "AskEffect", wire.EffectQuestion, wire.AskEffectRequest, wire.AskEffectResponse.DESCRIPTOR, "effect"
        ),
        "calibration": Kind(
            "AskCalibration",
            wire.CalibrationQuestion,
            wire.AskCalibrationRequest,
            wire.AskCalibrationResponse.DESCRIPTOR,
            "calibration",
        ),
        "drift": Kind("AskDrift", wire.DriftQuestion, wire.AskDriftRequest, wire.AskDriftResponse.DESCRIPTOR, "drift"),
        "insights": Kind(
            "AskInsights",
            wire.InsightsQuestion,
            wire.AskInsightsRequest,
            wire.AskInsightsResponse.DESCRIPTOR,
            "insights",
        ),
        "costs": Kind("AskCosts", wire.CostsQuestion, wire.AskCostsRequest, wire.AskCostsResponse.DESCRIPTOR, "costs"),
        "lists": Kind("AskList", wire.ListQuestion, wire.AskListRequest, wire.AskListResponse.DESCRIPTOR, "list"),
    }
)
"""The kinds of questions by the last part of their path."""

Serve = Callable[[Core, Request], Awaitable[Answer]]


def asked(of: Kind) -> Serve:
    """Answers a question."""

    async def ask(core: Core, request: Request) -> Answer:
        sent = of.request(tenant=request.caller.tenant, question=await _question(of, request))
        answer = await getattr(core.peers.analytics, of.rpc)(sent, timeout=_ANSWER_SECONDS)
        return json(render(answer))

    ask.__name__ = f"ask_{of.exported_as}"
    return ask


def exported(of: Kind) -> Serve:
    """Answers a question as a file, whose receipt names its hash in a header."""

    async def export(core: Core, request: Request) -> Answer:
        name = request.query.get("format", "csv")
        if name not in _FORMATS:
            raise InvalidArgument("INVALID_PARAMETER", f"`format` must be one of {', '.join(_FORMATS)}.")
        question: Any = {of.exported_as: await _question(of, request)}
        sent = wire.ExportAnswerRequest(
            tenant=request.caller.tenant, format=wire.ExportFormat.ValueType(_FORMATS[name]), **question
        )
        parts = [part async for part in core.peers.analytics.ExportAnswer(sent, timeout=_ANSWER_SECONDS)]
        headers = (
            (b"content-disposition", f'attachment; filename="{of.exported_as}.{name}"'.encode()),
            (b"x-receipt-sha256", parts[0].receipt.sha256.encode()),
        )
        return Answer(200, b"".join(part.content for part in parts), _MEDIA_TYPES[name], headers)

    export.__name__ = f"export_{of.exported_as}"
    return export


def body(of: Kind) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The JSON schema of a question."""
    described: Any = of.question.DESCRIPTOR
    return lambda components: asking.describe(described, components, _left_out(of))


async def _question(of: Kind, request: Request) -> message.Message:
    question: Any = asking.read(await request.json_body(), of.question, _left_out(of))
    if "userId" in request.parameters:
        question.user_id = plain(request.parameters["userId"])
    return question  # type: ignore[no-any-return] # a message of the kind


def _left_out(of: Kind) -> tuple[str, ...]:
    return _IN_PATH if of.question is wire.JourneyQuestion else ()
