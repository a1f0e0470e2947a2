"""A name server of the test's own, as the one of a cluster: a name has the addresses of the replicas that are ready."""

import contextlib
from collections.abc import Iterator
from typing import Literal

from dnslib import QTYPE, RCODE, RR, A, DNSError, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSServer

NAME = "echo.mesh.test"

Fault = Literal["", "NXDOMAIN", "SERVFAIL", "silence"]


class Names(BaseResolver):  # type: ignore[misc]
    """Answers with the addresses that are set now, or as the fault says.

    `asked` counts the questions: one that is sent again, as its answer is late, is one.
    """

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.fault: Fault = ""
        self._asked: set[tuple[int, int]] = set()
        self.port = 0

    @property
    def asked(self) -> int:
        """How many questions came."""
        return len(self._asked)

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        self._asked.add((request.header.id, request.q.qtype))
        if self.fault == "silence":
            raise DNSError
        reply = request.reply()
        if self.fault:
            reply.header.rcode = getattr(RCODE, self.fault)
        elif request.q.qtype == QTYPE.A and str(request.q.qname).rstrip(".") == NAME:
            for address in self.addresses:
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address), ttl=1))
        return reply

    def target(self, port: int) -> str:
        """What a channel is dialled to."""
        return f"dns://127.0.0.1:{self.port}/{NAME}:{port}"


@contextlib.contextmanager
def naming() -> Iterator[Names]:
    """A name server that runs within the block."""
    names = Names()
    server = DNSServer(names, port=0, address="127.0.0.1", logger=_Silence())
    server.server.handle_error = lambda *_: None  # what is asked while it ends
    names.port = server.server.server_address[1]
    server.start_thread()
    try:
        yield names
    finally:
        server.stop()
        server.server.server_close()


class _Silence:
    def __getattr__(self, name: str) -> object:
        return lambda *_: None
