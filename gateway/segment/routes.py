"""The routes of Segment's clients, as a part of the table."""

from typing import Final

from gateway import reasons
from gateway.routing import Route
from gateway.segment import calls, shapes

# What a message holds beside is ignored, so no member is unknown.
_MESSAGE: Final = tuple(reason for reason in reasons.EVENT if reason != "UNKNOWN_FIELD")

_CALLS: Final = (
    (calls.track, '{"userId":"demo-user","event":"Checkout Started"}'),
    (calls.page, '{"userId":"demo-user","properties":{"path":"/calculator"}}'),
    (calls.screen, '{"userId":"demo-user","name":"Calculator"}'),
    (calls.identify, '{"userId":"demo-user","anonymousId":"a-1"}'),
    (calls.group, '{"userId":"demo-user","groupId":"g-1"}'),
    (calls.alias, '{"userId":"demo-user","previousId":"a-1"}'),
)
_BATCHES: Final = (
    ("/v1/batch", "Takes a batch as Segment's clients send it, also compressed by gzip.", calls.many),
    ("/v1/import", "Takes a batch of the past, as `/v1/batch` does.", calls.history),
)

ROUTES: Final = (
    *(
        Route(
            "POST",
            f"/v1/{serve.__name__}",
            f"Takes one `{serve.__name__}` as Segment's clients send it.",
            serve,
            calls.Taken,
            reasons=_MESSAGE,
            body=shapes.MessageShape(serve.__name__),
            example=example,
        )
        for serve, example in _CALLS
    ),
    *(
        Route(
            "POST",
            path,
            summary,
            serve,
            calls.Taken,
            reasons=(*_MESSAGE, "EMPTY_BATCH"),
            body=shapes.batch,
            example='{"batch":[{"type":"page","userId":"demo-user","name":"Calculator"}]}',
        )
        for path, summary, serve in _BATCHES
    ),
)
