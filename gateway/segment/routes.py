"""The routes of Segment's clients, as a part of the table."""

from typing import Final

from gateway import reasons
from gateway.routing import Route
from gateway.segment import calls, shapes, source
from gateway.segment.message import TYPES

# What a message holds beside is ignored, so no member is unknown.
_MESSAGE: Final = tuple(reason for reason in reasons.EVENT if reason != "UNKNOWN_FIELD")

_EXAMPLES: Final = {
    "track": '{"userId":"demo-user","event":"Checkout Started"}',
    "page": '{"userId":"demo-user","properties":{"path":"/calculator"}}',
    "screen": '{"userId":"demo-user","name":"Calculator"}',
    "identify": '{"userId":"demo-user","anonymousId":"a-1"}',
    "group": '{"userId":"demo-user","groupId":"g-1"}',
    "alias": '{"userId":"demo-user","previousId":"a-1"}',
}
_BATCHES: Final = {
    "/v1/batch": "Takes a batch as Segment's clients send it, also compressed by gzip.",
    "/v1/import": "Takes a batch of the past, as `/v1/batch` does.",
    "/v1/b": "The same as `/v1/batch`, where Segment's clients for phones and browsers send it.",
}


def _one(kind: str, path: str, summary: str) -> Route:
    return Route(
        "POST",
        path,
        summary,
        calls.one(kind),
        calls.Taken,
        reasons=_MESSAGE,
        body=shapes.MessageShape(kind),
        example=_EXAMPLES[kind],
        ignores_query=True,
    )


ROUTES: Final = (
    *(_one(kind, f"/v1/{kind}", f"Takes one `{kind}` as Segment's clients send it.") for kind in TYPES),
    *(
        _one(kind, f"/v1/{kind[0]}", f"The same as `/v1/{kind}`, where Segment's browser client sends it.")
        for kind in TYPES
    ),
    *(
        Route(
            "POST",
            path,
            summary,
            calls.many,
            calls.Taken,
            reasons=(*_MESSAGE, "EMPTY_BATCH"),
            body=shapes.batch,
            example='{"batch":[{"type":"page","userId":"demo-user","name":"Calculator"}]}',
            ignores_query=True,
        )
        for path, summary in _BATCHES.items()
    ),
    Route(
        "POST",
        "/v1/m",
        "Takes what Segment's clients count of themselves, and keeps nothing of it.",
        calls.metrics,
        calls.Heard,
        reasons=("REQUEST_TOO_LARGE",),
        body=shapes.metrics,
        needs_body=False,
        ignores_query=True,
    ),
    Route(
        "GET",
        "/v1/projects/{writeKey}/settings",
        "The settings that Segment's clients read first; they lead back to this gateway.",
        source.settings,
        source.Source,
        ignores_query=True,
    ),
)
