"""Sending what a route answers: whole, piece by piece, or both ways over a socket."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.http import problems
from gateway.http.asgi import Answer, ClientGone, Headers, Message, Receive, Request, Send, Socket, Stream

GOING_AWAY: Final = 1012
"""The code a socket is closed with where the server ends it: come back, with the last cursor."""

_CLIENT_SECONDS: Final = 30.0
_LARGE_BYTES: Final = 32 * 1024
_DISCARDED_BYTES: Final = 16 * 1024 * 1024
_DISCARDING_SECONDS: Final = 2.0

Hear = Callable[[str | bytes], Awaitable[bytes]]


def is_large(answer: Answer) -> bool:
    """Whether an answer is so large that it counts as held until the client has read it."""
    return len(answer.body) > _LARGE_BYTES


async def send_answer(answer: Answer, headers: Headers, request: Request, send: Send) -> None:
    """Sends a whole answer; one to a handshake refuses the socket."""
    if answer.content_type:  # without a type there is no body, as with 204
        length = b"%d" % len(answer.body)
        headers = ((b"content-type", answer.content_type.encode()), (b"content-length", length), *headers)
    exchange = request.exchange
    if exchange is not None and request.scope["method"] != "HEAD":
        exchange.hold_head()
    kind = "websocket.http.response" if request.scope["type"] == "websocket" else "http.response"
    await send({"type": f"{kind}.start", "status": answer.status, "headers": headers})
    if request.has_more and problems.CLOSING in answer.headers:
        # A client that is still sending hears nothing if the connection breaks under it.
        await send({"type": f"{kind}.body", "body": answer.body, "more_body": True})
        with contextlib.suppress(ClientGone, TimeoutError):
            await asyncio.wait_for(request.discard(_DISCARDED_BYTES), _DISCARDING_SECONDS)
        await send({"type": f"{kind}.body", "body": b""})
    elif is_large(answer):
        await send({"type": f"{kind}.body", "body": answer.body, "more_body": True})
        await send({"type": f"{kind}.body", "body": b""})  # waits until most is read
    else:
        await send({"type": f"{kind}.body", "body": answer.body})


async def send_stream(answer: Stream, headers: Headers, request: Request, send: Send) -> None:
    """Sends until the stream ends or the client leaves; a client that takes nothing for too long is left."""
    leaving = asyncio.ensure_future(_left(request.receive))
    sending = asyncio.ensure_future(_send_pieces(answer, headers, request.scope["method"], send))
    try:
        await asyncio.wait((leaving, sending), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        leaving.cancel()
        sending.cancel()
        await asyncio.gather(leaving, sending, return_exceptions=True)
        answer.close()


async def send_socket(answer: Socket, headers: Headers, request: Request, send: Send, hear: Hear) -> None:
    """Tells the frames and answers the client's messages, one after the other, until either side ends it.

    No message is read before the one before it is answered; while that takes, frames are told all the same.
    """
    await request.receive()  # that the handshake has come
    telling = asyncio.ensure_future(_tell(answer, headers, send))
    listening = asyncio.ensure_future(request.receive())
    try:
        while True:
            await asyncio.wait((telling, listening), return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
                await send({"type": "websocket.close", "code": GOING_AWAY})
                return
            message = listening.result()
            if message["type"] == "websocket.disconnect":
                return
            await _send_frame(await hear(_content(message)), send)
            listening = asyncio.ensure_future(request.receive())
    finally:
        telling.cancel()
        listening.cancel()
        await asyncio.gather(telling, listening, return_exceptions=True)
        answer.close()


async def _send_pieces(answer: Stream, headers: Headers, method: str, send: Send) -> None:
    async with contextlib.aclosing(answer.pieces) as pieces:
        head = ((b"content-type", answer.content_type.encode()), *headers)
        await send({"type": "http.response.start", "status": 200, "headers": head})
        async for piece in pieces:
            if method == "HEAD":
                break
            message = {"type": "http.response.body", "body": piece, "more_body": True}
            await asyncio.wait_for(send(message), _CLIENT_SECONDS)
    await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _tell(answer: Socket, headers: Headers, send: Send) -> None:
    await send({"type": "websocket.accept", "headers": headers})
    async for frame in answer.frames:
        await _send_frame(frame, send)


async def _send_frame(frame: bytes, send: Send) -> None:
    await send({"type": "websocket.send", "text": frame.decode()})


def _content(message: Message) -> str | bytes:
    content: str | bytes = message["bytes"] if message.get("text") is None else message["text"]
    return content
