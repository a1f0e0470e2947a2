"""Sends a route's answer: whole, in pieces, or as a conversation over a socket."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.http import problems
from gateway.http.asgi import Answer, ClientGone, Headers, Message, Receive, Request, Send, Socket, Stream

SERVICE_RESTART: Final = 1012
"""The code with which the server closes a socket: come back, with the last cursor."""

_CLIENT_SECONDS: Final = 30.0
_LARGE_BYTES: Final = 32 * 1024
_DISCARDED_BYTES: Final = 16 * 1024 * 1024
_DISCARDING_SECONDS: Final = 2.0

PROTOCOL: Final = "journeymesh"
"""The subprotocol with which a socket is accepted, if the client offers it."""

Respond = Callable[[str | bytes], Awaitable[bytes]]


def is_large(answer: Answer) -> bool:
    """Whether an answer is large enough to count as held until the client has read it."""
    return len(answer.body) > _LARGE_BYTES


async def send_answer(answer: Answer, headers: Headers, request: Request, send: Send) -> None:
    """Sends a whole answer; in reply to a handshake, it refuses the socket."""
    if answer.content_type:  # without a type there is no body, as with 204
        length = b"%d" % len(answer.body)
        headers = ((b"content-type", answer.content_type.encode()), (b"content-length", length), *headers)
    exchange = request.exchange
    if exchange is not None and request.scope["method"] != "HEAD":
        exchange.hold_head()
    kind = "websocket.http.response" if request.scope["type"] == "websocket" else "http.response"
    await send({"type": f"{kind}.start", "status": answer.status, "headers": headers})
    if request.has_more and problems.CONNECTION_CLOSE in answer.headers:
        # A client that is still sending would miss the answer if the connection broke.
        await send({"type": f"{kind}.body", "body": answer.body, "more_body": True})
        with contextlib.suppress(ClientGone, TimeoutError):
            await asyncio.wait_for(request.discard(_DISCARDED_BYTES), _DISCARDING_SECONDS)
        await send({"type": f"{kind}.body", "body": b""})
    elif is_large(answer):
        await send({"type": f"{kind}.body", "body": answer.body, "more_body": True})
        await send({"type": f"{kind}.body", "body": b""})  # waits until most of it is read
    else:
        await send({"type": f"{kind}.body", "body": answer.body})


async def send_stream(answer: Stream, headers: Headers, request: Request, send: Send) -> None:
    """Sends until the stream ends or the client leaves; a client that reads nothing for too long is dropped."""
    client_leaving = asyncio.ensure_future(_client_left(request.receive))
    sending = asyncio.ensure_future(_send_pieces(answer, headers, request.scope["method"], send))
    try:
        await asyncio.wait((client_leaving, sending), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        client_leaving.cancel()
        sending.cancel()
        await asyncio.gather(client_leaving, sending, return_exceptions=True)
        answer.close()


async def send_socket(answer: Socket, headers: Headers, request: Request, send: Send, respond: Respond) -> None:
    """Sends frames and answers the client's messages, until either side ends it.

    A message is read only once the one before it is answered; frames go on being sent meanwhile.
    """
    await request.receive()  # the handshake
    sending = asyncio.ensure_future(_send_frames(answer, headers, request, send))
    listening = asyncio.ensure_future(request.receive())
    try:
        while True:
            await asyncio.wait((sending, listening), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
                await send({"type": "websocket.close", "code": SERVICE_RESTART})
                return
            message = listening.result()
            if message["type"] == "websocket.disconnect":
                return
            await _send_frame(await respond(_content(message)), send)
            listening = asyncio.ensure_future(request.receive())
    finally:
        sending.cancel()
        listening.cancel()
        await asyncio.gather(sending, listening, return_exceptions=True)
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


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_frames(answer: Socket, headers: Headers, request: Request, send: Send) -> None:
    offered = request.scope.get("subprotocols") or ()
    chosen = PROTOCOL if PROTOCOL in offered else None  # those with a key are never sent back
    await send({"type": "websocket.accept", "headers": headers, "subprotocol": chosen})
    async for frame in answer.frames:
        await _send_frame(frame, send)


async def _send_frame(frame: bytes, send: Send) -> None:
    await send({"type": "websocket.send", "text": frame.decode()})


def _content(message: Message) -> str | bytes:
    content: str | bytes = message["bytes"] if message.get("text") is None else message["text"]
    return content
